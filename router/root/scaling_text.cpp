#include "router/root/scaling_text.h"

#include <absl/strings/str_cat.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>
#include <utility>

#include "router/base/text.h"
#include "router/scaling/figures_text.h"

namespace router::root {
namespace {

namespace json = boost::json;
using serving::ScalingDecision;

double seconds_since(TimePoint when) { return std::chrono::duration<double>(std::chrono::steady_clock::now() - when).count(); }

json::object describe(const ScalingDecision& decision) {
  json::object told;
  told["seconds_ago"] = seconds_since(decision.at);
  told["from"] = decision.figures.replicas;
  told["to"] = decision.decision.replicas;
  told["reason"] = scaling::name_of(decision.decision.reason);
  told["message"] = decision.message;
  told["figures"] = json::parse(scaling::figures_text(decision.figures));
  return told;
}

}  // namespace

std::optional<json::object> scaling_status(serving::Autoscaler& autoscaler, const serving::DeploymentKey& key) {
  const std::optional<scaling::Figures> known = autoscaler.demand(key);
  if (!known) return std::nullopt;
  const serving::ScalingBook::Entry& entry = *autoscaler.book().find(key);
  json::object status;
  status["mode"] = entry.deployment.acts ? "act" : "observe";
  status["decides_here"] = autoscaler.leads();
  status["demand_slots"] = scaling::demand_of(*known).slots();
  if (!autoscaler.leads()) return status;
  json::array decisions;
  for (const ScalingDecision& each : entry.decisions) decisions.push_back(describe(each));
  status["decisions"] = std::move(decisions);
  return status;
}

std::optional<std::string> scaling_answer(serving::Autoscaler& autoscaler, std::string_view name) {
  const std::optional<scaling::Figures> known = autoscaler.demand(lower_case(name));
  if (!known) return std::nullopt;
  const double slots = scaling::demand_of(*known).slots();
  json::object answer;
  answer["demand_slots"] = std::round(slots * 1000) / 1000;
  answer["wanted_replicas"] = scaling::want_of(*known);
  answer["active"] = slots > 0 || known->load.arrivals > 0;
  return json::serialize(answer) + "\n";
}

std::optional<discovery::Condition> scaling_condition(const serving::Autoscaler& autoscaler,
                                                      const serving::DeploymentKey& key) {
  const serving::ScalingBook::Entry* entry = autoscaler.book().find(key);
  if (entry == nullptr) return std::nullopt;
  if (!entry->is_told) return discovery::Condition();  // scaled, but nothing was decided yet
  const scaling::Reason reason = entry->told.decision.reason;
  discovery::Condition condition;
  condition.type = discovery::condition::kAutoscaled;
  condition.holds = scaling::holds(reason) == scaling::Holds::kTrue;
  condition.is_unknown = scaling::holds(reason) == scaling::Holds::kUnknown;
  condition.reason = scaling::name_of(reason);
  if (entry->deployment.acts && !entry->refused.empty()) {
    condition.holds = condition.is_unknown = false;
    condition.reason = scaling::name_of(entry->refused_as);
    condition.message = entry->refused;
    return condition;
  }
  condition.message = entry->deployment.acts ? entry->told.message : absl::StrCat("observed only: ", entry->told.message);
  return condition;
}

discovery::ResourceEvent scaling_event(const serving::ScalingEvent& event) {
  using Kind = serving::ScalingEvent::Kind;
  discovery::ResourceEvent told;
  told.action = "Scale";
  told.warning = event.kind == Kind::kRefused;
  told.reason = event.kind == Kind::kScaledUp ? "ScaledUp" : event.kind == Kind::kScaledDown ? "ScaledDown" : "ScaleRefused";
  told.note = absl::StrCat(event.reason, ": ", event.message);
  // A refusal of the same kind is one Event in a minute; a change of the number is always one of its own.
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  told.identity = event.kind == Kind::kRefused
                      ? absl::StrCat(event.reason, std::chrono::duration_cast<std::chrono::minutes>(now).count())
                      : std::to_string(now.count());
  return told;
}

}  // namespace router::root
