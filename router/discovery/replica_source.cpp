#include "router/discovery/replica_source.h"

#include <absl/strings/str_cat.h>
#include <netinet/in.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "router/base/host_port.h"
#include "router/base/log.h"
#include "router/discovery/name_addresses.h"

namespace router::discovery {

using runtime::Address;

/// One listed replica: an address, or a name with its addresses. It lives as long as the replica is listed, across reloads, so
/// that a reload neither loses nor repeats a look-up that is under way.
class FileReplicas::Entry final : public runtime::Timer {
 public:
  Entry(FileReplicas& owner, std::string key, std::string configured)
      : deployment(std::move(key)), host(std::move(configured)), owner_(owner) {}

  bool same(const Entry& other) const { return host == other.host && port == other.port && probe_port == other.probe_port; }
  /// `host:port` as configured.
  std::string name() const { return join_host_port(host, port); }
  /// The host without the final dot of an absolute name, as in certificates and in the field Host.
  std::string bare_host() const { return host.ends_with('.') ? host.substr(0, host.size() - 1) : host; }
  FoundReplica found(std::size_t index, const Address& address) const {
    FoundReplica replica;
    replica.name = is_name ? absl::StrCat(name(), " (", address.ip(), ")") : name();
    replica.host = bare_host();
    replica.address = address;
    replica.probe_address = *Address::parse(address.ip(), probe_port);
    if (const std::optional<Address> other = addresses.other(index)) {
      replica.other_family = Address::parse(other->ip(), probe_port);
      replica.prefers_other_family = addresses.second_choice();
    }
    return replica;
  }
  /// Whether this process listens at the address, so that no replica may be there. Logs it once for each address.
  bool leads_back(const Address& address, const OwnAddresses& own);
  std::size_t led_back() const { return refused_.size(); }

  const std::string deployment;
  const std::string host;
  std::uint16_t port = 0;
  std::uint16_t probe_port = 0;
  bool is_name = false;
  NameAddresses addresses;
  bool asked = false;                                           // the first look-up was started, or none is needed
  bool answered = false;                                        // the first look-up has ended, or none is needed
  bool failing = false;                                         // the last look-up failed, and that is logged
  bool crowded = false;                                         // it has more addresses than are used, and that is logged
  std::string failure = "its name has not been looked up yet";  // of the last look-up

 private:
  void expired() override { owner_.look_up(*this); }
  FileReplicas& owner_;
  std::set<std::string> refused_;  // addresses at which this process listens
};

bool FileReplicas::Entry::leads_back(const Address& address, const OwnAddresses& own) {
  if (!own.is_listener(address)) {
    refused_.erase(address.text());
    return false;
  }
  if (refused_.insert(address.text()).second) {
    log::error(
        absl::StrCat("replica ", name(), " of ", deployment, ": ", address.text(),
                     " is where the router itself listens, so it would send each request to itself; this replica gets none"));
  }
  return true;
}

FileReplicas::FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found)
    : control_(control), resolver_(resolver), found_(std::move(found)) {}

FileReplicas::~FileReplicas() = default;

std::shared_ptr<FileReplicas::Entry> FileReplicas::make_entry(const std::string& deployment,
                                                              const config::ReplicaAddress& configured,
                                                              const config::Deployment& settings) {
  auto entry = std::make_shared<Entry>(*this, deployment, configured.host);
  entry->port = configured.port != 0 ? configured.port : settings.scoring_route.port;
  // The probe uses the replica's own port, unless the readiness route has another port than the scoring route.
  const bool same_port = settings.readiness_route.port == settings.scoring_route.port;
  entry->probe_port = same_port ? entry->port : settings.readiness_route.port;
  entry->is_name = !Address::parse(configured.host, entry->port);
  const std::vector<Address> known = known_addresses(configured.host, entry->port);
  if (known.empty()) return entry;
  entry->asked = entry->answered = true;
  entry->addresses.looked_up(known);
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
    // `localhost` is one server, at whichever of its addresses it listens.
    const bool one = settings.resolve == config::Resolve::kFirst || is_localhost(next.back()->host);
    next.back()->addresses.use(one ? NameAddresses::Use::kFirst : NameAddresses::Use::kAll);
  }
  listed.entries = std::move(next);
  listed.distinct_by_host = settings.tls && settings.tls->server_name.empty();
  notify(deployment);
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
    const std::size_t in_use = entry->addresses.in_use().size();
    if (in_use == 0) missing.push_back({entry->name(), entry->failure, "its name is not resolved"});
    if (in_use > 0 && entry->led_back() >= in_use) {
      missing.push_back({entry->name(), "it is where the router itself listens", "it is the router itself"});
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
  // Only the list owns entries, so an entry that still exists when the look-up ends is still listed.
  const Entries& listed = deployments_.at(entry.deployment).entries;
  const auto self = std::find_if(listed.begin(), listed.end(), [&entry](const auto& each) { return each.get() == &entry; });
  resolver_.resolve(entry.host, entry.port,
                    [this, asked = std::weak_ptr(*self)](const runtime::Resolver::Addresses& addresses) {
                      if (const std::shared_ptr<Entry> still_listed = asked.lock()) looked_up(*still_listed, addresses);
                    });
  entry.asked = true;  // last: `resolve` may throw std::bad_alloc
}

