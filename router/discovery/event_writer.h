#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "router/base/log_deduplicator.h"
#include "router/discovery/resource_status.h"
#include "router/kubernetes/api_time.h"
#include "router/kubernetes/errands.h"

namespace router::discovery {

/// The reporting controller and instance in an Event.
struct EventSource {
  std::string controller = "inference-router.dev/router";
  std::string instance;  // identifies this process
};

/// An Event about a resource.
struct ResourceEvent {
  ReconcileResult::Kind kind = ReconcileResult::Kind::kDeployment;
  ObjectKey key;
  std::string uid;
  bool warning = false;
  const char* action = "";  // what was done or tried: `Scale`
  std::string reason;
  std::string note;
  std::string identity;  // Events of the same identity are one; two routers that report the same have the same
};

/// Writes one Event (events.k8s.io/v1, Warning) for each refusal of a resource, and others that it is given. The Event's name
/// is made from the object, the reason and the time of the refusal, so two routers that report the same refusal make one Event.
/// Bounds: one Event each kEvery, bursts of kBurst, and kWaitingMax Events that the server has not accepted yet. Events beyond
/// that are dropped and counted. Control thread.
class EventWriter final : private kubernetes::Sender {
 public:
  static constexpr std::size_t kBurst = 10;
  static constexpr std::chrono::milliseconds kEvery{100};
  static constexpr std::size_t kWaitingMax = 100;

  /// `errands` and the shard outlive this.
  EventWriter(runtime::Shard& control, kubernetes::Errands& errands, EventSource source, kubernetes::WallClock clock)
      : control_(control), errands_(errands), source_(std::move(source)), clock_(std::move(clock)) {}

  /// Called when this router becomes the leader: sends the Events that waited when it lost the Lease.
  void begin();
  /// Reports that the condition Accepted is False. `since` is the transition time that the API server shows.
  void refused(const ResourceStatus& status, std::string_view since);
  void tell(ResourceEvent event);

  /// Whether another Event would be dropped now; `note_dropped` counts one that was therefore not told.
  bool full() const;
  void note_dropped() { ++dropped_; }

  std::uint64_t dropped() const { return dropped_; }

 private:
  bool has_room();
  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;

  struct Waiting {
    std::string namespace_name;
    boost::json::object event;
  };
  runtime::Shard& control_;
  kubernetes::Errands& errands_;
  const EventSource source_;
  const kubernetes::WallClock clock_;
  std::map<std::string, Waiting> waiting_;  // by the Event's namespace and name
  TimePoint next_{};                        // when the burst is available again in full
  std::uint64_t dropped_ = 0;
  LogDeduplicator refusals_;  // logs only the first refusal until a write succeeds
};

}  // namespace router::discovery
