#include "router/serving/fleet_homes.h"

#include <utility>

namespace router::serving {

using dispatch::NamespaceHome;

std::shared_ptr<const NamespaceHome> FleetHomes::get(const std::string& name_space) {
  std::weak_ptr<NamespaceHome>& known = objects_[name_space];
  std::shared_ptr<NamespaceHome> home = known.lock();
  if (home == nullptr) {
    known = home = std::make_shared<NamespaceHome>();
    home->set(where(name_space));
  }
  return home;
}

void FleetHomes::set(std::map<std::string, std::int32_t> known) {
  known_ = std::move(known);
  for (auto each = objects_.begin(); each != objects_.end();) {
    if (const std::shared_ptr<NamespaceHome> home = each->second.lock()) {
      home->set(where(each->first));
      ++each;
    } else {
      each = objects_.erase(each);
    }
  }
}

std::int32_t FleetHomes::where(const std::string& name_space) const {
  const auto found = known_.find(name_space);
  return found == known_.end() ? NamespaceHome::kNobody : found->second;
}

}  // namespace router::serving
