#include "router/serving/fleet_courier.h"

#include <exception>
#include <utility>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::serving {

FleetCourier::FleetCourier(runtime::Shard& fleet, runtime::Shard& control, Work deliver, Work returned)
    : fleet_(fleet), control_(control), deliver_(std::move(deliver)), returned_(std::move(returned)) {}

void FleetCourier::send(FleetLetter letter) noexcept {
  ROUTER_ASSERT(is_home_);
  letter_ = std::move(letter);
  is_home_ = delivered_ = false;
  control_.send(*this);
}

void FleetCourier::run() {
  const bool at_control = !std::exchange(delivered_, true);
  if (!at_control) is_home_ = true;
  try {
    (at_control ? deliver_ : returned_)(letter_);
  } catch (const std::exception& error) {
    runtime::contain(error);
  }
  if (at_control) fleet_.send(*this);
}

}  // namespace router::serving
