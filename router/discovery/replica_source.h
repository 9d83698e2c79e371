#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/discovery/found_replica.h"
#include "router/discovery/own_addresses.h"
#include "router/runtime/resolver.h"
#include "router/runtime/shard.h"

namespace router::discovery {

/// Finds the replicas that deployment files list. It resolves each name again every kResolveAgain, and names that have no
/// address yet every kResolveUnknownAgain, since a pod's name may appear after the router has started. Each address of a name
/// is a replica (name_addresses.h says which are used). A failed look-up changes nothing. Reasons: docs/decisions/0045. Control
/// thread.
class FileReplicas {
 public:
  static constexpr std::chrono::seconds kResolveAgain{30};
  static constexpr std::chrono::seconds kResolveUnknownAgain{5};
  /// Receives all replicas of a deployment that have an address, in their listed order, each address and port once. Called
  /// inside every `set`, and from the loop whenever they have changed. Must not call back into this.
  using Found = std::function<void(const std::string& deployment, const std::vector<FoundReplica>& replicas)>;

  FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found);
  FileReplicas(const FileReplicas&) = delete;
  FileReplicas& operator=(const FileReplicas&) = delete;
  ~FileReplicas();

  /// Sets the listed replicas of a deployment. Replicas that were listed before keep their state. IP addresses need no look-up.
  void set(const std::string& deployment, const config::Deployment& settings);
  void remove(const std::string& deployment);
  /// Takes the result of a probe of a replica that has an address of the other family (FoundReplica::other_family): whether the
  /// replica accepted a connection, and whether that other address did. If the replicas change, Found is called from the loop.
  void probed(const std::string& deployment, const runtime::Address& address, bool connected, bool other_connects);
  /// Leaves out replicas whose address is a listener of `own`, from the next call of Found on, and logs them.
  void avoid(std::shared_ptr<const OwnAddresses> own) noexcept { own_.swap(own); }
  void stop() { deployments_.clear(); }
  /// A listed replica that cannot be used at present.
  struct Missing {
    std::string name;  // host:port
    std::string why;   // for operators
    std::string told;  // for clients; contains no host name
  };
  std::vector<Missing> missing(const std::string& deployment) const;
  /// Whether every listed replica has been looked up at least once, successfully or not.
  bool listed() const;

 private:
  class Entry;  // one listed replica
  using Entries = std::vector<std::shared_ptr<Entry>>;
  struct Listed {  // one deployment
    Entries entries;
    bool distinct_by_host = false;  // TLS: two names of one address may be two servers
    bool telling = false;           // a call of `notify` is posted
  };

  std::shared_ptr<Entry> make_entry(const std::string& deployment, const config::ReplicaAddress& configured,
                                    const config::Deployment& settings);
  void look_up(Entry& entry);
  void looked_up(Entry& entry, const runtime::Resolver::Addresses& addresses);
  void failed(Entry& entry, const std::string& label, std::string why);
  static std::vector<FoundReplica> found(const Entry& entry);
  void notify_soon(const std::string& deployment);
  void notify(const std::string& deployment);

  runtime::Shard& control_;
  runtime::Resolver& resolver_;
  const Found found_;
  std::shared_ptr<const OwnAddresses> own_ = std::make_shared<const OwnAddresses>();
  std::map<std::string, Listed> deployments_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // expired for posted calls that run after the destruction
};

}  // namespace router::discovery
