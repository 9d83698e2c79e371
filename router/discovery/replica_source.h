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

/// Replicas that are listed in deployment files. Names are resolved again every kResolveAgain, those without any address yet
/// more often (a pod's name may appear after the router has started). Each address that a name has is a replica
/// (name_addresses.h says which are used); a look-up that fails changes nothing. Why: docs/decisions/0045. Control thread.
class FileReplicas {
 public:
  static constexpr std::chrono::seconds kResolveAgain{30};
  static constexpr std::chrono::seconds kResolveUnknownAgain{5};
  /// All replicas of a deployment that have an address, in their listed order, each address and port once: inside every `set`,
  /// and from the loop whenever they have changed. Must not call back into this.
  using Found = std::function<void(const std::string& deployment, const std::vector<FoundReplica>& replicas)>;

  FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found);
  FileReplicas(const FileReplicas&) = delete;
  FileReplicas& operator=(const FileReplicas&) = delete;
  ~FileReplicas();

  /// Replicas that were listed before keep what is known of them. IP addresses are known at once.
  void set(const std::string& deployment, const config::Deployment& settings);
  void remove(const std::string& deployment);
  /// What a probe of a replica with an address of another family (FoundReplica::other_family) has come to: whether the replica
  /// accepted a connection, and whether that other address did. What follows is told from the loop.
  void probed(const std::string& deployment, const runtime::Address& address, bool connected, bool other_connects);
  /// Replicas at listeners of `own` are not told, from the next telling on; the log says so.
  void avoid(std::shared_ptr<const OwnAddresses> own) noexcept { own_.swap(own); }
  void stop() { deployments_.clear(); }
  /// A listed replica that is none at present.
  struct Missing {
    std::string name;  // host:port
    std::string why;   // for operators
    std::string told;  // for clients: names no host
  };
  std::vector<Missing> missing(const std::string& deployment) const;
  /// Every listed replica has been looked up at least once, successfully or not.
  bool listed() const;

 private:
  class Entry;  // one listed replica
  using Entries = std::vector<std::shared_ptr<Entry>>;
  struct Listed {  // one deployment
    Entries entries;
    bool distinct_by_host = false;  // TLS: two names of one address may be two servers
    bool telling = false;           // `tell` is on its way
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
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what was posted and runs after the end
};

}  // namespace router::discovery
