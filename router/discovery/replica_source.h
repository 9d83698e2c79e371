#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/runtime/resolver.h"
#include "router/runtime/shard.h"

namespace router::discovery {

/// One replica as a source of replicas knows it.
struct FoundReplica {
  std::string name;  // host:port as configured, the port filled in
  std::string host;
  runtime::Address address;        // for scoring
  runtime::Address probe_address;  // for the readiness probe
};

/// Replicas that are listed in deployment files. Names are resolved again every kResolveAgain; a look-up that fails keeps the
/// last address, and an address in use is kept as long as the name still has it. Control thread.
class FileReplicas {
 public:
  static constexpr std::chrono::seconds kResolveAgain{30};
  /// All replicas of a deployment, whenever they have changed and after every `set`.
  using Found = std::function<void(const std::string& deployment, const std::vector<FoundReplica>& replicas)>;

  FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found);
  ~FileReplicas();

  void set(const std::string& deployment, const config::Deployment& settings);
  void remove(const std::string& deployment);
  void stop() { deployments_.clear(); }
  /// Every listed replica has been looked up at least once, successfully or not.
  bool listed() const;

 private:
  struct Entry {
    FoundReplica replica;
    std::uint16_t port = 0;
    std::uint16_t probe_port = 0;
    bool resolved = false;
    bool answered = false;
    bool literal = false;  // an IP address
  };
  class Listed;  // one deployment

  void look_up(const std::shared_ptr<Listed>& listed, std::size_t index);
  void tell(const Listed& listed) const;

  runtime::Shard& control_;
  runtime::Resolver& resolver_;
  const Found found_;
  std::map<std::string, std::shared_ptr<Listed>> deployments_;
};

}  // namespace router::discovery
