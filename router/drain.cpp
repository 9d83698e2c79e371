#include "router/drain.h"

#include "router/base/log.h"

namespace router {

Drain::Drain(runtime::Shard& control, runtime::ShardSet& shards, std::vector<std::unique_ptr<proxy::ShardServer>>& servers,
             std::function<void()> done)
    : control_(control),
      shards_(shards),
      servers_(servers),
      done_(std::move(done)),
      delay_over_([this] { stop_accepting(); }),
      look_([this] { look_for_the_end(); }) {}

void Drain::begin(const config::Process& settings) {
  if (begun_) return;
  begun_ = true;
  log::info("draining: not ready any more, still accepting");
  const TimePoint now = control_.now();
  grace_end_ = deadline_after(now, settings.drain_grace);
  shards_.post_to_all([this](runtime::Shard& shard) { servers_[shard.index()]->begin_drain(); });
  control_.schedule(delay_over_, deadline_after(now, settings.drain_delay));
}

void Drain::stop_accepting() {
  log::info("draining: listeners are closed");
  shards_.post_to_all([this](runtime::Shard& shard) {
    servers_[shard.index()]->close_listeners();
    servers_[shard.index()]->close_idle();
  });
  look_for_the_end();
}

void Drain::look_for_the_end() {
  if (!grace_over_ && control_.now() >= grace_end_) end_grace();
  if (answers_due_ > 0) return;
  answers_due_ = shards_.size();
  connections_left_ = 0;
  shards_.post_to_all([this](runtime::Shard& shard) {
    control_.post([this, left = servers_[shard.index()]->connections()] {
      connections_left_ += left;
      if (--answers_due_ > 0) return;
      const bool cut = grace_over_ && control_.now() >= grace_end_ + kCut;
      if (connections_left_ == 0 || cut) return done_();
      control_.schedule(look_, control_.now() + kLook);
    });
  });
}

void Drain::end_grace() {
  grace_over_ = true;
  log::warning("draining: the grace is over, what still runs is ended");
  // The line first, on every shard: else the slots of what is cut would go to those who wait on a shard that comes later.
  shards_with_a_line_ = shards_.size();
  shards_.post_to_all([this](runtime::Shard& shard) {
    servers_[shard.index()]->end_line();
    control_.post([this] {
      if (--shards_with_a_line_ > 0) return;
      shards_.post_to_all([this](runtime::Shard& each) { servers_[each.index()]->end_grace(); });
    });
  });
}

}  // namespace router
