#include "router/scaling/explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace router::scaling {
namespace {

/// A number with the digits that help: 4.3, 41.2, 1234, 2e+09.
std::string number(double value) {
  char text[32];
  const double size = std::fabs(value);
  std::snprintf(text, sizeof text, size < 1000 ? "%.1f" : size < 1e6 ? "%.0f" : "%.0e", value);
  return text;
}

/// A number that is whole if it can be: 3, 10, 2.5.
std::string whole(double value) {
  return value == std::floor(value) && value < 1e6 ? number(value).substr(0, number(value).find('.')) : number(value);
}

std::string time(Seconds time) {
  return time < Seconds(1) ? whole(std::round(time.count() * 1000)) + " ms" : whole(std::round(time.count() * 10) / 10) + " s";
}

std::string present(const Figures& figures) {
  const Load& load = figures.load;
  std::string text = "busy " + number(load.busy) + " + waiting " + number(load.waiting);
  if (load.waking > 0) text += " + held " + number(load.waking);
  return text + " of " + whole(figures.ready * figures.settings.slots) + " slots in " + time(figures.averaged);
}

std::string offered(const Figures& figures) {
  if (figures.held == Seconds(0)) return "";
  const Load& load = figures.load;
  const bool again = load.refusals > 0 && load.told < figures.held;
  std::string text =
      "; offered " + number(std::max(0.0, load.arrivals - (again ? load.refusals : 0))) + "/s x " + time(figures.held);
  if (again) text += " + refused " + number(load.refusals) + "/s x " + time(load.told);
  return text + " = " + number(demand_of(figures).offered);
}

std::string bounds(const Figures& figures, const Decision& decision) {
  const Settings& settings = figures.settings;
  std::string text = "; target " + whole(std::round(settings.target * 100)) + " %";
  if (decision.reason == Reason::kAtMinimum) return text + "; at least " + std::to_string(settings.min_instances);
  const bool kept = decision.reason == Reason::kScaledDown && decision.replicas > want_of(figures);
  if (decision.reason == Reason::kIdle && figures.replicas > 0) return text + "; no request in " + time(figures.idle);
  if (decision.reason == Reason::kScaledUp && decision.replicas < want_of(figures)) {
    return text + "; wanted " + std::to_string(want_of(figures)) + ", at most twice or 4 more in " + time(kStepTime);
  }
  if (kept || decision.reason == Reason::kKeptByWindow) {
    return text + "; wanted " + std::to_string(figures.highest_want) + " in the last " + time(figures.window);
  }
  return text + "; at most " + std::to_string(settings.max_instances);
}

}  // namespace

std::string explain(const Figures& figures, const Decision& decision) {
  const std::string before = std::to_string(figures.replicas);
  const std::string change =
      decision.replicas == figures.replicas ? before : before + " -> " + std::to_string(decision.replicas);
  std::string text = change + ": " + present(figures) + offered(figures) + bounds(figures, decision);
  if (text.size() > kMessageMost) text.resize(kMessageMost);
  return text;
}

}  // namespace router::scaling
