#include "router/root/replica_check.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "router/base/host_port.h"
#include "router/client/connect.h"
#include "router/discovery/name_addresses.h"
#include "router/discovery/probe.h"
#include "router/runtime/resolver.h"
#include "router/serving/client_contexts.h"

namespace router::root {
namespace {

using discovery::ProbeAnswer;
using runtime::Address;

/// A replica that a deployment lists, and the output lines about it.
struct Listed {
  const config::Deployment* deployment = nullptr;
  std::string host;
  std::uint16_t port = 0;
  std::uint16_t probe_port = 0;  // the replica's port, unless readiness and scoring routes have different ports
  std::vector<std::string> lines;
  std::size_t not_ready = 0;

  std::string bare_host() const { return host.ends_with('.') ? host.substr(0, host.size() - 1) : host; }
  std::string label(const std::string& address) const {
    const std::string behind_a_name = address.empty() || address == host ? "" : " (" + address + ")";
    return absl::StrCat(deployment->endpoint_name, "/", deployment->name, " ", join_host_port(host, port), behind_a_name, ": ");
  }
  void ready(const std::string& address, const std::string& what) { lines.push_back("ok: " + label(address) + what); }
  void refuse(const std::string& address, const std::string& why) {
    lines.push_back("not ok: " + label(address) + why);
    ++not_ready;
  }
};

Listed make_listed(const config::Deployment& deployment, const config::ReplicaAddress& replica) {
  Listed listed;
  listed.deployment = &deployment;
  listed.host = replica.host;
  listed.port = replica.port != 0 ? replica.port : deployment.scoring_route.port;
  const bool same_port = deployment.readiness_route.port == deployment.scoring_route.port;
  listed.probe_port = same_port ? listed.port : deployment.readiness_route.port;
  return listed;
}

class Checking {
 public:
  Checking(const std::vector<config::Endpoint>& endpoints, const ReplicaCheckOptions& options)
      : options_(options), until_(control_.now() + options.all_together_max), limit_(options.at_once) {
    for (const config::Endpoint& endpoint : endpoints) {
      for (const config::Deployment& deployment : endpoint.deployments) {
        for (const config::ReplicaAddress& each : deployment.replicas) listed_.push_back(make_listed(deployment, each));
        if (deployment.replicas.empty()) without_replicas_.push_back(endpoint.name + "/" + deployment.name);
      }
    }
  }

  ReplicaCheck run() {
    runtime::TaskGroup whole(control_, 1);
    control_.post([&] { whole.try_spawn(check_all()); });
    control_.run();
    ReplicaCheck result;
    for (const Listed& each : listed_) {
      result.lines.insert(result.lines.end(), each.lines.begin(), each.lines.end());
      result.asked += each.lines.size();
      result.not_ready += each.not_ready;
    }
    for (const std::string& name : without_replicas_) result.lines.push_back("not ok: " + name + ": it has no replicas");
    result.asked += without_replicas_.size();
    result.not_ready += without_replicas_.size();
    return result;
  }

 private:
  Task<void> check_all() {
    runtime::TaskGroup group(control_, listed_.size() + 1);
    for (Listed& each : listed_) group.try_spawn(check(each));
    co_await group.wait(kNever);
    control_.stop();
  }

  Task<void> check(Listed& listed) {
    const auto cancellation = runtime::CancelSource::make(control_);  // never cancelled: the check has a deadline instead
    const discovery::ProbeLimit::Permit turn = co_await limit_.acquire(cancellation);
    runtime::Resolver::Addresses found = co_await look_up(*cancellation, listed);
    if (!found.ok()) {
      listed.refuse("", std::string(found.status().message()));
      co_return;
    }
    discovery::NameAddresses addresses;
    const bool one = listed.deployment->resolve == config::Resolve::kFirst || discovery::is_localhost(listed.host);
    addresses.use(one ? discovery::NameAddresses::Use::kFirst : discovery::NameAddresses::Use::kAll);
    addresses.looked_up(*found);
    const std::vector<Address> in_use = addresses.in_use();
    for (std::size_t i = 0; i < in_use.size(); ++i) {
      const std::optional<Address> other = addresses.other(i);
      const bool connected = co_await check_address(*cancellation, listed, in_use[i], other.has_value());
      if (!connected && other) co_await check_address(*cancellation, listed, *other, false);
    }
  }

