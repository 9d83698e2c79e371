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

/// Brings the statuses of resources to the API server, by server-side apply. An object is written when what the server has of
/// our fields, as far as the watch and the answers to our own writes have told, is not what it should be: so a router that has
/// just begun to lead writes only what differs, and what somebody else has changed is put right. How often and how many at a
/// time is the business of Errands. Tells an EventWriter when a write has turned Accepted to False, or changed its reason.
/// Bounds: one entry for each resource. Control thread.
class StatusWriter final : private kubernetes::Sender {
 public:
  /// `errands` and `events` outlive this.
  StatusWriter(kubernetes::Errands& errands, EventWriter& events, kubernetes::WallClock clock)
      : errands_(errands), events_(events), clock_(std::move(clock)) {}

  /// This router leads, perhaps again: errands that waited when it lost the Lease were forgotten, so the next `set` looks at
  /// every object as if it was news.
  void begin() { all_is_news_ = true; }
  /// All that is to be told, and what the API server shows. Other resources are forgotten.
  void set(std::vector<ResourceStatus> statuses, const Cluster& cluster);

 private:
  struct Object {
    ResourceStatus status;
    /// What the API server has, as of `version`: shown by the watch or answered to us, whichever is newer.
    boost::json::object known;
    std::string version;
    boost::json::object sending;  // under way, or refused
    /// What the server has taken last, and what it made of it: if it keeps something else, it is not sent again and again.
    boost::json::object sent;
    boost::json::object settled;
    std::string told;  // the reason of the refusal that an Event has told or need not tell
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
  LogDeduplicator refusals_;               // until a write succeeds
  bool all_is_news_ = true;                // at the next `set`
};

}  // namespace router::discovery
