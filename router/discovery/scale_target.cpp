#include "router/discovery/scale_target.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <tuple>

#include "router/kubernetes/json.h"
#include "router/kubernetes/requests.h"

namespace router::discovery {
namespace {

bool is_same_news(const ScaleSeen& a, const ScaleSeen& b) {
  return a.known == b.known && a.replicas == b.replicas && a.rollout == b.rollout && a.obstacle == b.obstacle &&
         a.obstacle_text == b.obstacle_text && a.writer == b.writer && a.is_ours == b.is_ours &&
         a.foreign_changes == b.foreign_changes && a.writing == b.writing;
}

/// What the server says, or its status.
std::string reason_of(const kubernetes::ApiAnswer& answer) {
  const std::string message = kubernetes::message_of(answer);
  return message.empty() ? absl::StrCat("the API server answers with ", answer.status) : message;
}

/// Whether a right is missing. A quota, a policy or a webhook refuses with 403, too; the words are those of RBAC.
bool lacks_right(const kubernetes::ApiAnswer& answer) {
  return answer.status == 403 && kubernetes::message_of(answer).find(" cannot update resource ") != std::string::npos;
}

}  // namespace

ScaleTarget::ScaleTarget(ScaledDeployment deployment)
    : deployment_(std::move(deployment)),
      resource_(deployment_.adopts_azureml_pods ? std::nullopt
                                                : scalable_resource(deployment_.target.api_version, deployment_.target.kind)),
      name_(short_line(absl::StrCat(deployment_.target.kind, " ", deployment_.namespace_name, "/", deployment_.target.name))) {
  refresh();
  changed_ = false;
}

void ScaleTarget::set_hpas(ScaleHpas::Answer answer, TimePoint now) {
  if (!hpas_.conflicting.empty() || !answer.conflicting.empty()) seen_.conflicted = now;
  hpas_ = std::move(answer);
  refresh();
}

void ScaleTarget::set_away(std::string why) {
  if (away_ == why) return;
  away_ = std::move(why);
  refresh();
}

kubernetes::ApiRequest ScaleTarget::get() const {
  kubernetes::ApiRequest request;
  request.path = kubernetes::object_path(*resource_, deployment_.namespace_name, deployment_.target.name);
  return request;
}

kubernetes::ApiRequest ScaleTarget::put() const {
  const std::string path = kubernetes::object_path(*resource_, deployment_.namespace_name, deployment_.target.name, "scale");
  return kubernetes::replace_request(
      path, scale_body(deployment_.namespace_name, deployment_.target.name, object_.version, write_.replicas), kScaleManager);
}

std::optional<kubernetes::ApiRequest> ScaleTarget::look() {
  looking_ = false;
  if (!resource_ || step_ != Step::kIdle) return std::nullopt;
  looking_ = true;
  look_is_void_ = false;
  return get();
}

void ScaleTarget::look_answered(const kubernetes::ApiAnswer& answer, TimePoint now) {
  if (!std::exchange(looking_, false) || look_is_void_) return;
  read(answer, now);
  refresh();
}

void ScaleTarget::read(const kubernetes::ApiAnswer& answer, TimePoint now) {
  away_.clear();
  reading_text_.clear();
  if (answer.status == 404) {
    reading_ = Reading::kMissing;
  } else if (!answer.succeeded()) {
    reading_ = Reading::kForbidden;
    reading_text_ = reason_of(answer);
  } else {
    const auto object = kubernetes::parse_object(answer.body);
    std::optional<ScaledObject> read;
    if (object.ok() && kubernetes::metadata_text(*object, "name") == deployment_.target.name)
      read = read_scaled_object(*object, deployment_.target.kind);
    if (read) return take(std::move(*read), now);
    reading_ = Reading::kUnreadable;
  }
}

void ScaleTarget::take(ScaledObject object, TimePoint now) {
  const bool is_same = object.uid == object_.uid;  // the first one is not: an object has a uid
  // A scale of 0 has no field `replicas`, so nobody owns it: our own write without an answer is known by its number.
  const bool is_awaited = (step_ == Step::kUnsure || step_ == Step::kConflicted) && object.replicas == write_.replicas;
  // The last write of the leader before may arrive late. What another router writes after that is of another installation.
  const bool may_be_of_the_leader_before = object.writer.is_ours && now - first_read_ < kLeaderBefore;
  if (first_read_ == TimePoint{}) first_read_ = now;
  const bool is_foreign = !is_awaited && !may_be_of_the_leader_before;
  if (is_same && object.replicas != object_.replicas && is_foreign) note_foreign_change(object);
  object_ = std::move(object);
  reading_ = Reading::kRead;
  seen_.seen = now;
}

void ScaleTarget::note_foreign_change(const ScaledObject& object) {
  const std::string who = object.writer.is_ours ? "a router of another installation" : object.writer.text();
  seen_.foreign_writer = short_line(absl::StrCat(who.empty() ? "an unknown manager" : who, " set ", object.replicas));
  seen_.foreign_replicas = object.replicas;
  ++seen_.foreign_changes;
}

bool ScaleTarget::can_write(TimePoint now) const { return seen_.may_write() && step_ == Step::kIdle && now >= paused_until_; }

void ScaleTarget::begin_write(int replicas) {
  step_ = Step::kToSend;
  look_is_void_ = true;
  write_ = {};
  write_.from = object_.replicas;
  write_.replicas = replicas;
  was_rolling_out_ = object_.rollout;
  uid_ = object_.uid;
  tries_ = 0;
  refresh();
}

std::optional<kubernetes::ApiRequest> ScaleTarget::write_request() {
  switch (step_) {
    case Step::kIdle: return std::nullopt;
    case Step::kSent: write_unanswered("the request was interrupted"); return get();
    case Step::kConflicted:
    case Step::kUnsure: return get();
    case Step::kToSend: break;
  }
  if (!seen_.may_write()) {  // since the write began
    end(ScaleWriteResult::kConflict, seen_.obstacle_text);
    return std::nullopt;
  }
  step_ = Step::kSent;
  ++tries_;
  return put();
}

bool ScaleTarget::write_answered(const kubernetes::ApiAnswer& answer, TimePoint now) {
  switch (step_) {
    case Step::kIdle:
    case Step::kToSend: return false;
    case Step::kConflicted: read(answer, now); return conflicted(now);
    case Step::kUnsure:
      read(answer, now);
      step_ = Step::kIdle;
      refresh();
      return false;
    case Step::kSent: break;
  }
  if (answer.succeeded()) {
    stored(answer, now);
  } else if (answer.status == 409) {
    step_ = Step::kConflicted;
  } else {
    refused(answer, now);
  }
  return step_ != Step::kIdle;
}

void ScaleTarget::write_unanswered(const std::string& why) {
  if (step_ != Step::kSent) return;
  end(ScaleWriteResult::kUnknown, why);
  step_ = Step::kUnsure;
  refresh();
}

/// The target was read after a conflict.
bool ScaleTarget::conflicted(TimePoint now) {
  refresh();
  std::string why = conflict();
  if (why.empty() && tries_ >= ScaleTargets::kTriesMax) why = absl::StrCat(name_, " has changed ", tries_, " times meanwhile");
  if (!why.empty()) {
    if (tries_ >= ScaleTargets::kTriesMax) pause(now);
    end(ScaleWriteResult::kConflict, why);
    return false;
  }
  step_ = Step::kToSend;
  return true;
}

/// Why the number may not be written any more; empty: it may.
std::string ScaleTarget::conflict() const {
  if (!seen_.may_write()) return seen_.obstacle_text;
  if (object_.uid != uid_) return absl::StrCat(name_, " was made anew");
  if (object_.replicas != write_.from) {
    const std::string who = object_.writer.text();
    return absl::StrCat(who.empty() ? "an unknown manager" : who, " set ", object_.replicas);
  }
  const bool rollout_began = object_.rollout && !was_rolling_out_;
  return rollout_began && write_.replicas < write_.from ? "a rollout has begun" : "";
}

void ScaleTarget::stored(const kubernetes::ApiAnswer& answer, TimePoint now) {
  const auto object = kubernetes::parse_object(answer.body);
  const std::optional<ScaleObject> scale = object.ok() ? read_scale(*object) : std::nullopt;
  if (!scale) return write_unanswered("the answer of the API server is not a Scale");
  object_.version = scale->version;
  object_.replicas = scale->replicas;
  object_.writer = {std::string(kScaleManager), "Update", "", true};
  seen_.seen = now;
  forbidden_.clear();
  away_.clear();
  if (scale->replicas != write_.replicas) {
    pause(now);
    return end(ScaleWriteResult::kRefused, absl::StrCat("the API server has stored ", scale->replicas));
  }
  pause_ = {};
  end(ScaleWriteResult::kWritten, "");
}

void ScaleTarget::refused(const kubernetes::ApiAnswer& answer, TimePoint now) {
  const bool is_forbidden = lacks_right(answer);
  forbidden_ = is_forbidden ? reason_of(answer) : "";
  away_.clear();
  if (answer.status == 404) reading_ = Reading::kMissing;
  pause(now);
  end(is_forbidden ? ScaleWriteResult::kForbidden : ScaleWriteResult::kRefused, reason_of(answer));
}

void ScaleTarget::pause(TimePoint now) {
  pause_ = std::clamp<Duration>(pause_ * 2, ScaleTargets::kPauseFirst, ScaleTargets::kPauseMost);
  paused_until_ = deadline_after(now, pause_);
}

void ScaleTarget::end(ScaleWriteResult result, std::string_view text) {
  write_.result = result;
  write_.text = short_line(text);
  end_ = write_;
  step_ = Step::kIdle;
  refresh();
}

std::pair<ScaleObstacle, std::string> ScaleTarget::obstacle() const {
  using O = ScaleObstacle;
  if (deployment_.adopts_azureml_pods)
    return {O::kManagedByAzureMl, "the replicas are pods of Azure ML's extension, which scales them itself"};
  if (!resource_) return {O::kKindNotSupported, absl::StrCat(name_, " is neither a Deployment nor a StatefulSet of apps/v1")};
  if (reading_ == Reading::kForbidden) return {O::kTargetForbidden, absl::StrCat(name_, ": ", reading_text_)};
  if (reading_ == Reading::kMissing) return {O::kTargetMissing, absl::StrCat(name_, " does not exist")};
  if (reading_ == Reading::kUnreadable) return {O::kTargetUnreadable, absl::StrCat(name_, " cannot be understood")};
  if (reading_ == Reading::kRead && !is_scaled_for(object_, deployment_.endpoint, deployment_.deployment)) {
    const std::string mark = absl::StrCat(std::string(kScaledFor), ": ", deployment_.endpoint, "/", deployment_.deployment);
    const std::string other = object_.scaled_for.empty() ? "" : absl::StrCat("; it is for ", object_.scaled_for);
    return {O::kTargetNotMarked, absl::StrCat(name_, " lacks the annotation ", mark, other)};
  }
  if (!hpas_.conflicting.empty())
    return {O::kConflictingAutoscaler,
            absl::StrCat("HorizontalPodAutoscaler ", deployment_.namespace_name, "/", hpas_.conflicting)};
  if (!hpas_.unreadable.empty()) return {O::kHpasUnreadable, hpas_.unreadable};
  if (!forbidden_.empty()) return {O::kScaleForbidden, forbidden_};
  if (!away_.empty()) return {O::kServerAway, away_};
  return {O::kNone, ""};
}

void ScaleTarget::refresh() {
  ScaleSeen next = seen_;
  next.known = reading_ == Reading::kRead && !hpas_.is_pending;
  next.replicas = object_.replicas;
  next.rollout = object_.rollout;
  next.writer = object_.writer.text();
  next.is_ours = object_.writer.is_ours;
  next.writing = step_ != Step::kIdle;
  std::tie(next.obstacle, next.obstacle_text) = obstacle();
  next.obstacle_text = short_line(next.obstacle_text);
  if (!is_same_news(next, seen_)) changed_ = true;
  seen_ = std::move(next);
}

}  // namespace router::discovery
