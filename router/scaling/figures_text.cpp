#include "router/scaling/figures_text.h"

#include <charconv>
#include <cstddef>
#include <system_error>
#include <utility>

namespace router::scaling {
namespace {

/// The one list of the figures: `each(name, figure)`.
template <typename OfFigures, typename Each>
void for_each(OfFigures& figures, Each&& each) {
  each("min_instances", figures.settings.min_instances);
  each("max_instances", figures.settings.max_instances);
  each("target", figures.settings.target);
  each("polling_interval", figures.settings.polling_interval);
  each("slots", figures.settings.slots);
  each("idle_time", figures.settings.idle_time);
  each("busy", figures.load.busy);
  each("waiting", figures.load.waiting);
  each("waking", figures.load.waking);
  each("arrivals", figures.load.arrivals);
  each("refusals", figures.load.refusals);
  each("told", figures.load.told);
  each("averaged", figures.averaged);
  each("held", figures.held);
  each("pod_start", figures.pod_start);
  each("window", figures.window);
  each("replicas", figures.replicas);
  each("ready", figures.ready);
  each("replicas_before", figures.replicas_before);
  each("highest_want", figures.highest_want);
  each("asked_for", figures.asked_for);
  each("leader_age", figures.leader_age);
  each("idle", figures.idle);
  each("requests_waking", figures.requests_waking);
  each("signals_complete", figures.signals_complete);
  each("rollout", figures.rollout);
  each("foreign_lately", figures.foreign_lately);
  each("paused", figures.paused);
  each("contested", figures.contested);
  each("hindrance", figures.hindrance);
}

constexpr Hindrance kHindrances[] = {
    Hindrance::kNone,
    Hindrance::kObserve,
    Hindrance::kFleetRequired,
    Hindrance::kTargetNotMarked,
    Hindrance::kConflictingAutoscaler,
    Hindrance::kHpasUnreadable,
    Hindrance::kManagedByAzureMl,
    Hindrance::kTargetUnknown,
    Hindrance::kTargetNotFound,
    Hindrance::kTargetForbidden,

};

class Writer {
 public:
  template <typename Value>
  void operator()(const char* name, const Value& value) {
    text_.append(text_.empty() ? "{\"" : ",\"").append(name).append("\":");
    write(value);
  }
  std::string take() { return std::move(text_) + "}"; }

 private:
  template <typename Number>
  void number(Number value) {
    char digits[40];
    text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
  }
  void write(double value) { number(value); }
  void write(int value) { number(value); }
  void write(bool value) { text_ += value ? "true" : "false"; }
  void write(Seconds value) { number(value.count()); }
  void write(Hindrance value) { text_.append("\"").append(name_of(value)).append("\""); }

  std::string text_;
};

/// Reads exactly what Writer writes: the same figures in the same order. std::from_chars gives each number back as it was,
/// which Boost.JSON does not promise.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  template <typename Value>
  void operator()(const char* name, Value& value) {
    good_ = good_ && take(first_ ? "{\"" : ",\"") && take(name) && take("\":") && read(value);
    first_ = false;
  }
  bool good() { return good_ && take("}") && rest_.empty(); }

 private:
  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  template <typename Number>
  bool number(Number& into) {
    const std::from_chars_result read = std::from_chars(rest_.data(), rest_.data() + rest_.size(), into);
    if (read.ec != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(read.ptr - rest_.data()));
    return true;
  }
  bool read(double& into) { return number(into); }
  bool read(int& into) { return number(into); }
  bool read(Seconds& into) {
    double seconds = 0;
    if (!number(seconds)) return false;
    into = Seconds(seconds);
    return true;
  }
  bool read(bool& into) {
    into = take("true");
    return into || take("false");
  }
  bool read(Hindrance& into) {
    for (const Hindrance each : kHindrances) {
      if (!rest_.starts_with("\"" + std::string(name_of(each)) + "\"")) continue;
      rest_.remove_prefix(name_of(each).size() + 2);
      into = each;
      return true;
    }
    return false;
  }

  std::string_view rest_;
  bool first_ = true;
  bool good_ = true;
};

}  // namespace

std::string_view name_of(Hindrance hindrance) {
  switch (hindrance) {
    case Hindrance::kNone: return "";
    case Hindrance::kObserve: return "Observe";
    case Hindrance::kFleetRequired: return name_of(Reason::kFleetRequired);
    case Hindrance::kTargetNotMarked: return name_of(Reason::kTargetNotMarked);
    case Hindrance::kConflictingAutoscaler: return name_of(Reason::kConflictingAutoscaler);
    case Hindrance::kHpasUnreadable: return name_of(Reason::kHpasUnreadable);
    case Hindrance::kManagedByAzureMl: return name_of(Reason::kManagedByAzureMl);
    case Hindrance::kTargetUnknown: return name_of(Reason::kTargetUnknown);
    case Hindrance::kTargetNotFound: return name_of(Reason::kTargetNotFound);
    case Hindrance::kTargetForbidden: return name_of(Reason::kTargetForbidden);
  }
  return "";
}

std::string figures_text(const Figures& figures) {
  Writer writer;
  for_each(figures, writer);
  return writer.take();
}

std::optional<Figures> read_figures(std::string_view text) {
  Figures figures;
  Reader reader(text);
  for_each(figures, reader);
  return reader.good() ? std::optional(figures) : std::nullopt;
}

}  // namespace router::scaling
