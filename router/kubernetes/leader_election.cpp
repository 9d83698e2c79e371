#include "router/kubernetes/leader_election.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/base/log_deduplicator.h"
#include "router/kubernetes/api_time.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/requests.h"
#include "router/runtime/background_task.h"

namespace router::kubernetes {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr std::int64_t kDurationMax = 3600;  // seconds; a longer duration in another candidate's Lease is cut to this
constexpr int kConflictsMax = 3;             // writes that fail with a conflict in one attempt; then the next attempt follows

std::string holder_of(const json::object& lease) {
  const json::object* spec = object_in(lease, "spec");
  return spec != nullptr ? text_in(*spec, "holderIdentity") : "";
}

seconds duration_of(const json::object& lease, seconds otherwise) {
  const json::object* spec = object_in(lease, "spec");
  const auto number = spec != nullptr ? number_in(*spec, "leaseDurationSeconds") : std::nullopt;
  return number ? seconds(std::clamp<std::int64_t>(*number, 1, kDurationMax)) : otherwise;
}

/// The result of one attempt.
enum class Outcome {
  kOurs,
  kOthers,   // another candidate holds the Lease
  kUnknown,  // the request failed
};

}  // namespace

/// Lives until its coroutine has ended, which may be after the destruction of the LeaderElection.
struct LeaderElection::Candidate final : runtime::BackgroundTask {
  Candidate(ApiClient& through, LeaderElectionOptions with, std::function<void(bool)> on_change)
      : BackgroundTask(through.shard(), {"memory is short: the election begins later", with.retry_period}),
        client(through),
        options(std::move(with)),
        changed(std::move(on_change)) {}

  Task<void> run() override;
  /// Makes one attempt and applies its result. Returns when the next attempt is due.
  static Task<Deadline> step(Candidate& self);
  static Task<Outcome> attempt(Candidate& self);
  static Task<Outcome> look(Candidate& self, runtime::Cancellation& cancellation, Deadline deadline);
  static Task<Outcome> write(Candidate& self, runtime::Cancellation& cancellation, json::object next, Deadline deadline);
  static Task<void> release(Candidate& self);

  bool leads() const { return leading && !cancelled() && now() < leads_until; }
  void set_leading(bool leads);
  void observe(json::object object);
  /// Whether the Lease has no holder, or has not changed for its duration since this process first saw its state.
  bool is_free() const;
  json::object ours(bool renews) const;
  Outcome failed(const std::string& text);
  Outcome failed(const ApiAnswer& answer, const char* verb);

  std::string path() const { return object_path(kLeases, options.lease_namespace, options.lease_name); }

  inline static const GroupVersionResource kLeases{"coordination.k8s.io", "v1", "leases"};
  ApiClient& client;
  const LeaderElectionOptions options;
  const std::function<void(bool)> changed;
  bool leading = false;
  TimePoint leads_until{};
  std::optional<json::object> lease;  // as last seen; nothing: not seen, or it may have changed since
  std::string observed;               // its spec, to detect changes
  TimePoint observed_at{};            // when that spec was first seen
  LogDeduplicator troubles;           // until the Lease is ours
};

void LeaderElection::Candidate::set_leading(bool leads) {
  if (std::exchange(leading, leads) == leads) return;
  try {
    log::info(absl::StrCat("kubernetes: this router ", leads ? "holds" : "no longer holds", " the lease ",
                           options.lease_namespace, "/", options.lease_name));
    if (!cancelled()) changed(leads);
  } catch (...) {
    leading = !leads;  // the next step reports it again
    throw;
  }
}

void LeaderElection::Candidate::observe(json::object object) {
  const json::object* spec = object_in(object, "spec");
  std::string text = spec != nullptr ? json::serialize(*spec) : "";
  if (text != observed || observed_at == TimePoint{}) {
    observed = std::move(text);
    observed_at = now();
  }
  lease = std::move(object);
}

bool LeaderElection::Candidate::is_free() const {
  if (holder_of(*lease).empty()) return true;
  return now() >= observed_at + duration_of(*lease, options.lease_duration);
}

json::object LeaderElection::Candidate::ours(bool renews) const {
  json::object next = lease ? *lease : json::object();
  if (!lease) {
    next["apiVersion"] = kLeases.api_version();
    next["kind"] = "Lease";
    next["metadata"] = json::object{{"name", options.lease_name}, {"namespace", options.lease_namespace}};
  }
  if (object_in(next, "spec") == nullptr) next["spec"] = json::object();
  json::object& spec = next["spec"].get_object();
  const std::string now = micro_time_text(std::chrono::system_clock::now());
  if (!renews) {
    spec["acquireTime"] = now;
    spec["leaseTransitions"] = lease ? number_in(spec, "leaseTransitions").value_or(0) + 1 : 0;
  }
  spec["holderIdentity"] = options.identity;
  spec["leaseDurationSeconds"] = options.lease_duration.count();
  spec["renewTime"] = now;
  return next;
}

Outcome LeaderElection::Candidate::failed(const std::string& text) {
  if (troubles.should_log(text) && !cancelled()) log::warning("kubernetes: " + text + "; trying again");
  return Outcome::kUnknown;
}

Outcome LeaderElection::Candidate::failed(const ApiAnswer& answer, const char* verb) {
  const std::string words = message_of(answer);
  const char* hint = answer.status == 403 ? ": allow the verbs get, create and update on leases.coordination.k8s.io there" : "";
  return failed(absl::StrCat(client.name(), " refuses to ", verb, " the lease ", options.lease_namespace, "/",
                             options.lease_name, " (", answer.status, words.empty() ? "" : ": ", words, ")", hint));
}

