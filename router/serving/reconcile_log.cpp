#include "router/serving/reconcile_log.h"

#include <absl/strings/str_cat.h>

#include "router/base/log.h"
#include "router/discovery/resource_kinds.h"

namespace router::serving {
namespace {

using discovery::ReconcileResult;

std::string label_of(const ReconcileResult& result) {
  return absl::StrCat(discovery::kind_name(result.kind), " ", result.namespace_name, "/", result.name);
}

}  // namespace

std::vector<ReconcileResult> results_of(const discovery::Joined& joined,
                                        const std::map<DeploymentKey, discovery::FoundReplicas>& replicas) {
  std::vector<ReconcileResult> results = joined.results;
  for (ReconcileResult& result : results) {
    if (result.kind != ReconcileResult::Kind::kDeployment || !result.served) continue;
    const auto known = replicas.find(deployment_key(result.namespace_name, result.endpoint, result.deployment));
    if (known == replicas.end()) continue;
    for (const discovery::FoundReplica& replica : known->second.replicas) {
      result.replicas_total += replica.terminating ? 0 : 1;
      result.replicas_ready += replica.ready.value_or(false) ? 1 : 0;
    }
    if (result.reason != discovery::reason::kAccepted || known->second.refused.empty()) continue;
    result.reason = known->second.reason;
    result.message = known->second.refused;
  }
  return results;
}

ReconcileLog::News ReconcileLog::prepare(const std::vector<ReconcileResult>& results) const {
  News news;
  for (const ReconcileResult& result : results) {
    const bool plain = result.reason == discovery::reason::kAccepted;
    if (!plain) news.wrong[label_of(result)] = absl::StrCat(result.reason, ": ", result.message);
  }
  for (const auto& [label, text] : news.wrong) {
    const auto before = told_.find(label);
    if (before == told_.end() || before->second != text) news.lines.push_back(absl::StrCat(label, ": ", text));
  }
  return news;
}

void ReconcileLog::write(News& news) noexcept {
  for (const std::string& line : news.lines) log::warning(line);
  told_.swap(news.wrong);
}

}  // namespace router::serving
