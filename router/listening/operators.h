#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/findings.h"
#include "router/admin/operator_server.h"

namespace router::listening {

/// The two listeners for operators, and their move to other addresses: the new one is open before the old one closes, and the
/// request that caused the change is still answered. Control thread.
class Operators {
 public:
  using Routes = std::function<std::vector<admin::OperatorRoute>()>;
  Operators(runtime::Shard& control, Routes observe, Routes admin)
      : control_(control), observe_(std::move(observe), false), admin_(std::move(admin), true) {}

  /// Servers that listen already and are not in use yet; null: the current one stays.
  struct Change {
    std::unique_ptr<admin::OperatorServer> observe;
    std::unique_ptr<admin::OperatorServer> admin;
    std::string observe_address;
    std::string admin_address;
    std::vector<std::string> unresolved;
  };
  /// The ports of listeners that `wanted` moves to another address.
  std::set<std::uint16_t> given_up(const config::Process& wanted) const;
  /// What cannot be opened goes to `findings`: as a mistake, or as a warning if only its name cannot be resolved now.
  Change prepare(const config::Process& wanted, const std::set<std::uint16_t>& given_up, config::Findings& findings);
  void apply(Change change) noexcept;
  /// Addresses of the configuration in force whose name could not be resolved. Until the configuration is read again, those
  /// listeners stay as they were, or closed.
  const std::vector<std::string>& unresolved() const { return unresolved_; }
  /// Closes everything, connections included.
  void stop();

 private:
  struct Listener {
    Listener(Routes what, bool guarded) : routes(std::move(what)), checks_host(guarded) {}
    const Routes routes;
    const bool checks_host;  // it changes things, and shows what is not public
    std::string address;
    std::unique_ptr<admin::OperatorServer> server;
  };
  std::unique_ptr<admin::OperatorServer> open(const Listener& listener, const std::string& address,
                                              const config::Location& location, const std::set<std::uint16_t>& given_up,
                                              std::vector<std::string>& unresolved, config::Findings& findings) const;
  void move(Listener& listener, std::string& address, std::unique_ptr<admin::OperatorServer> server) noexcept;

  runtime::Shard& control_;
  Listener observe_;
  Listener admin_;
  std::vector<std::string> unresolved_;
  std::vector<std::unique_ptr<admin::OperatorServer>> retired_;  // those that still have connections, for seconds at most
};

}  // namespace router::listening
