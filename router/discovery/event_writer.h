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

/// Who tells of refusals: what stands in an Event beside the object and the reason.
struct EventSource {
  std::string controller = "inference-router.dev/router";
  std::string instance;  // of this process
};

/// Writes one Event (events.k8s.io/v1, Warning) for each refusal of a resource. Its name is made from the object, the reason
/// and the moment of the refusal: two routers that both tell it for a moment make one Event. Bounds: kRate a second, up to
/// kBurst at once, and kWaitingMax that the server has not taken yet; what is beyond is dropped and counted. Control thread.
class EventWriter final : private kubernetes::Sender {
 public:
  static constexpr std::size_t kBurst = 10;
  static constexpr std::chrono::milliseconds kEvery{100};  // kRate: 10 a second
  static constexpr std::size_t kWaitingMax = 100;

  /// `errands` and the shard outlive this.
  EventWriter(runtime::Shard& control, kubernetes::Errands& errands, EventSource source, kubernetes::WallClock clock)
      : control_(control), errands_(errands), source_(std::move(source)), clock_(std::move(clock)) {}

  /// This router leads, perhaps again: what waited when it lost the Lease is sent now.
  void begin();
  /// The condition Accepted is False, since the time that the API server shows.
  void refused(const ResourceStatus& status, std::string_view since);

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
  TimePoint next_{};                        // when the budget is full again, less kBurst
  std::uint64_t dropped_ = 0;
  LogDeduplicator refusals_;  // the first one until a write succeeds
};

}  // namespace router::discovery
