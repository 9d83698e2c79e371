#include "router/kubernetes/errands.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <exception>
#include <map>
#include <set>
#include <utility>

#include "router/base/assert.h"
#include "router/base/log.h"
#include "router/base/log_deduplicator.h"
#include "router/kubernetes/back_off.h"

namespace router::kubernetes {
namespace {

constexpr std::chrono::milliseconds kGroupFull{1000};  // the pause when the group is full or memory is short

/// Whether the status says nothing about the errand itself.
bool is_about_us(int status) { return status == 401 || status == 429 || status >= 500; }

}  // namespace

/// Lives until its last request has ended, which may be after the destruction of the Errands.
struct Errands::State : std::enable_shared_from_this<State>, private runtime::Timer {
  using Key = std::pair<Sender*, std::string>;
  struct Errand {
    TimePoint earliest{};  // when its next request may be sent; the entry is dropped then if no request is wanted
    Duration again{};      // the last pause after kAgain
    bool wanted = false;
    bool under_way = false;
  };

  State(ApiClient& through, runtime::TaskGroup& within, ErrandsOptions with, std::function<bool()> may)
      : client(through), group(within), options(with), may_send(std::move(may)), back_off(through.shard()) {}

  runtime::Shard& shard() { return client.shard(); }
  TimePoint now() { return shard().now(); }

  void ask(const Key& key);
  void pump_soon();
  void pump();
  /// Handles the first errand that is due. False: none is due, or no more can be sent now.
  bool send_first();
  bool try_send(const Key& key, ApiRequest request);
  static Task<void> send(std::shared_ptr<State> self, Key key, ApiRequest request);
  static Task<void> exchange(State& self, const Key& key, ApiRequest request,
                             std::shared_ptr<runtime::CancelSource> cancellation);
  /// An exception has interrupted that errand; schedules it again.
  void interrupted(const Key& key, const std::exception& error);
  void ended(const Key& key, TimePoint began, const absl::StatusOr<ApiAnswer>& answer);
  void rest(const Key& key, Errand& errand, TimePoint until);
  void pause(const std::string& why, Duration least);
  void expired() override { pump(); }

