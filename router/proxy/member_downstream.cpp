#include "router/proxy/member_downstream.h"

#include <array>
#include <charconv>
#include <chrono>

#include "router/proxy/fleet_head.h"

namespace router::proxy {

void MemberDownstream::announce(std::string_view replica, Duration queued) {
  announced_ = true;
  std::array<char, 24> storage;
  const std::to_chars_result end = std::to_chars(storage.data(), storage.data() + storage.size(),
                                                 std::chrono::duration_cast<std::chrono::microseconds>(queued).count());
  begin_interim(kBeginsAtPod, "Begins");
  field(fleet_field::kReplica, replica);
  field(fleet_field::kQueued, {storage.data(), static_cast<std::size_t>(end.ptr - storage.data())});
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
