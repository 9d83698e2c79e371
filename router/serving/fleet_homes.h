#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "router/dispatch/namespace_home.h"

namespace router::serving {

/// Where the home of each namespace is, as the data path sees it. An object exists as long as a view refers to it, so that
/// every view sees a change. Control thread.
class FleetHomes {
 public:
  /// For a view that is being built. Throws std::bad_alloc.
  std::shared_ptr<const dispatch::NamespaceHome> get(const std::string& name_space);
  /// The same for one deployment without a limit. It is here on every router, unless it is bound. Throws std::bad_alloc.
  std::shared_ptr<const dispatch::NamespaceHome> get_unlimited(const std::string& deployment, const std::string& name_space);

  /// Replaces what is known: NamespaceHome::kHere or the index of a peer, for each namespace that has a home. All others have
  /// nobody. `bound`: the keys of the deployments that share a pod with one that has a limit; without one of their own they
  /// have the home of their namespace, too, since only the home may use the pod. Where the home goes away from here, the data
  /// path learns it in this call.
  void set(std::map<std::string, std::int32_t> known, std::set<std::string> bound);
  /// NamespaceHome::kNobody if nothing is known.
  std::int32_t where(const std::string& name_space) const;
  std::int32_t where_unlimited(const std::string& deployment, const std::string& name_space) const;
  bool here(const std::string& name_space) const { return where(name_space) == dispatch::NamespaceHome::kHere; }
  const std::map<std::string, std::int32_t>& all() const { return known_; }

 private:
  std::map<std::string, std::int32_t> known_;
  std::set<std::string> bound_;
  std::map<std::string, std::weak_ptr<dispatch::NamespaceHome>> objects_;
  struct Unlimited {
    std::string name_space;
    std::weak_ptr<dispatch::NamespaceHome> home;
  };
  std::map<std::string, Unlimited> unlimited_;  // by the deployment's key
};

}  // namespace router::serving
