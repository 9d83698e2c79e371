#include "router/listening/operators.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "router/admin/listening.h"
#include "router/base/host_port.h"

namespace router::listening {
namespace {

/// 0 for a Unix socket.
std::uint16_t port_of(const std::string& address) {
  const std::optional<HostPort> parts = split_host_port(address);
  return parts && parts->port ? port_number(*parts->port).value_or(0) : 0;
}

}  // namespace

std::set<std::uint16_t> Operators::given_up(const config::Process& wanted) const {
  std::set<std::uint16_t> ports;
  if (observe_.server && observe_.address != wanted.observe_address) ports.insert(observe_.server->port());
  if (admin_.server && admin_.address != wanted.admin_address) ports.insert(admin_.server->port());
  return ports;
}

Operators::Change Operators::prepare(const config::Process& wanted, const std::set<std::uint16_t>& given_up,
                                     config::Findings& findings) {
  retired_.reserve(retired_.size() + 2);  // `apply` cannot fail
  Change change;
  change.observe_address = wanted.observe_address;
  change.admin_address = wanted.admin_address;
  change.observe =
      open(observe_, wanted.observe_address, wanted.locations.observe_address, given_up, change.unresolved, findings);
  change.admin = open(admin_, wanted.admin_address, wanted.locations.admin_address, given_up, change.unresolved, findings);
  return change;
}

std::unique_ptr<admin::OperatorServer> Operators::open(const Listener& listener, const std::string& address,
                                                       const config::Location& location,
                                                       const std::set<std::uint16_t>& given_up,
                                                       std::vector<std::string>& unresolved, config::Findings& findings) const {
  if (listener.server && listener.address == address) return nullptr;
  admin::OperatorServerOptions options;
  options.address = address;
  options.checks_host = listener.checks_host;
  auto server = std::make_unique<admin::OperatorServer>(control_, options, listener.routes());
  const auto use = given_up.contains(port_of(address)) ? runtime::PortUse::kGivenUp : runtime::PortUse::kMustBeFree;
  const absl::Status started = server->start(use);
  if (started.ok()) return server;
  if (admin::Listening::is_unresolved(started)) {
    unresolved.push_back(address);
    findings.warning(location, absl::StrCat(started.message(), "; it is looked up again until it is known"));
    return nullptr;
  }
  findings.mistake(location, std::string(started.message()));
  return nullptr;
}

void Operators::apply(Change change) noexcept {
  const auto has_ended = [](const std::unique_ptr<admin::OperatorServer>& each) { return each->connections() == 0; };
  retired_.erase(std::remove_if(retired_.begin(), retired_.end(), has_ended), retired_.end());
  move(observe_, change.observe_address, std::move(change.observe));
  move(admin_, change.admin_address, std::move(change.admin));
  unresolved_.swap(change.unresolved);
}

void Operators::move(Listener& listener, std::string& address, std::unique_ptr<admin::OperatorServer> server) noexcept {
  if (!server) return;
  std::swap(listener.server, server);
  listener.address.swap(address);
  if (!server) return;
  server->retire();
  retired_.push_back(std::move(server));
}

void Operators::stop() {
  observe_.server.reset();
  admin_.server.reset();
  retired_.clear();
}

}  // namespace router::listening
