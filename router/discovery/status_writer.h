#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "router/base/log_deduplicator.h"
#include "router/discovery/event_writer.h"
#include "router/discovery/resource_status.h"
#include "router/kubernetes/api_time.h"
#include "router/kubernetes/errands.h"

namespace router::discovery {

/// Writes the statuses of resources to the API server by server-side apply. It knows the server's state from the watch and from
/// the answers to its own writes, and writes an object only if our fields differ. So a new leader writes only what differs, and
/// changes that others made to our fields are reverted. Errands limits the rate and the number of concurrent writes. Notifies
/// an EventWriter when a write has set Accepted to False, or has changed the reason of a refusal. Bounds: one entry for each
/// resource. Control thread.
class StatusWriter final : private kubernetes::Sender {
 public:
  /// `errands` and `events` outlive this.
  StatusWriter(kubernetes::Errands& errands, EventWriter& events, kubernetes::WallClock clock)
      : errands_(errands), events_(events), clock_(std::move(clock)) {}

  /// Called when this router becomes the leader. Errands that waited when it lost the Lease were dropped, so the next `set`
  /// checks every object.
  void begin() { all_is_news_ = true; }
  /// Sets the wanted statuses of all resources; `cluster` has the statuses of the API server. Drops all other resources.
  void set(std::vector<ResourceStatus> statuses, const Cluster& cluster);

 private:
  struct Object {
    ResourceStatus status;
    /// The API server's status at `version`, from the watch or from an answer to our write, whichever is newer.
    boost::json::object known;
    std::string version;
    boost::json::object sending;  // under way, or refused
    /// The last status that the server accepted, and what it stored. If they differ, the same status is not sent again.
    boost::json::object sent;
    boost::json::object settled;
    std::string told;  // the reason of the refusal for which an Event was written or is not needed
  };

  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;
  boost::json::object wanted(const Object& object) const;
  bool is_right(const Object& object) const;
  void written(Object& object, const boost::json::object& answer);
  void log_answer(const Object& object, const kubernetes::ApiAnswer& answer);

  kubernetes::Errands& errands_;
  EventWriter& events_;
  const kubernetes::WallClock clock_;
  std::map<std::string, Object> objects_;  // by resource, namespace and name
  LogDeduplicator refusals_;               // reset when a write succeeds
  bool all_is_news_ = true;                // the next `set` checks every object
};

}  // namespace router::discovery
