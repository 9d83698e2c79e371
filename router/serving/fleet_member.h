#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/base/task.h"
#include "router/dispatch/coverage.h"
#include "router/fleet/machine.h"
#include "router/fleet_link/boot_alarm.h"
#include "router/fleet_link/links.h"
#include "router/fleet_link/port.h"
#include "router/runtime/task_group.h"
#include "router/serving/fleet_courier.h"
#include "router/serving/fleet_log.h"
#include "router/serving/fleet_news.h"
#include "router/serving/fleet_notes.h"

namespace router::serving {

/// This process as a member of its fleet: connects the state machine, which decides everything, with links, port and clock. It
/// turns what happens into events, and does what the machine wants.
///
/// An event that was posted is handled, however often memory is short meanwhile; then a link may lose a frame and end. The
/// machine may be left half-way by that, so this process begins no exchange for W after it, the time after which nobody relies
/// on anything that was before. Belongs to the fleet's thread; destroyed after it has ended.
class FleetMember final : private fleet_link::LinkEvents {
 public:
  using Requests = std::function<void(runtime::Descriptor socket, const runtime::Address& from)>;
  struct Settings {
    fleet::Identity identity;
    fleet::Options machine;
    fleet_link::LinkOptions links;
    runtime::ListeningSocket listening;
  };
  struct Outside {
    dispatch::Coverage& coverage;
    FleetCourier& courier;
    Requests requests;
  };
  FleetMember(runtime::Shard& shard, Outside outside, Settings settings);
  ~FleetMember() override;

  void handle(fleet::Event event) noexcept;
  void replace_keys(const tls::PskKeys& keys);
  /// Before the thread starts: notes of this topic go to control.
  void want_notes(const std::string& topic) { notes_.want(topic); }
  /// Sends a frame with a note to one member, or to all. It may be lost; the machine does not know of it.
  void send_note(const std::optional<std::string>& member, std::string_view frame) noexcept;
  const FleetNoteCounts& note_counts() const { return note_counts_; }
  /// The courier is back. What is still in the letter has failed at control.
  void courier_returned(FleetLetter& letter) noexcept;
  /// Ends everything: the port, then all links, after what waits on them was sent. `closed` is called once, within
  /// `closing_max` and 250 ms. From now on nothing is covered.
  void close(std::function<void()> closed) noexcept;
  /// After the thread has ended: lines that were not sent.
  std::vector<FleetLine> lines() { return log_.take(); }

 private:
  // fleet_link::LinkEvents
  std::string hello() override { return machine_.hello(); }
  std::optional<std::string> member_of(std::string_view hello) override;
  void opened(fleet_link::LinkNumber link, const std::string& member, std::string_view hello) override;
  void frame(fleet_link::LinkNumber link, std::string_view bytes) override;
  void ended(fleet_link::LinkNumber link, fleet_link::Ended how) noexcept override;
  void proven_dead(const std::string& member) override { handle(fleet::PeerRefused{member}); }
  void refused(const std::string& member) override;
  void unreachable(const runtime::Address& address, const char* cause, int system_error) override;

  void hear(fleet_link::LinkNumber link, std::string_view frame) noexcept;
  void offer(std::string_view member, std::string_view frame);
  void decide(fleet::Event event);
  void doubt(fleet::BootTime now) noexcept;
  void settle(fleet::BootTime now) noexcept;
  void cover(fleet::BootTime now) noexcept;
  void act() noexcept;
  void tell(fleet::BootTime now);
  void add_round_trips(FleetNews& news) const;
  void arm(fleet::BootTime now) noexcept;
  void dial();

  void perform(fleet::SendFrame& frame);
  void perform(const fleet::EndLink& end);
  void perform(fleet::DialPeers& peers) { to_dial_ = std::move(peers); }
  void perform(fleet::LogLine& line) { log_.say(log::Level::kInfo, std::move(line.text)); }
  void perform(fleet::LeaseGet& get) { lease_ = get; }
  void perform(fleet::LeasePut& put) { lease_ = std::move(put); }
  void perform(fleet::LeaseStamp& stamp) { lease_ = std::move(stamp); }

  Task<void> finish();

  runtime::Shard& shard_;
  dispatch::Coverage& coverage_;
  FleetCourier& courier_;
  const Requests requests_;
  const std::string first_id_;  // the own id for `links_`, also after the machine came back as another member
  const std::chrono::milliseconds closing_max_;

  fleet::Machine machine_;
  FleetReporter reporter_;
  FleetLog log_;
  NoteBox notes_;
  FleetNoteCounts note_counts_;
  std::optional<fleet::Action> lease_;       // waits for the courier
  std::optional<fleet::DialPeers> to_dial_;  // not passed to `links_` yet
  fleet::BootTime in_doubt_until_ = fleet::kLongAgo;
  bool acting_ = false;
  std::function<void()> when_closed_;
  bool closed_ = false;

  fleet_link::Links links_;
  fleet_link::FleetPort port_;
  fleet_link::BootAlarm alarm_;
  runtime::TaskGroup closing_;  // last: its coroutine uses the rest
};

}  // namespace router::serving
