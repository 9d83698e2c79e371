#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "router/discovery/scale_objects.h"
#include "router/kubernetes/api_client.h"
#include "router/runtime/task_group.h"

namespace router::discovery {

/// Follows HorizontalPodAutoscalers and finds those whose target is a certain Deployment or StatefulSet. Keeps nothing of the
/// others. Bounds: one watch for each followed namespace, or one for all; kKeptMax of each namespace.
/// Control thread. After its destruction it calls nothing.
class ScaleHpas final {
 public:
  static constexpr std::size_t kKeptMax = 5'000;
  static constexpr std::chrono::seconds kStaleAfter{60};  // without a word of the API server the list says nothing any more

  struct Answer {
    std::string conflicting;  // the name of one whose target it is; empty: there is none
    std::string unreadable;   // why that is not known; empty: it is known
    bool is_pending = false;  // it is not known, since the first list is under way
  };

  /// `served`: the namespaces that may be followed; empty: all, by one watch. `changed` is called when what is
  /// known of a namespace has changed (empty: of any). It may be called inside the
  /// other functions, and must not call them. `client` and `group` outlive this.
  ScaleHpas(kubernetes::ApiClient& client, runtime::TaskGroup& group, const std::vector<std::string>& served,
            std::function<void(const std::string& namespace_name)> changed);
  ~ScaleHpas();
  ScaleHpas(const ScaleHpas&) = delete;
  ScaleHpas& operator=(const ScaleHpas&) = delete;

  /// Follows those of `namespaces` that are served, and no others any more.
  void follow(const std::set<std::string>& namespaces);
  /// Whose target this object of apps is.
  Answer ask(const std::string& namespace_name, const std::string& kind, const std::string& name) const;
  /// Calls `changed` for each watch whose readability has changed without an event. To be called every now and then.
  void check();

 private:
  class Followed;

  kubernetes::ApiClient& client_;
  runtime::TaskGroup& group_;
  const std::set<std::string> served_;
  const std::function<void(const std::string&)> changed_;
  std::map<std::string, std::unique_ptr<Followed>> followed_;  // by namespace; by "": all of them
};

}  // namespace router::discovery
