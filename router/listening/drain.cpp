#include "router/listening/drain.h"

#include <algorithm>
#include <numeric>

#include "router/base/log.h"

namespace router::listening {

Drain::Drain(runtime::Shard& control, runtime::ShardSet& shards, std::vector<std::unique_ptr<proxy::ShardServer>>& servers,
             std::function<bool()> may_end, std::function<void()> done)
    : control_(control),
      may_end_(std::move(may_end)),
      done_(std::move(done)),
      connections_left_(shards.size()),
      say_so_(
          control, shards, [&servers](runtime::Shard& shard) { servers[shard.index()]->begin_drain(); }, [] {}),
      stop_accepting_(
          control, shards,
          [&servers](runtime::Shard& shard) {
            servers[shard.index()]->close_listeners();
            servers[shard.index()]->close_idle();
          },
          [] {}),
      look_(
          control, shards,
          [this, &servers](runtime::Shard& shard) { connections_left_[shard.index()] = servers[shard.index()]->connections(); },
          [this] { count_what_is_left(); }),
      // Waiters first, on every shard: otherwise slots of cut exchanges would go to waiters of a shard that comes later.
      refuse_waiters_(
          control, shards, [&servers](runtime::Shard& shard) { servers[shard.index()]->refuse_waiters(); },
          [this] { end_grace_.begin(); }),
      end_grace_(
          control, shards, [&servers](runtime::Shard& shard) { servers[shard.index()]->end_grace(); }, [] {}),
      delay_over_(control, [this] { stop_accepting(); }),
      look_again_(control, [this] { look_for_the_end(); }) {}

void Drain::begin(const config::Process& settings) noexcept {
  if (begun_) return;
  begun_ = true;
  log::info("draining: not ready any more, still accepting");
  const TimePoint now = control_.now();
  grace_end_ = deadline_after(now, settings.drain_grace);
  say_so_.begin();
  delay_over_.schedule(deadline_after(now, settings.drain_delay));
}

void Drain::stop_accepting() {
  log::info("draining: listeners are closed");
  stop_accepting_.begin();
  look_for_the_end();
}

void Drain::look_for_the_end() {
  const TimePoint now = control_.now();
  if (!grace_over_ && now >= grace_end_) end_grace();
  // A shard that does not answer delays the end no longer than kCut.
  if (grace_over_ && now >= grace_end_ + kCut) return end();
  look_again_.schedule(now + kLook);
  if (!look_.under_way()) look_.begin();
}

void Drain::count_what_is_left() {
  const auto left = std::accumulate(connections_left_.begin(), connections_left_.end(), std::size_t{0});
  if (left == 0 && (grace_over_ || may_end_())) end();
}

void Drain::end_grace() {
  grace_over_ = true;
  log::warning("draining: the grace period is over, the remaining exchanges are ended");
  refuse_waiters_.begin();
}

void Drain::end() {
  look_again_.schedule(kNever);
  if (!std::exchange(ended_, true)) done_();
}

}  // namespace router::listening
