#include "router/discovery/fleet_lease.h"

#include <absl/strings/str_cat.h>

#include <boost/json/object.hpp>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/kubernetes/json.h"
#include "router/kubernetes/requests.h"
#include "router/kubernetes/resource_version.h"
#include "router/runtime/cancellation.h"

namespace router::discovery {
namespace {

namespace json = boost::json;
using kubernetes::ApiAnswer;
using kubernetes::ApiRequest;
using kubernetes::is_older;
using kubernetes::metadata_text;

const kubernetes::GroupVersionResource kLeases{"coordination.k8s.io", "v1", "leases"};
constexpr const char* kInterrupted = "memory is short";  // so short that a std::string of it needs no memory

/// One operation. The other members are those of `put`.
struct Job {
  enum class Kind { kGet, kPut, kStamp };
  Kind kind = Kind::kGet;
  std::string roster;
  std::string based_on;
};

LeaseWritten::Operation operation_of(Job::Kind kind) {
  return kind == Job::Kind::kStamp ? LeaseWritten::Operation::kStamp : LeaseWritten::Operation::kPut;
}

/// The member `key` of `object`, an object; made if it is missing.
json::object& object_at(json::object& object, std::string_view key) {
  json::value& value = object[key];
  if (!value.is_object()) value = json::object();
  return value.get_object();
}

std::string roster_of(const json::object& lease) {
  const json::object* metadata = kubernetes::object_in(lease, "metadata");
  const json::object* annotations = metadata != nullptr ? kubernetes::object_in(*metadata, "annotations") : nullptr;
  return annotations != nullptr ? kubernetes::text_in(*annotations, FleetLease::kRosterKey) : "";
}

}  // namespace

BootTime boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

/// What is known of the Lease, and the operation under way. Lives until its coroutine has ended, which may be after the
/// destruction of the FleetLease.
struct FleetLease::State final : runtime::CancelSource {
  State(kubernetes::ApiClient& through, runtime::TaskGroup& within, FleetLeaseOptions with, FleetLeaseOwner& whom)
      : CancelSource(through.shard()), client(through), group(within), options(std::move(with)), owner(whom) {}

  bool begin(Job next);
  void spawn(Job next);
  static Task<void> run(std::shared_ptr<State> self, Job job);
  static Task<LeaseRead> get(State& self);
  /// Nothing: the watch has shown a later state than the answer.
  static Task<std::optional<LeaseRead>> get_once(State& self, Deadline deadline);
  std::optional<LeaseRead> take_answer(const ApiAnswer& answer, const std::string& version_before);
  static Task<LeaseWritten> write(State& self, const Job& job);
  /// The Lease to write; nothing: it cannot be written, and `result` says why.
  std::optional<json::object> next_lease(const Job& job, LeaseWritten& result) const;
  void take_answer(const ApiAnswer& answer, LeaseWritten& result);
  /// Gives the result of an operation that an exception has ended.
  void interrupted(Job::Kind kind, LeaseWritten::State of_a_write);
  void give(LeaseRead read);
  void give(LeaseWritten written);
  void seen(kubernetes::ObjectState state);

  std::string subject() const { return absl::StrCat("the Lease ", options.namespace_name, "/", options.name); }
  std::string refusal(const ApiAnswer& answer, const char* verb) const;
  std::string path() const { return kubernetes::object_path(kLeases, options.namespace_name, options.name); }

