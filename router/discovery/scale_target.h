#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "router/discovery/scale_hpas.h"
#include "router/discovery/scale_objects.h"
#include "router/discovery/scale_targets.h"
#include "router/kubernetes/api_client.h"

namespace router::discovery {

/// One target of ScaleTargets: what is known of it, and the steps of a write. It makes requests and reads answers, and sends
/// nothing. At most one look and one write are under way at a time; a look that began before a write says nothing.
/// Control thread.
class ScaleTarget final {
 public:
  explicit ScaleTarget(ScaledDeployment deployment);

  const ScaledDeployment& deployment() const { return deployment_; }
  void set_interval(std::chrono::seconds interval) { deployment_.interval = interval; }
  const ScaleSeen& seen() const { return seen_; }
  /// Whether what is seen has changed in more than its time since `take_change`.
  bool has_change() const { return changed_; }
  void take_change() { changed_ = false; }
  /// The end of a write, once.
  bool has_end() const { return end_.has_value(); }
  std::optional<ScaleWritten> take_end() { return std::exchange(end_, std::nullopt); }

  void set_hpas(ScaleHpas::Answer answer, TimePoint now);
  /// Why the API server does not answer, if what is known is too old; empty: it does.
  void set_away(std::string why);

  /// The request of a look; nothing: it may not be read, or a write is under way.
  std::optional<kubernetes::ApiRequest> look();
  void look_answered(const kubernetes::ApiAnswer& answer, TimePoint now);

  bool can_write(TimePoint now) const;
  void begin_write(int replicas);  // if it can
  /// The next request of the write, after `begin_write` and while one of the following two says so. After a write without an
  /// answer it is a look.
  std::optional<kubernetes::ApiRequest> write_request();
  /// True: another request follows at once.
  bool write_answered(const kubernetes::ApiAnswer& answer, TimePoint now);
  /// There will be no answer. Another request follows.
  void write_unanswered(const std::string& why);

 private:
  enum class Step {
    kIdle,
    kToSend,      // the number is to be written
    kSent,        // the answer is missing
    kConflicted,  // the target is to be read, and the number written after it
    kUnsure,      // the target is to be read
  };
  enum class Reading { kNotYet, kRead, kForbidden, kMissing, kUnreadable };

  kubernetes::ApiRequest get() const;
  kubernetes::ApiRequest put() const;
  void read(const kubernetes::ApiAnswer& answer, TimePoint now);
  void take(ScaledObject object, TimePoint now);
  void note_foreign_change(const ScaledObject& object);
  bool conflicted(TimePoint now);
  void stored(const kubernetes::ApiAnswer& answer, TimePoint now);
  void refused(const kubernetes::ApiAnswer& answer, TimePoint now);
  std::string conflict() const;
  void end(ScaleWriteResult result, std::string_view text);
  void pause(TimePoint now);
  std::pair<ScaleObstacle, std::string> obstacle() const;
  /// Makes what is seen of what is known.
  void refresh();

  ScaledDeployment deployment_;
  const std::optional<kubernetes::GroupVersionResource> resource_;
  const std::string name_;  // `Deployment team-a/iris-blue`

  /// The time in which a write of the leader before may still arrive, which has the same manager as ours.
  static constexpr std::chrono::seconds kLeaderBefore{30};

  Reading reading_ = Reading::kNotYet;
  TimePoint first_read_{};
  std::string reading_text_;  // why not
  ScaledObject object_;       // as read last, with the number and the version of a later write
  ScaleHpas::Answer hpas_;
  std::string away_;
  std::string forbidden_;  // the last write was

  bool looking_ = false;
  bool look_is_void_ = false;
  Step step_ = Step::kIdle;
  ScaleWritten write_;
  bool was_rolling_out_ = false;  // when the write began
  std::string uid_;
  int tries_ = 0;
  Duration pause_{};
  TimePoint paused_until_{};

  ScaleSeen seen_;
  bool changed_ = false;
  std::optional<ScaleWritten> end_;
};

}  // namespace router::discovery