  Task<runtime::Resolver::Addresses> look_up(runtime::Cancellation& cancellation, const Listed& listed) {
    std::vector<Address> known = discovery::known_addresses(listed.host, listed.port);
    if (!known.empty()) co_return std::move(known);
    const Deadline deadline = std::min<Deadline>(until_, control_.now() + options_.look_up_max);
    client::Outcome<std::vector<Address>> found =
        co_await client::look_up(cancellation, resolver_, listed.host, listed.port, deadline);
    if (found) co_return std::move(*found);
    if (!found.error().gave_up()) co_return absl::UnavailableError(found.error().detail);
    co_return absl::DeadlineExceededError(absl::StrCat("its name was not resolved in ", options_.look_up_max.count(), " s"));
  }

  /// Returns whether the address accepts a connection. Also true if it was not tried. If it accepts none and `has_other` is
  /// true, reports nothing.
  Task<bool> check_address(runtime::Cancellation& cancellation, Listed& listed, const Address& address, bool has_other) {
    const std::string ip = address.ip();
    if (control_.now() >= until_) {
      listed.refuse(ip, absl::StrCat("not checked: ", options_.all_together_max.count(), " s have passed"));
      co_return true;
    }
    absl::StatusOr<discovery::ProbeTarget> target = target_of(listed, address);
    if (!target.ok()) {
      listed.refuse(ip, std::string(target.status().message()));
      co_return true;
    }
    const bool unverified = listed.deployment->tls && !listed.deployment->tls->verify;
    const Deadline deadline = std::min<Deadline>(until_, control_.now() + target->settings.timeout);
    ProbeAnswer answer;
    if (unverified) {
      answer = co_await discovery::ask_for_connection(cancellation, *target, target->address, deadline);
    } else {
      answer = co_await discovery::ask_for_readiness(cancellation, *target, deadline);
    }
    if (!answer.connected && has_other) co_return false;
    if (answer.ready() && unverified) {
      listed.refuse(ip,
                    "it accepts connections; readiness is not checked, as tls.verify is false and nothing is sent unverified");
    } else if (!answer.ready()) {
      listed.refuse(ip, answer.why.empty() ? "not checked" : answer.why);
    } else {
      co_await check_scoring_port(cancellation, listed, *target, address);
    }
    co_return answer.connected;
  }

  /// The readiness route is ready. If scoring uses another port, that port must accept connections, too.
  Task<void> check_scoring_port(runtime::Cancellation& cancellation, Listed& listed, const discovery::ProbeTarget& target,
                                const Address& scoring) {
    const std::string route = "GET " + target.route.path.substr(0, target.route.path.find('?'));
    const std::string ready = "ready (" + route + (target.tls != nullptr ? ", certificate checked)" : ")");
    if (listed.probe_port == listed.port) {
      listed.ready(scoring.ip(), ready);
      co_return;
    }
    const Deadline deadline = std::min<Deadline>(until_, control_.now() + target.settings.timeout);
    const ProbeAnswer answer = co_await discovery::ask_for_connection(cancellation, target, scoring, deadline);
    const std::string at = absl::StrCat(" at port ", listed.probe_port);
    if (answer.ready()) {
      listed.ready(scoring.ip(), ready + at);
    } else {
      listed.refuse(scoring.ip(), absl::StrCat("ready", at, ", but port ", listed.port, ", which scores: ", answer.why));
    }
  }

  absl::StatusOr<discovery::ProbeTarget> target_of(const Listed& listed, const Address& address) {
    discovery::ProbeTarget target;
    target.host = bracketed_host(listed.bare_host());
    target.address = *Address::parse(address.ip(), listed.probe_port);
    target.route = listed.deployment->readiness_route;
    target.settings = listed.deployment->readiness_probe;
    target.settings.timeout = std::min(target.settings.timeout, options_.answer_max);
    if (!listed.deployment->tls) return target;
    absl::StatusOr<serving::ClientContexts::Set> contexts = contexts_.get(*listed.deployment->tls);
    if (!contexts.ok()) return contexts.status();
    target.tls = contexts->front();
    target.server_name = listed.deployment->tls->server_name.empty() ? listed.bare_host() : listed.deployment->tls->server_name;
    return target;
  }

  const ReplicaCheckOptions options_;
  SteadyClock clock_;
  runtime::Shard control_{0, clock_};
  const TimePoint until_;
  discovery::ProbeLimit limit_;
  runtime::Resolver resolver_{control_};
  serving::ClientContexts contexts_{1};
  std::vector<Listed> listed_;
  std::vector<std::string> without_replicas_;
};

}  // namespace

ReplicaCheck check_replicas(const std::vector<config::Endpoint>& endpoints, const ReplicaCheckOptions& options) {
  return Checking(endpoints, options).run();
}

}  // namespace router::root