/// Reads the Lease. kOurs: this process may write it.
Task<Outcome> LeaderElection::Candidate::look(Candidate& self, runtime::Cancellation& cancellation, Deadline deadline) {
  self.lease.reset();
  ApiRequest request;
  request.path = self.path();
  request.deadline = deadline;
  const auto answer = co_await self.client.request(cancellation, std::move(request));
  if (!answer.ok()) co_return self.failed(std::string(answer.status().message()));
  if (answer->status == 404) co_return Outcome::kOurs;
  if (answer->status != 200) co_return self.failed(*answer, "get");
  auto object = parse_object(answer->body);
  if (!object.ok()) co_return self.failed(self.client.name() + ": the lease " + std::string(object.status().message()));
  self.observe(std::move(*object));
  const bool is_ours = holder_of(*self.lease) == self.options.identity;
  co_return is_ours || self.is_free() ? Outcome::kOurs : Outcome::kOthers;
}

/// kOthers: another candidate has written the Lease in the meantime.
Task<Outcome> LeaderElection::Candidate::write(Candidate& self, runtime::Cancellation& cancellation, json::object next,
                                               Deadline deadline) {
  const bool creates = metadata_text(next, "resourceVersion").empty();
  ApiRequest request = creates ? create_request(collection_path(kLeases, self.options.lease_namespace), next)
                               : replace_request(self.path(), next);
  request.deadline = deadline;
  const auto answer = co_await self.client.request(cancellation, std::move(request));
  if (!answer.ok()) {
    self.lease.reset();  // the write may have succeeded on the server
    co_return self.failed(std::string(answer.status().message()));
  }
  if (answer->status == 409) {
    self.lease.reset();
    co_return Outcome::kOthers;
  }
  if (!answer->succeeded()) {
    self.lease.reset();
    co_return self.failed(*answer, creates ? "create" : "update");
  }
  auto written = parse_object(answer->body);
  if (!written.ok()) co_return self.failed(self.client.name() + ": the lease " + std::string(written.status().message()));
  self.observe(std::move(*written));
  co_return Outcome::kOurs;
}

Task<Outcome> LeaderElection::Candidate::attempt(Candidate& self) {
  const TimePoint now = self.now();
  Deadline deadline = deadline_after(now, kAttemptMax);
  if (self.leads()) deadline = std::min(deadline, self.leads_until);
  for (int conflicts = 0; conflicts < kConflictsMax; ++conflicts) {
    // The leader knows the Lease as it has last written it, so it renews without reading it.
    const bool knows = self.leads() && self.lease.has_value();
    if (!knows) {
      const Outcome seen = co_await look(self, self, deadline);
      if (seen != Outcome::kOurs) co_return seen;
    }
    const bool renews = self.lease && holder_of(*self.lease) == self.options.identity;
    const Outcome written = co_await write(self, self, self.ours(renews), deadline);
    if (written != Outcome::kOthers) co_return written;
  }
  co_return Outcome::kUnknown;
}

/// Releases the Lease, so that the next leader need not wait until it expires.
Task<void> LeaderElection::Candidate::release(Candidate& self) {
  const std::shared_ptr<runtime::CancelSource> last = runtime::CancelSource::make(self.client.shard());
  const Deadline deadline = deadline_after(last->now(), kReleaseMax);
  if (!self.lease) co_await look(self, *last, deadline);  // a renewal was interrupted, so its result is unknown
  const bool is_ours = self.lease && holder_of(*self.lease) == self.options.identity;
  if (!is_ours) co_return;
  json::object next = *self.lease;
  json::object& spec = next["spec"].get_object();
  spec["holderIdentity"] = "";
  spec["leaseDurationSeconds"] = 1;
  spec["renewTime"] = micro_time_text(std::chrono::system_clock::now());
  co_await write(self, *last, std::move(next), deadline);
}

Task<Deadline> LeaderElection::Candidate::step(Candidate& self) {
  if (self.leading && !self.leads()) self.set_leading(false);
  const TimePoint began = self.now();  // before the request is sent: the server may apply it at any later moment
  const Outcome outcome = co_await attempt(self);
  if (outcome == Outcome::kOurs) {
    self.troubles.recovered();
    self.leads_until = deadline_after(began, self.options.renew_deadline);
  }
  if (self.cancelled()) co_return began;
  const bool keeps = outcome == Outcome::kUnknown && self.leads();
  self.set_leading(keeps || (outcome == Outcome::kOurs && self.now() < self.leads_until));
  const Deadline next = deadline_after(began, self.options.retry_period);
  co_return self.leading ? std::min(std::max(next, self.now()), self.leads_until) : next;
}

Task<void> LeaderElection::Candidate::run() {
  const auto next_step = [this] { return step(*this); };
  const auto after_an_exception = [this] {
    lease.reset();
    return deadline_after(now(), options.retry_period);
  };
  co_await repeat("kubernetes: an exception has interrupted the election; trying again", next_step, after_an_exception);
  const bool may_hold = leading || (lease && holder_of(*lease) == options.identity);
  if (may_hold) co_await release(*this);
}

LeaderElection::LeaderElection(ApiClient& client, runtime::TaskGroup& group, LeaderElectionOptions options,
                               std::function<void(bool leading)> changed)
    : candidate_(std::make_shared<Candidate>(client, std::move(options), std::move(changed))) {
  candidate_->begin(group);
}

LeaderElection::~LeaderElection() { candidate_->cancel(); }

bool LeaderElection::leading() const { return candidate_->leads(); }

}  // namespace router::kubernetes
