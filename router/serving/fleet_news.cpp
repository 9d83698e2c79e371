#include "router/serving/fleet_news.h"

#include <chrono>
#include <utility>

namespace router::serving {
namespace {

constexpr std::chrono::milliseconds kLookAgain{50};
constexpr std::chrono::milliseconds kTellAgain{125};

}  // namespace

bool FleetReporter::is_urgent() const {
  return told_assignment_ == nullptr || told_assignment_->version != machine_.assignment().version ||
         told_must_cut_ != machine_.must_cut() || told_may_leave_ != machine_.may_leave() || told_served_ != served_;
}

std::optional<FleetNews> FleetReporter::news(fleet::BootTime now, const fleet_link::LinkCounts& links) {
  if (now < pause_until_) return std::nullopt;
  const bool urgent = is_urgent();
  if (!urgent && now < looked_at_ + kLookAgain) {
    ask_at_ = looked_at_ + kLookAgain;
    return std::nullopt;
  }
  fleet::Report report = machine_.report(now);
  looked_at_ = now;
  ask_at_ = fleet::kAlways;
  if (!urgent && report.ready == told_ready_ && now < told_at_ + kTellAgain) return std::nullopt;
  FleetNews news = make(std::move(report), links);
  told_assignment_ = news.assignment;
  told_must_cut_ = news.must_cut;
  told_may_leave_ = news.may_leave;
  told_ready_ = news.report.ready;
  told_served_ = news.served;
  told_at_ = now;
  return news;
}

void FleetReporter::not_taken(fleet::BootTime now) {
  told_assignment_ = nullptr;
  ask_at_ = pause_until_ = now + kLookAgain;
}

FleetNews FleetReporter::make(fleet::Report report, const fleet_link::LinkCounts& links) const {
  const fleet::Assignment& newest = machine_.assignment();
  const bool is_told = told_assignment_ != nullptr && told_assignment_->version == newest.version;
  return {.assignment = is_told ? told_assignment_ : std::make_shared<const fleet::Assignment>(newest),
          .report = std::move(report),
          .links = links,
          .round_trips = {},
          .notes = {},
          .must_cut = machine_.must_cut(),
          .may_leave = machine_.may_leave(),
          .served = served_};
}

}  // namespace router::serving
