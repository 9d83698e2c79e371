#include "router/discovery/replica_source.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/base/log.h"

namespace router::discovery {

class FileReplicas::Listed final : public runtime::Timer {
 public:
  const std::string key;
  std::vector<Entry> entries;

  Listed(FileReplicas& owner, std::string deployment) : key(std::move(deployment)), owner_(owner) {}

  bool all_answered() const {
    return std::all_of(entries.begin(), entries.end(), [](const Entry& entry) { return entry.answered; });
  }

  void look_up_all(const std::shared_ptr<Listed>& self) {
    for (std::size_t index = 0; index < entries.size(); ++index) {
      if (!entries[index].literal) owner_.look_up(self, index);
    }
    owner_.control_.schedule(*this, owner_.control_.now() + kResolveAgain);
  }

 private:
  void expired() override { look_up_all(owner_.deployments_.at(key)); }
  FileReplicas& owner_;
};

FileReplicas::FileReplicas(runtime::Shard& control, runtime::Resolver& resolver, Found found)
    : control_(control), resolver_(resolver), found_(std::move(found)) {}

FileReplicas::~FileReplicas() = default;

void FileReplicas::set(const std::string& deployment, const config::Deployment& settings) {
  auto listed = std::make_shared<Listed>(*this, deployment);
  const auto before = deployments_.find(deployment);
  for (const config::ReplicaAddress& configured : settings.replicas) {
    Entry entry;
    entry.port = configured.port != 0 ? configured.port : settings.scoring_route.port;
    // The probe goes to the replica's own port unless the readiness route names another than the scoring route's.
    const bool same_port = settings.readiness_route.port == settings.scoring_route.port;
    entry.probe_port = same_port ? entry.port : settings.readiness_route.port;
    entry.replica.host = configured.host;
    entry.replica.name = absl::StrCat(configured.host, ":", entry.port);
    if (before != deployments_.end()) {
      for (const Entry& old : before->second->entries) {
        if (old.replica.name == entry.replica.name && old.probe_port == entry.probe_port && old.answered) entry = old;
      }
    }
    if (const auto literal = runtime::Address::parse(entry.replica.host, entry.port)) {  // nothing to look up
      entry.replica.address = *literal;
      entry.replica.probe_address = *runtime::Address::parse(entry.replica.host, entry.probe_port);
      entry.answered = entry.resolved = entry.literal = true;
    }
    listed->entries.push_back(std::move(entry));
  }
  deployments_[deployment] = listed;
  // Names that are new keep the old replicas in place until they are answered.
  if (listed->all_answered()) tell(*listed);
  listed->look_up_all(listed);
}

void FileReplicas::remove(const std::string& deployment) { deployments_.erase(deployment); }

bool FileReplicas::listed() const {
  return std::all_of(deployments_.begin(), deployments_.end(),
                     [](const auto& deployment) { return deployment.second->all_answered(); });
}

void FileReplicas::look_up(const std::shared_ptr<Listed>& listed, std::size_t index) {
  const Entry& asked = listed->entries[index];
  resolver_.resolve(
      asked.replica.host, asked.port, [this, listed, index](absl::StatusOr<std::vector<runtime::Address>> addresses) {
        const auto current = deployments_.find(listed->key);
        if (current == deployments_.end() || current->second != listed) return;  // set anew or removed meanwhile
        Entry& entry = listed->entries[index];
        const bool first_answer = !std::exchange(entry.answered, true);
        bool changed = false;
        if (!addresses.ok() || addresses->empty()) {
          log::warning(absl::StrCat("replica ", entry.replica.name, " of ", listed->key, ": ", addresses.status().message(),
                                    entry.resolved ? "; its last address is kept" : ""));
        } else {
          const auto in_use = std::find(addresses->begin(), addresses->end(), entry.replica.address);
          changed = !entry.resolved || in_use == addresses->end();
          if (changed) entry.replica.address = addresses->front();
          entry.replica.probe_address = *runtime::Address::parse(entry.replica.address.ip(), entry.probe_port);
          entry.resolved = true;
        }
        if ((changed || first_answer) && listed->all_answered()) tell(*listed);
      });
}

void FileReplicas::tell(const Listed& listed) const {
  std::vector<FoundReplica> replicas;
  for (const Entry& entry : listed.entries) {
    if (entry.resolved) replicas.push_back(entry.replica);
  }
  found_(listed.key, replicas);
}

}  // namespace router::discovery
