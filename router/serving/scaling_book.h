#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "router/scaling/scaler.h"
#include "router/serving/live_deployment.h"

namespace router::serving {

/// A deployment that is scaled, as its resource and router.yaml say.
struct BookedDeployment {
  DeploymentKey key;
  scaling::Settings settings;
  bool acts = false;                                         // mode act; else observe
  scaling::Hindrance hindrance = scaling::Hindrance::kNone;  // that is known without the API server
};

/// What this process tells about a deployment. `process`: a number that another process does not have. A deployment that was
/// removed and configured again counts from 0, and is another incarnation: whoever did not see the gap would believe nothing
/// of it until it has counted more than before.
scaling::Signal signal_of(const Counted& counted, std::uint64_t process, scaling::Seconds uptime);

/// What is known of its target at one moment.
struct TargetSeen {
  int replicas = 0;  // spec.replicas
  int ready = 0;     // ready endpoints
  bool rollout = false;
  std::uint64_t foreign_changes = 0;  // so often somebody else has changed spec.replicas since this router looks
  std::string foreign{};              // the last of these: `argocd-controller (Apply) set 2`
  scaling::Hindrance hindrance = scaling::Hindrance::kNone;
  std::string obstacle{};  // what hinders, for people: `HorizontalPodAutoscaler team-a/x`
};

/// How much of a decision is new to whoever reads about it.
enum class ScalingNews {
  kNone,
  kNumbers,  // nothing else has changed for kNumbersEvery
  kReason,
  kReplicas,  // another number is to be written
};

/// One decision, with all that led to it.
struct ScalingDecision {
  TimePoint at{};
  scaling::Figures figures;
  scaling::Decision decision;
  std::string message{};  // at most scaling::kMessageMost bytes
};

/// What is known about every deployment that is scaled: what the members of the fleet count, and what this router decided while
/// it leads. Pure: time and everything else is given. Control thread.
class ScalingBook {
 public:
  static constexpr std::size_t kKept = 20;              // decisions of one deployment that are kept
  static constexpr std::chrono::seconds kWakeHolds{3};  // a wake counts so long without being repeated
  static constexpr std::chrono::minutes kNumbersEvery{5};
  static constexpr std::chrono::seconds kReasonEvery{10};  // reasons that alternate are told at most so often
  struct Entry {
    BookedDeployment deployment;
    ScalingDecision told{};  // the last one that was news
    bool is_told = false;
    std::string refused{};  // why the API server has refused the last write; empty: it has not, or nothing is to be written
    scaling::Reason refused_as = scaling::Reason::kTargetRefuses;  // or kTargetForbidden; if `refused` is not empty
    void clear_refusal() {
      refused.clear();
      refused_as = scaling::Reason::kTargetRefuses;
    }
    std::deque<ScalingDecision> decisions{};  // the newest last; one whose numbers alone differ from the one before replaces it
  };

  /// Replaces the deployments. Those that stay keep what was measured.
  void set(const std::vector<BookedDeployment>& deployments);
  /// The members of the fleet, this one too. Others are not heard.
  void set_members(const std::set<std::string>& members);
  /// What `member` has counted. False if it is not believed, or the deployment is not scaled.
  bool hear(const std::string& member, const DeploymentKey& key, const scaling::Signal& signal, TimePoint now);
  /// A member holds requests for a first replica. Returns whether a decision is needed at once.
  bool wake(const DeploymentKey& key, TimePoint now);

  /// This router begins to lead: it has seen nothing yet. `paused`: deployments of which the leader before has said that
  /// somebody else has set them to 0.
  void begin(TimePoint now, const std::set<DeploymentKey>& paused = {});
  TimePoint leads_since() const { return leads_since_; }
  /// Whether a polling interval has passed since the last decision.
  bool is_due(const DeploymentKey& key, TimePoint now) const;
  /// Decides, and keeps the decision as `find(key)->decisions.back()`. The deployment is known.
  ScalingNews decide(const DeploymentKey& key, const TargetSeen& seen, TimePoint now);

  /// The API server refuses to write, or does not any more (empty text). The rule goes on, so that the write is tried again.
  void note_refused(const DeploymentKey& key, std::string why, scaling::Reason as = scaling::Reason::kTargetRefuses);
  /// The keys of all deployments that are scaled.
  std::vector<DeploymentKey> keys() const;
  bool empty() const { return known_.empty(); }
  /// nullptr: it is not scaled.
  const Entry* find(const DeploymentKey& key) const;
  /// The demand as far as it is known now, also while another router leads: settings, load, averages. The deployment is known.
  scaling::Figures glance(const DeploymentKey& key);

 private:
  struct Known {
    explicit Known(const BookedDeployment& deployment) : entry{.deployment = deployment}, scaler(deployment.settings) {}
    Entry entry;
    scaling::Scaler scaler;
    std::uint64_t foreign_changes = 0;
    bool foreign_known = false;
    TimePoint woken{};
    TimePoint due{};
  };
  static void keep(Entry& entry, ScalingDecision decision);
  static ScalingNews news(Entry& entry);

  std::map<DeploymentKey, Known> known_;
  std::set<std::string> members_;
  TimePoint leads_since_{};
};

}  // namespace router::serving