void FileReplicas::looked_up(Entry& entry, const runtime::Resolver::Addresses& addresses) {
  entry.answered = true;
  // First: if the code below throws, the next look-up repeats it.
  const bool has_address = !entry.addresses.empty() || addresses.ok();
  control_.schedule(entry, control_.now() + (has_address ? kResolveAgain : kResolveUnknownAgain));
  const std::string label = absl::StrCat("replica ", entry.name(), " of ", entry.deployment);
  if (!addresses.ok()) return failed(entry, label, std::string(addresses.status().message()));
  if (std::exchange(entry.failing, false)) log::info(absl::StrCat(label, ": its name is resolved again"));
  const std::vector<FoundReplica> before = found(entry);
  const bool crowded = entry.addresses.looked_up(*addresses);
  if (crowded && !std::exchange(entry.crowded, crowded)) {
    log::warning(absl::StrCat(label, ": its name has more than ", NameAddresses::kMax, " addresses; the others are not used"));
  }
  const std::vector<FoundReplica> now = found(entry);
  for (const FoundReplica& each : before) {
    const auto same = [&](const FoundReplica& other) { return other.address == each.address; };
    if (std::any_of(now.begin(), now.end(), same)) continue;
    log::info(absl::StrCat("replica ", each.name, " of ", entry.deployment, ": its name does not have this address any more"));
  }
  if (now != before) notify_soon(entry.deployment);
}

void FileReplicas::failed(Entry& entry, const std::string& label, std::string why) {
  const bool news = std::exchange(entry.failure, std::move(why)) != entry.failure;
  if (entry.addresses.empty() && news) notify_soon(entry.deployment);  // the reason why it is missing has changed
  if (std::exchange(entry.failing, true)) return;
  log::warning(absl::StrCat(label, ": ", entry.failure, entry.addresses.empty() ? "" : "; its last addresses are kept"));
}

void FileReplicas::probed(const std::string& deployment, const Address& address, bool connected, bool other_connects) {
  const auto listed = deployments_.find(deployment);
  if (listed == deployments_.end()) return;
  for (const std::shared_ptr<Entry>& entry : listed->second.entries) {
    if (!entry->is_name || !entry->addresses.probed(address, connected, other_connects)) continue;
    log::warning(absl::StrCat(
        "replica ", entry->name(), " of ", deployment, ": the ", address.family() == AF_INET ? "IPv4" : "IPv6",
        " addresses of its name are not used any more; those of the other family accept connections and are used"));
    notify_soon(deployment);
  }
}

std::vector<FoundReplica> FileReplicas::found(const Entry& entry) {
  std::vector<FoundReplica> replicas;
  for (const Address& address : entry.addresses.in_use()) replicas.push_back(entry.found(replicas.size(), address));
  return replicas;
}

/// Posts one call of `notify` for all look-ups that end together.
void FileReplicas::notify_soon(const std::string& deployment) {
  Listed& listed = deployments_.at(deployment);
  if (listed.telling) return;
  control_.post([this, deployment, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    const auto still_listed = deployments_.find(deployment);
    if (still_listed == deployments_.end()) return;
    still_listed->second.telling = false;
    notify(deployment);
  });
  listed.telling = true;
}

/// Two names of one address and port are one pod, unless TLS distinguishes them by name.
void FileReplicas::notify(const std::string& deployment) {
  const Listed& listed = deployments_.at(deployment);
  std::vector<FoundReplica> replicas;
  std::set<std::pair<std::string, std::string>> told;
  for (const std::shared_ptr<Entry>& entry : listed.entries) {
    for (FoundReplica& each : found(*entry)) {
      if (entry->leads_back(each.address, *own_)) continue;
      const std::string distinct_by = listed.distinct_by_host ? each.host : "";
      if (told.emplace(each.address.text(), distinct_by).second) replicas.push_back(std::move(each));
    }
  }
  found_(deployment, replicas);
}

}  // namespace router::discovery
