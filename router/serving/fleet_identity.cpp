#include "router/serving/fleet_identity.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <cstdint>
#include <random>

namespace router::serving {

fleet::Identity make_identity(const config::Fleet& fleet, const std::string& host_name) {
  std::random_device random;
  const std::uint64_t bits = std::uint64_t{random()} << 32 | random();
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return {.id = absl::StrCat(host_name, "-", absl::Hex(bits, absl::kZeroPad16)),
          .pod_uid = fleet.peers.empty() ? fleet.pod_uid : fleet.advertise,
          .address = fleet.advertise,
          .started = std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count()};
}

}  // namespace router::serving
