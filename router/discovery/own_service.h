#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "router/kubernetes/api_client.h"
#include "router/kubernetes/errands.h"
#include "router/runtime/task_group.h"

namespace router::discovery {

/// The host names by which clients reach the router's own Service: those of the load balancer in its status, and those that its
/// annotations request (external-dns, Azure's DNS label). No tenant may claim one of them, so every router reads the Service,
/// not only the one that writes statuses. It reads the Service once a minute, with the verb get. Control thread.
class OwnServiceNames final : private runtime::Timer, private kubernetes::Sender {
 public:
  static constexpr std::chrono::seconds kEvery{60};
  static constexpr std::size_t kTasks = 1;  // tasks in the group, at most

  /// `client` and `group` outlive this. `changed` is called from the loop when the names have changed, and after the first
  /// answer.
  OwnServiceNames(kubernetes::ApiClient& client, runtime::TaskGroup& group, std::string namespace_name, std::string name,
                  std::function<void()> changed);

  /// Whether the API server has answered at least once, with any status.
  bool known() const { return known_; }
  /// In lower case. `label.*.cloudapp.azure.com` stands for the name that Azure makes from a DNS label, since the region is not
  /// known here.
  const std::set<std::string>& hostnames() const { return hostnames_; }

 private:
  void expired() override;
  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;

  runtime::Shard& control_;
  const std::string namespace_name_;
  const std::string name_;
  const std::function<void()> changed_;
  bool known_ = false;
  std::set<std::string> hostnames_;
  kubernetes::Errands errands_;
};

/// Reads the host names of a Service that the API server has sent.
std::set<std::string> read_service_hostnames(const boost::json::object& service);

/// Whether `hostname` matches `own`, in which one `*` may stand for one label. Both are in lower case.
bool is_named_by(const std::string& hostname, const std::string& own);

}  // namespace router::discovery
