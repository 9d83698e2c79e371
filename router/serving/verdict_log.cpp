#include "router/serving/verdict_log.h"

#include <absl/strings/str_cat.h>

#include "router/base/log.h"
#include "router/discovery/resource_kinds.h"

namespace router::serving {
namespace {

using discovery::ResourceVerdict;

std::string label_of(const ResourceVerdict& verdict) {
  return absl::StrCat(discovery::kind_name(verdict.kind), " ", verdict.namespace_name, "/", verdict.name);
}

}  // namespace

std::vector<ResourceVerdict> verdicts_of(const discovery::Joined& joined,
                                         const std::map<DeploymentKey, discovery::FoundReplicas>& replicas) {
  std::vector<ResourceVerdict> verdicts = joined.verdicts;
  for (ResourceVerdict& verdict : verdicts) {
    if (verdict.kind != ResourceVerdict::Kind::kDeployment || !verdict.served) continue;
    const auto known = replicas.find(deployment_key(verdict.namespace_name, verdict.endpoint, verdict.deployment));
    if (known == replicas.end()) continue;
    for (const discovery::FoundReplica& replica : known->second.replicas) {
      verdict.replicas_total += replica.terminating ? 0 : 1;
      verdict.replicas_ready += replica.ready.value_or(false) ? 1 : 0;
    }
    if (verdict.reason != discovery::reason::kAccepted || known->second.refused.empty()) continue;
    verdict.reason = known->second.reason;
    verdict.message = known->second.refused;
  }
  return verdicts;
}

VerdictLog::News VerdictLog::prepare(const std::vector<ResourceVerdict>& verdicts) const {
  News news;
  for (const ResourceVerdict& verdict : verdicts) {
    const bool plain = verdict.reason == discovery::reason::kAccepted;
    if (!plain) news.wrong[label_of(verdict)] = absl::StrCat(verdict.reason, ": ", verdict.message);
  }
  for (const auto& [label, text] : news.wrong) {
    const auto before = told_.find(label);
    if (before == told_.end() || before->second != text) news.lines.push_back(absl::StrCat(label, ": ", text));
  }
  return news;
}

void VerdictLog::tell(News& news) noexcept {
  for (const std::string& line : news.lines) log::warning(line);
  told_.swap(news.wrong);
}

}  // namespace router::serving
