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

std::shared_ptr<const NamespaceHome> FleetHomes::get_unlimited(const std::string& deployment, const std::string& name_space) {
  Unlimited& known = unlimited_[deployment];
  known.name_space = name_space;
  std::shared_ptr<NamespaceHome> home = known.home.lock();
  if (home == nullptr) {
    known.home = home = std::make_shared<NamespaceHome>();
    home->set(where_unlimited(deployment, name_space));
  }
  return home;
}

void FleetHomes::set(std::map<std::string, std::int32_t> known, std::set<std::string> bound) {
  known_ = std::move(known);
  bound_ = std::move(bound);
  for (auto each = objects_.begin(); each != objects_.end();) {
    if (const std::shared_ptr<NamespaceHome> home = each->second.lock()) {
      home->set(where(each->first));
      ++each;
    } else {
      each = objects_.erase(each);
    }
  }
  for (auto each = unlimited_.begin(); each != unlimited_.end();) {
    if (const std::shared_ptr<NamespaceHome> home = each->second.home.lock()) {
      home->set(where_unlimited(each->first, each->second.name_space));
      ++each;
    } else {
      each = unlimited_.erase(each);
    }
  }
}

std::int32_t FleetHomes::where_unlimited(const std::string& deployment, const std::string& name_space) const {
  return bound_.contains(deployment) ? where(name_space) : NamespaceHome::kHere;
}

std::int32_t FleetHomes::where(const std::string& name_space) const {
  const auto found = known_.find(name_space);
  return found == known_.end() ? NamespaceHome::kNobody : found->second;
}

}  // namespace router::serving
