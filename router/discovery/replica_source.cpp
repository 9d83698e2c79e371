#include "router/discovery/replica_source.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "router/base/log.h"

namespace router::discovery {

using runtime::Address;

/// Lives as long as it is listed, over reloads too, so that a look-up which is under way is neither lost nor doubled by them.
class FileReplicas::Entry final : public runtime::Timer {
 public:
  Entry(FileReplicas& owner, std::string deployment) : deployment_(std::move(deployment)), owner_(owner) {}

  const std::string& deployment() const { return deployment_; }
  bool same(const Entry& other) const { return replica.name == other.replica.name && probe_port == other.probe_port; }
  void take(const Address& address) {
    resolved = true;
    replica.address = address;
    replica.probe_address = *Address::parse(address.ip(), probe_port);
  }

  FoundReplica replica;
  std::uint16_t port = 0;
  std::uint16_t probe_port = 0;
  bool asked = false;     // at least once
  bool answered = false;  // at least once, with an address or without
  bool resolved = false;
  bool refused = false;                                         // it is where this process listens, and the log says so
  bool failing = false;                                         // the last look-up failed, and the log says so
  std::string failure = "its name has not been looked up yet";  // of the last look-up

 private:
  void expired() override { owner_.look_up(*this); }
  const std::string deployment_;
  FileReplicas& owner_;
};

FileReplicas::FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found)
    : control_(control), resolver_(resolver), found_(std::move(found)) {}

FileReplicas::~FileReplicas() = default;

std::shared_ptr<FileReplicas::Entry> FileReplicas::make_entry(const std::string& deployment,
                                                              const config::ReplicaAddress& configured,
                                                              const config::Deployment& settings) {
  auto entry = std::make_shared<Entry>(*this, deployment);
  entry->port = configured.port != 0 ? configured.port : settings.scoring_route.port;
  // The probe goes to the replica's own port unless the readiness route names another than the scoring route's.
  const bool same_port = settings.readiness_route.port == settings.scoring_route.port;
  entry->probe_port = same_port ? entry->port : settings.readiness_route.port;
  entry->replica.host = configured.host;
  const bool is_ipv6 = configured.host.find(':') != std::string::npos;
  entry->replica.name = absl::StrCat(is_ipv6 ? "[" : "", configured.host, is_ipv6 ? "]:" : ":", entry->port);
  if (const std::optional<Address> address = Address::parse(configured.host, entry->port)) {
    entry->asked = entry->answered = true;
    entry->take(*address);
  }
  return entry;
}

void FileReplicas::set(const std::string& deployment, const config::Deployment& settings) {
  Listed& listed = deployments_[deployment];
  Entries next;
  for (const config::ReplicaAddress& configured : settings.replicas) {
    std::shared_ptr<Entry> entry = make_entry(deployment, configured, settings);
    const auto same = [&entry](const std::shared_ptr<Entry>& other) { return other->same(*entry); };
    if (std::any_of(next.begin(), next.end(), same)) continue;  // listed twice, with its port and without
    const auto known = std::find_if(listed.entries.begin(), listed.entries.end(), same);
    next.push_back(known != listed.entries.end() ? *known : std::move(entry));
  }
  listed.entries = std::move(next);
  tell(deployment);
  for (const std::shared_ptr<Entry>& entry : listed.entries) {
    if (!entry->asked) look_up(*entry);
  }
}

void FileReplicas::remove(const std::string& deployment) { deployments_.erase(deployment); }

std::vector<FileReplicas::Missing> FileReplicas::missing(const std::string& deployment) const {
  std::vector<Missing> missing;
  const auto listed = deployments_.find(deployment);
  if (listed == deployments_.end()) return missing;
  for (const std::shared_ptr<Entry>& entry : listed->second.entries) {
    if (!entry->resolved) missing.push_back({entry->replica.name, entry->failure, "its name is not resolved"});
    if (entry->resolved && entry->refused) {
      missing.push_back({entry->replica.name, "it is where the router itself listens", "it is the router itself"});
    }
  }
  return missing;
}

bool FileReplicas::listed() const {
  return std::all_of(deployments_.begin(), deployments_.end(), [](const auto& deployment) {
    const Entries& entries = deployment.second.entries;
    return std::all_of(entries.begin(), entries.end(), [](const auto& entry) { return entry->answered; });
  });
}

void FileReplicas::look_up(Entry& entry) {
  // The list owns its entries, so one that is still owned by somebody when the answer comes is still listed.
  const Entries& listed = deployments_.at(entry.deployment()).entries;
  const auto self = std::find_if(listed.begin(), listed.end(), [&entry](const auto& each) { return each.get() == &entry; });
  resolver_.resolve(entry.replica.host, entry.port,
                    [this, asked = std::weak_ptr(*self)](const runtime::Resolver::Addresses& addresses) {
                      if (const std::shared_ptr<Entry> still_listed = asked.lock()) looked_up(*still_listed, addresses);
                    });
  entry.asked = true;  // only now: asking may find no memory
}

void FileReplicas::looked_up(Entry& entry, const runtime::Resolver::Addresses& addresses) {
  entry.answered = true;
  // First: what throws below is made up for by the next answer.
  const bool has_address = entry.resolved || addresses.ok();
  control_.schedule(entry, control_.now() + (has_address ? kResolveAgain : kResolveUnknownAgain));
  const std::string label = absl::StrCat("replica ", entry.replica.name, " of ", entry.deployment());
  if (addresses.ok()) {
    if (std::exchange(entry.failing, false)) log::info(absl::StrCat(label, ": its name is resolved again"));
    const bool still_there =
        entry.resolved && std::find(addresses->begin(), addresses->end(), entry.replica.address) != addresses->end();
    if (!still_there) {
      entry.take(addresses->front());
      tell_soon(entry.deployment());
    }
    return;
  }
  const std::string before = std::exchange(entry.failure, std::string(addresses.status().message()));
  if (!entry.resolved && entry.failure != before) tell_soon(entry.deployment());  // why it is missing
  if (!std::exchange(entry.failing, true)) {
    log::warning(absl::StrCat(label, ": ", addresses.status().message(), entry.resolved ? "; its last address is kept" : ""));
  }
}

/// Once for all answers that come together.
void FileReplicas::tell_soon(const std::string& deployment) {
  Listed& listed = deployments_.at(deployment);
  if (listed.telling) return;
  control_.post([this, deployment, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto still_listed = deployments_.find(deployment);
    if (still_listed == deployments_.end()) return;
    still_listed->second.telling = false;
    tell(deployment);
  });
  listed.telling = true;
}

void FileReplicas::tell(const std::string& deployment) {
  std::vector<FoundReplica> replicas;
  for (const std::shared_ptr<Entry>& entry : deployments_.at(deployment).entries) {
    if (entry->resolved && !leads_back(*entry)) replicas.push_back(entry->replica);
  }
  found_(deployment, replicas);
}

bool FileReplicas::leads_back(Entry& entry) const {
  const bool leads_back = own_->is_listener(entry.replica.address);
  const bool told = std::exchange(entry.refused, leads_back);
  if (leads_back && !told) {
    log::error(absl::StrCat("replica ", entry.replica.name, " of ", entry.deployment(), ": ", entry.replica.address.text(),
                            " is where the router itself listens, so each request would come back: it gets none"));
  }
  return leads_back;
}

}  // namespace router::discovery