  kubernetes::ApiClient& client;
  runtime::TaskGroup& group;
  const FleetLeaseOptions options;
  FleetLeaseOwner& owner;
  bool busy = false;
  std::optional<json::object> lease;  // the newest state; nothing: none is known, or the Lease does not exist
  std::string version;                // the newest one that was seen; that of the deletion, if it was deleted
};

bool FleetLease::State::begin(Job next) {
  if (busy) return false;
  auto self = std::static_pointer_cast<State>(shared_from_this());
  shard().post([self, next = std::move(next)]() mutable {
    if (!self->cancelled()) self->spawn(std::move(next));
  });
  busy = true;
  return true;
}

void FleetLease::State::spawn(Job next) {
  const Job::Kind kind = next.kind;
  bool begun = false;
  try {
    begun = group.try_spawn(run(std::static_pointer_cast<State>(shared_from_this()), std::move(next)));
  } catch (const std::bad_alloc&) {  // the task has not started
  }
  if (!begun) interrupted(kind, LeaseWritten::State::kFailed);
}

void FleetLease::State::interrupted(Job::Kind kind, LeaseWritten::State of_a_write) {
  if (kind == Job::Kind::kGet) {
    LeaseRead read;
    read.error = kInterrupted;
    return give(std::move(read));
  }
  LeaseWritten written;
  written.operation = operation_of(kind);
  written.state = of_a_write;
  written.error = kInterrupted;
  give(std::move(written));
}

Task<void> FleetLease::State::run(std::shared_ptr<State> self, Job job) {
  std::optional<LeaseRead> read;
  std::optional<LeaseWritten> written;
  try {
    if (job.kind == Job::Kind::kGet) {
      read = co_await get(*self);
    } else {
      written = co_await write(*self, job);
    }
  } catch (const std::exception&) {
    self->interrupted(job.kind, LeaseWritten::State::kUnknown);
  }
  if (read) self->give(std::move(*read));
  if (written) self->give(std::move(*written));
}

void FleetLease::State::give(LeaseRead read) {
  busy = false;
  if (!cancelled()) owner.lease_read(std::move(read));
}

void FleetLease::State::give(LeaseWritten written) {
  busy = false;
  if (!cancelled()) owner.lease_written(std::move(written));
}

Task<LeaseRead> FleetLease::State::get(State& self) {
  const Deadline deadline = deadline_after(self.now(), kCallMax);
  for (int overtaken = 0; overtaken < kOvertakenMax; ++overtaken) {
    std::optional<LeaseRead> read = co_await get_once(self, deadline);
    if (read) co_return std::move(*read);
  }
  LeaseRead failed;
  failed.error = self.subject() + " changes faster than it can be read";
  co_return failed;
}

Task<std::optional<LeaseRead>> FleetLease::State::get_once(State& self, Deadline deadline) {
  const std::string version_before = self.version;
  const BootTime sent_at = self.options.boot_time();  // before the request, which the client may send twice
  ApiRequest request;
  request.path = self.path();  // without a resourceVersion: not from a cache that is behind
  request.deadline = deadline;
  const absl::StatusOr<ApiAnswer> answer = co_await self.client.request(self, std::move(request));
  std::optional<LeaseRead> read;
  if (answer.ok()) {
    read = self.take_answer(*answer, version_before);
  } else {
    read.emplace().error = std::string(answer.status().message());
  }
  if (read) read->sent_at = sent_at;
  co_return read;
}

std::optional<LeaseRead> FleetLease::State::take_answer(const ApiAnswer& answer, const std::string& version_before) {
  LeaseRead read;
  if (answer.status != 200 && answer.status != 404) {
    read.error = refusal(answer, "get");
    return read;
  }
  // What the watch has shown since the request was sent may be newer. An answer that is older than what was known before that
  // is the truth: the storage was restored.
  const bool has_changed = version != version_before;
  if (answer.status == 404) {
    if (has_changed && lease) return std::nullopt;
    lease.reset();
    read.state = LeaseRead::State::kAbsent;
    return read;
  }
  auto object = kubernetes::parse_object(answer.body);
  read.version = object.ok() ? metadata_text(*object, "resourceVersion") : "";
  if (read.version.empty()) {
    read.error = absl::StrCat(client.name(), ": ", subject(), " is not readable");
    return read;
  }
  if (has_changed && is_older(read.version, version)) return std::nullopt;
  lease = std::move(*object);
  version = read.version;
  read.roster = roster_of(*lease);
  read.object = metadata_text(*lease, "uid");
  if (read.roster.size() > kRosterMax) {
    read.error = absl::StrCat("the roster in ", subject(), " has more than ", kRosterMax, " bytes");
    return read;
  }
  read.state = LeaseRead::State::kFound;
  return read;
}

std::optional<json::object> FleetLease::State::next_lease(const Job& job, LeaseWritten& result) const {
  const bool puts = job.kind == Job::Kind::kPut;
  if (puts && job.roster.size() > kRosterMax) {
    result.error = absl::StrCat("a roster of ", job.roster.size(), " bytes does not fit: at most ", kRosterMax);
    return std::nullopt;
  }
  const bool creates = puts && job.based_on.empty();
  if (!creates && (!lease || (puts && job.based_on != version))) {
    result.state = LeaseWritten::State::kConflict;
    return std::nullopt;
  }
  json::object next;
  if (creates) {
    next["apiVersion"] = kLeases.api_version();
    next["kind"] = "Lease";
    next["metadata"] = json::object{{"name", options.name}, {"namespace", options.namespace_name}};
  } else {
    next = *lease;
  }
  if (puts) object_at(object_at(next, "metadata"), "annotations")[kRosterKey] = job.roster;
  json::object& spec = object_at(next, "spec");
  spec["holderIdentity"] = options.identity;
  spec["renewTime"] = kubernetes::micro_time_text(options.wall_clock());
  return next;
}

Task<LeaseWritten> FleetLease::State::write(State& self, const Job& job) {
  LeaseWritten result;
  result.operation = operation_of(job.kind);
  const std::optional<json::object> next = self.next_lease(job, result);
  if (!next) co_return result;
  const bool creates = metadata_text(*next, "resourceVersion").empty();
  ApiRequest request =
      creates ? kubernetes::create_request(kubernetes::collection_path(kLeases, self.options.namespace_name), *next)
              : kubernetes::replace_request(self.path(), *next);
  request.deadline = deadline_after(self.now(), kCallMax);
  const absl::StatusOr<ApiAnswer> answer = co_await self.client.request(self, std::move(request));
  if (answer.ok()) {
    self.take_answer(*answer, result);
    if (creates && result.state == LeaseWritten::State::kAbsent) result.state = LeaseWritten::State::kFailed;
  } else {
    result.state = LeaseWritten::State::kUnknown;
    result.error = std::string(answer.status().message());
  }
  co_return result;
}

void FleetLease::State::take_answer(const ApiAnswer& answer, LeaseWritten& result) {
  if (answer.status == 409) {
    result.state = LeaseWritten::State::kConflict;
    return;
  }
  if (!answer.succeeded()) {
    // A server that fails may have written before that. A namespace that is missing is also a 404.
    const auto otherwise = answer.status == 404 ? LeaseWritten::State::kAbsent : LeaseWritten::State::kFailed;
    result.state = answer.status >= 500 ? LeaseWritten::State::kUnknown : otherwise;
    result.error = refusal(answer, "write");
    return;
  }
  result.state = LeaseWritten::State::kUnknown;
  auto written = kubernetes::parse_object(answer.body);
  std::string next = written.ok() ? metadata_text(*written, "resourceVersion") : "";
  if (next.empty()) {
    result.error = absl::StrCat(client.name(), ": its answer to a write of ", subject(), " is not readable");
  } else if (is_older(next, version)) {
    result.error = subject() + " has changed again since it was written";
  } else {
    lease = std::move(*written);
    version = result.version = std::move(next);
    result.state = LeaseWritten::State::kWritten;
  }
}

std::string FleetLease::State::refusal(const ApiAnswer& answer, const char* verb) const {
  const std::string words = message_of(answer);
  const char* hint = answer.status == 403 ? ": allow the verbs get, update, list and watch on it, and create on "
                                            "leases.coordination.k8s.io there"
                                          : "";
  return absl::StrCat(client.name(), " refuses to ", verb, " ", subject(), " (", answer.status, words.empty() ? "" : ": ",
                      words, ")", hint);
}

void FleetLease::State::seen(kubernetes::ObjectState state) {
  const bool has_version = !state.version.empty();
  if (has_version && is_older(state.version, version)) return;
  if (lease && state.object && state.version == version) return;
  std::string roster = state.object ? roster_of(*state.object) : "";
  if (roster.size() > kRosterMax) {
    return log::warning(absl::StrCat("kubernetes: the roster in ", subject(), " has more than ", kRosterMax, " bytes"));
  }
  // The owner first: if it throws, the watch shows the state again.
  if (state.object) {
    owner.lease_changed(roster, state.version);
  } else {
    owner.lease_deleted();
  }
  lease = std::move(state.object);
  if (has_version) version = std::move(state.version);
}

FleetLease::FleetLease(kubernetes::ApiClient& client, runtime::TaskGroup& group, FleetLeaseOptions options,
                       FleetLeaseOwner& owner)
    : state_(std::make_shared<State>(client, group, std::move(options), owner)),
      watch_(client, group, {kLeases, state_->options.namespace_name, state_->options.name},
             [this](kubernetes::ObjectState state) { state_->seen(std::move(state)); }) {}

FleetLease::~FleetLease() { state_->cancel(); }

bool FleetLease::get() { return state_->begin({}); }

bool FleetLease::put(std::string roster, std::string based_on) {
  return state_->begin({Job::Kind::kPut, std::move(roster), std::move(based_on)});
}

bool FleetLease::stamp() { return state_->begin({Job::Kind::kStamp, "", ""}); }

bool FleetLease::busy() const { return state_->busy; }

}  // namespace router::discovery