  ApiClient& client;
  runtime::TaskGroup& group;
  const ErrandsOptions options;
  const std::function<bool()> may_send;
  BackOff back_off;
  std::map<Key, Errand> errands;
  std::set<std::pair<TimePoint, Key>> resting;                // errands that are not under way, by `earliest`
  std::set<std::shared_ptr<runtime::CancelSource>> requests;  // one for each request under way
  TimePoint paused_until{};
  bool pump_posted = false;
  bool cancelled = false;  // the owner was destroyed
  LogDeduplicator troubles;
};

void Errands::State::ask(const Key& key) {
  const TimePoint earliest = now();
  if (!errands.contains(key)) {
    const auto place = resting.emplace(earliest, key).first;
    try {
      errands[key].earliest = earliest;
    } catch (const std::bad_alloc&) {
      resting.erase(place);  // each entry of the one has an entry of the other, or is under way
      throw;
    }
  }
  Errand& errand = errands.at(key);
  errand.wanted = true;
  if (!errand.under_way) pump_soon();
}

void Errands::State::rest(const Key& key, Errand& errand, TimePoint until) {
  errand.earliest = until;
  resting.emplace(until, key);
}

void Errands::State::pump_soon() {
  if (pump_posted) return;
  shard().post([self = shared_from_this()] {
    self->pump_posted = false;
    self->pump();
  });
  pump_posted = true;  // last: the call above may throw
}

void Errands::State::pump() {
  try {
    while (!cancelled && send_first()) {
    }
  } catch (const std::exception& error) {
    log::error("kubernetes: an exception has interrupted the sending of requests; trying again");
    log::error(error.what());
    paused_until = deadline_after(now(), kGroupFull);
  }
  if (cancelled || resting.empty() || requests.size() >= options.under_way_max) return;
  shard().schedule(*this, std::max(resting.begin()->first, paused_until));
}

bool Errands::State::send_first() {
  if (resting.empty() || requests.size() >= options.under_way_max) return false;
  if (now() < std::max(resting.begin()->first, paused_until)) return false;
  const Key key = resting.begin()->second;
  const auto place = errands.find(key);
  ROUTER_ASSERT(place != errands.end());
  std::optional<ApiRequest> request;
  if (place->second.wanted && may_send()) request = key.first->request_for(key.second);
  resting.erase({place->second.earliest, key});
  if (!request) {
    errands.erase(place);
    return true;
  }
  place->second.wanted = false;
  place->second.under_way = true;
  request->deadline = deadline_after(now(), kRequestMax);
  if (try_send(key, std::move(*request))) return true;
  place->second.wanted = true;
  place->second.under_way = false;
  paused_until = deadline_after(now(), kGroupFull);
  rest(key, place->second, paused_until);
  return false;
}

bool Errands::State::try_send(const Key& key, ApiRequest request) {
  try {
    return group.try_spawn(send(shared_from_this(), key, std::move(request)));
  } catch (const std::bad_alloc&) {  // the task has not started
    return false;
  }
}

Task<void> Errands::State::send(std::shared_ptr<State> self, Key key, ApiRequest request) {
  std::shared_ptr<runtime::CancelSource> cancellation;
  try {
    cancellation = runtime::CancelSource::make(self->shard());
    self->requests.insert(cancellation);
    co_await exchange(*self, key, std::move(request), cancellation);
  } catch (const std::exception& error) {
    self->requests.erase(cancellation);
    if (!self->cancelled) self->interrupted(key, error);
  }
  if (!self->cancelled) self->pump_soon();
}

Task<void> Errands::State::exchange(State& self, const Key& key, ApiRequest request,
                                    std::shared_ptr<runtime::CancelSource> cancellation) {
  const TimePoint began = cancellation->now();
  const absl::StatusOr<ApiAnswer> answer = co_await self.client.request(*cancellation, std::move(request));
  self.requests.erase(cancellation);
  if (!self.cancelled) self.ended(key, began, answer);
}

void Errands::State::interrupted(const Key& key, const std::exception& error) {
  log::error("kubernetes: an exception has interrupted a request; trying again");
  log::error(error.what());
  Errand& errand = errands.at(key);
  errand.under_way = false;
  errand.wanted = true;
  rest(key, errand, deadline_after(now(), kAgainFirst));
}

void Errands::State::ended(const Key& key, TimePoint began, const absl::StatusOr<ApiAnswer>& answer) {
  Errand& errand = errands.at(key);
  errand.under_way = false;
  const TimePoint spaced = deadline_after(began, options.spacing);
  if (!answer.ok() || is_about_us(answer->status)) {
    const std::string why = answer.ok() ? absl::StrCat(client.name(), " answers a request with ", answer->status)
                                        : std::string(answer.status().message());
    pause(why, answer.ok() ? answer->retry_after.value_or(std::chrono::seconds(0)) : std::chrono::seconds(0));
    key.first->unanswered(key.second, why);
    errand.wanted = true;
    return rest(key, errand, spaced);
  }
  back_off.reset();
  troubles.recovered();
  if (key.first->answered(key.second, *answer) == Sender::Outcome::kDone) {
    errand.again = {};
    return rest(key, errand, spaced);
  }
  errand.wanted = true;
  errand.again = std::clamp<Duration>(errand.again * 2, kAgainFirst, kAgainMost);
  rest(key, errand, std::max(spaced, deadline_after(now(), errand.again)));
}

void Errands::State::pause(const std::string& why, Duration least) {
  const Duration pause = std::max(back_off.next(), std::min<Duration>(least, kRetryAfterMax));
  paused_until = std::max(paused_until, deadline_after(now(), pause));
  if (troubles.should_log(why)) log::warning("kubernetes: " + why + "; trying again");
}

Errands::Errands(ApiClient& client, runtime::TaskGroup& group, ErrandsOptions options, std::function<bool()> may_send)
    : state_(std::make_shared<State>(client, group, options, std::move(may_send))) {}

Errands::~Errands() {
  state_->cancelled = true;
  for (const std::shared_ptr<runtime::CancelSource>& request : state_->requests) request->cancel();
}

void Errands::ask(Sender& sender, const std::string& name) { state_->ask({&sender, name}); }

}  // namespace router::kubernetes
