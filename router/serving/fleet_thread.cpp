#include "router/serving/fleet_thread.h"

#include <exception>
#include <utility>

#include "router/base/assert.h"
#include "router/runtime/contain.h"

namespace router::serving {
namespace {

/// What cannot be taken stays in the letter.
template <class Taker, class Part>
void take(const Taker& taker, std::optional<Part>& part) noexcept {
  if (!part) return;
  try {
    taker(std::move(*part));
    part.reset();
  } catch (const std::exception& error) {
    runtime::contain(error);
  }
}

}  // namespace

FleetThread::FleetThread(Parts parts, Settings settings)
    : parts_(std::move(parts)),
      thread_(1, parts_.control.clock(), "fleet"),
      courier_(
          thread_[0], parts_.control, [this](FleetLetter& letter) { deliver(letter); },
          [this](FleetLetter& letter) { member_.courier_returned(letter); }),
      member_(thread_[0], {.coverage = parts_.coverage, .courier = courier_, .requests = parts_.requests},
              std::move(settings)) {}

FleetThread::~FleetThread() { stop(); }

void FleetThread::start() {
  thread_.start();
  started_ = true;
}

void FleetThread::post(fleet::Event event) {
  shard().post([this, event = std::move(event)]() mutable { member_.handle(std::move(event)); });
}

void FleetThread::replace_keys(const tls::PskKeys& keys) {
  shard().post([this, keys] { member_.replace_keys(keys); });
}

void FleetThread::hear(const std::string& topic, Heard heard) {
  ROUTER_ASSERT(!started_);
  member_.want_notes(topic);
  heard_[topic] = std::move(heard);
}

absl::Status FleetThread::tell(std::optional<std::string> member, const fleet::Note& note) {
  absl::StatusOr<std::string> frame = fleet::encode(note);
  if (!frame.ok()) return frame.status();
  shard().post([this, member = std::move(member), frame = *std::move(frame)] { member_.send_note(member, frame); });
  return absl::OkStatus();
}

void FleetThread::deliver(FleetLetter& letter) {
  write_lines(letter.lines);
  if (stopped_) return;
  take(parts_.lease, letter.lease);
  take(parts_.news, letter.news);
  deliver_notes(letter.notes);
}

void FleetThread::deliver_notes(std::vector<HeardNote>& notes) const noexcept {
  for (HeardNote& each : notes) {
    if (stopped_) break;  // one of them, or the news, has stopped this
    try {
      heard_.at(each.note.topic)(each.member, std::move(each.note));
    } catch (const std::exception& error) {
      runtime::contain(error);
    }
  }
  notes.clear();
}

void FleetThread::stop() {
  if (std::exchange(stopped_, true)) return;
  if (started_) {
    runtime::insist([this] { shard().post([this] { member_.close([this] { closed_.count_down(); }); }); });
    closed_.wait();
    thread_.join();
  }
  thread_.close();
  write_lines(courier_.letter().lines);
  std::vector<FleetLine> rest = member_.lines();
  write_lines(rest);
}

}  // namespace router::serving
