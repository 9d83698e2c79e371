#include "router/upstream/closing_habit.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <new>

#include "router/base/log.h"

namespace router::upstream {

bool ClosingHabit::closes(TimePoint now) {
  if (known_ != Known::kCloses) return false;
  if (closes_as_seen_by_others(now)) return true;
  known_ = Known::kNothing;
  ends_ = 0;
  return false;
}

void ClosingHabit::lived(Duration since_answer) {
  if (known_ != Known::kNothing) return;  // kCloses ends only with time, not because one connection lived a little longer
  ++proofs_;
  if (since_answer >= kSoon) {
    proofs_ = kProofs;
    ends_ = 0;
  }
  if (proofs_ >= kProofs) known_ = Known::kKeeps;
}

bool ClosingHabit::ended(TimePoint opened, TimePoint now) {
  const bool was_known = closes(now);
  proofs_ = 0;
  if (known_ == Known::kKeeps) known_ = Known::kNothing;
  if (now - counted_end_ > kRemembered) ends_ = 0;
  // A server that stops ends all its connections at once: they count as one end. Only a connection that was opened after it can
  // be the second.
  if (ends_ > 0 && opened < counted_end_) return false;
  counted_end_ = now;
  if (++ends_ < kEnds) return false;
  known_ = Known::kCloses;
  closes_until_.set(nanoseconds(now + kRemembered));
  return !was_known;
}

void ClosingHabits::ended(std::size_t shard, TimePoint opened, TimePoint now) noexcept {
  if (!on(shard).ended(opened, now) || told_.test_and_set(std::memory_order_relaxed)) return;
  try {
    log_habit();
  } catch (const std::bad_alloc&) {  // the log entry is lost
  }
}

void ClosingHabits::log_habit() const {
  log::warning(absl::StrCat("replica ", replica_,
                            " closes its connections after an answer without announcing it: each request to it gets a new "
                            "connection. Let the server keep connections alive, or announce the end with Connection: close"));
}

bool ClosingHabits::closes(TimePoint now) const {
  return std::any_of(of_shards_.begin(), of_shards_.end(),
                     [now](const OfShard& each) { return each.habit.closes_as_seen_by_others(now); });
}

}  // namespace router::upstream
