#include "router/proxy/member_downstream.h"

#include <chrono>

#include "router/proxy/fleet_head.h"

namespace router::proxy {

void MemberDownstream::announce(std::string_view replica, Duration queued) {
  announced_ = true;
  begin_interim(kBeginsAtPod, "Begins");
  BeginsAtPodText storage;
  field(fleet_field::kFacts, write_begins_at_pod({replica, queued}, storage));
  end_interim();
}

void MemberDownstream::leave(stream::Leaving how) {
  Http1Downstream::leave(how);
  if (how == stream::Leaving::kReset) announced_ || responded() ? reset() : close();
}

const config::Limits& MemberDownstream::limits() {
  static const config::Limits kLimits = [] {
    config::Limits limits;
    limits.body_timeout = limits.send_timeout = std::chrono::minutes(5);
    limits.min_body_rate = limits.min_send_rate = 0;
    return limits;
  }();
  return kLimits;
}

}  // namespace router::proxy
