#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "router/fleet/note.h"
#include "router/scaling/signals_text.h"
#include "tests/fuzz/support.h"

/// What members of a fleet tell each other beside the protocol: a frame with a note, and the bodies of the autoscaler's notes.
/// The first byte says which. Whatever is accepted is within its bounds, and is the same after it was written and read again;
/// of a body nothing is passed over.
namespace router {
namespace {

using fuzz::require;

void try_frame(std::string_view frame) {
  const absl::StatusOr<fleet::Note> note = fleet::decode_note(frame);
  if (!note.ok()) return;
  require(!note->topic.empty() && note->topic.size() <= fleet::kNoteTopicMax && note->key.size() <= fleet::kNoteKeyMax);
  const absl::StatusOr<std::string> written = fleet::encode(*note);
  require(written.ok() && fleet::is_note(*written));
  const absl::StatusOr<fleet::Note> again = fleet::decode_note(*written);
  require(again.ok() && *again == *note);
}

bool is_number(double value) { return std::isfinite(value) && value >= 0; }

void require_believable(const scaling::DeploymentName& name, const scaling::Signal& signal) {
  require(name.name_space.size() <= 63 && !name.endpoint.empty() && !name.deployment.empty());
  require(scaling::text_of(name).find_first_of(" \n") == std::string::npos);
  const scaling::Integrals& all = signal.since_start;
  for (const double value : {signal.uptime.count(), all.busy, all.waiting, all.held, all.told}) require(is_number(value));
}

bool equal(const scaling::Signal& a, const scaling::Signal& b) {
  return a.incarnation == b.incarnation && a.uptime == b.uptime && a.since_start == b.since_start && a.waking == b.waking;
}

void try_signals(std::string_view body) {
  const absl::StatusOr<scaling::SignalsNote> signals = scaling::decode_signals(body);
  if (!signals.ok()) return;
  require(static_cast<std::size_t>(std::count(body.begin(), body.end(), '\n')) == signals->size() + 1);
  scaling::SignalsNote again;
  for (const std::string& written : scaling::encode_signals(*signals)) {
    absl::StatusOr<scaling::SignalsNote> part = scaling::decode_signals(written);
    require(part.ok());
    again.merge(*part);
  }
  require(again.size() == signals->size());
  for (const auto& [name, signal] : *signals) {
    require_believable(name, signal);
    require(equal(again.at(name), signal));
  }
}

/// These three have one way to be written, but for zeros before a number.
void try_wake(std::string_view body) {
  const absl::StatusOr<scaling::WakeNote> wake = scaling::decode_wake(body);
  if (!wake.ok()) return;
  const std::string written = scaling::encode_wake(*wake);
  require(written.size() <= body.size());
  const absl::StatusOr<scaling::WakeNote> again = scaling::decode_wake(written);
  require(again.ok() && *again == *wake);
}

void try_withdraw(std::string_view body) {
  const absl::StatusOr<scaling::WithdrawNote> withdraw = scaling::decode_withdraw(body);
  if (!withdraw.ok()) return;
  require(withdraw->seconds >= 1 && withdraw->seconds <= scaling::kWithdrawnFor);
  require(static_cast<std::size_t>(std::count(body.begin(), body.end(), '\n')) == withdraw->pods.size() + 2);
  const absl::StatusOr<std::string> written = scaling::encode_withdraw(*withdraw);
  require(written.ok() && written->size() <= body.size());
  const absl::StatusOr<scaling::WithdrawNote> again = scaling::decode_withdraw(*written);
  require(again.ok() && *again == *withdraw);
}

void try_running(std::string_view body) {
  const absl::StatusOr<scaling::RunningNote> running = scaling::decode_running(body);
  if (!running.ok()) return;
  require(static_cast<std::size_t>(std::count(body.begin(), body.end(), '\n')) == running->pods.size() + 2);
  const absl::StatusOr<std::string> written = scaling::encode_running(*running);
  require(written.ok() && written->size() <= body.size());
  const absl::StatusOr<scaling::RunningNote> again = scaling::decode_running(*written);
  require(again.ok() && *again == *running);
}

}  // namespace
}  // namespace router

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input = router::fuzz::text_of(data + 1, size - 1);
  switch (data[0] % 5) {
    case 0: router::try_frame(input); break;
    case 1: router::try_signals(input); break;
    case 2: router::try_wake(input); break;
    case 3: router::try_withdraw(input); break;
    default: router::try_running(input); break;
  }
  return 0;
}
