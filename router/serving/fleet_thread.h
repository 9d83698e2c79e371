#pragma once

#include <functional>
#include <latch>
#include <map>
#include <optional>
#include <string>

#include "router/dispatch/coverage.h"
#include "router/fleet/events.h"
#include "router/runtime/shard_set.h"
#include "router/serving/fleet_courier.h"
#include "router/serving/fleet_member.h"
#include "router/serving/fleet_news.h"
#include "tls/psk.h"

namespace router::serving {

/// The thread of the fleet: links to the other members, the state machine, and the time. It is a thread of its own because
/// control may be busy for 100 ms, and a late beat costs coverage. It never waits for another thread, and reads and writes no
/// file. It tells control by one message that goes to and fro (fleet_courier.h), and the data path by one atomic number
/// (dispatch::Coverage).
///
/// Made, started, stopped and destroyed by control; not from inside `news` or `lease`, but for `stop`.
class FleetThread {
 public:
  struct Parts {
    runtime::Shard& control;
    dispatch::Coverage& coverage;         // of this process
    std::function<void(FleetNews)> news;  // on control: the newest state, at least every 250 ms; not after `stop`
    /// On control: LeaseGet, LeasePut or LeaseStamp. Each is to be answered once, by `post` of LeaseSeen or LeaseAnswered. If
    /// it throws, that is the answer: failed.
    std::function<void(fleet::Action)> lease;
    FleetMember::Requests requests;  // on the fleet's thread: a connection for requests, of which one byte was read
  };
  using Settings = FleetMember::Settings;

  /// Nothing runs yet; the port listens, as it did. The shard and the coverage outlive this.
  FleetThread(Parts parts, Settings settings);
  FleetThread(const FleetThread&) = delete;
  FleetThread& operator=(const FleetThread&) = delete;
  /// Calls `stop`.
  ~FleetThread();

  /// On control: a note, and the id of its sender.
  using Heard = std::function<void(const std::string& member, fleet::Note note)>;
  /// Before `start`: notes of this topic are wanted; the others are ignored. `heard` is called after the news of the same
  /// letter; not after `stop`. If it throws, the note is lost.
  void hear(const std::string& topic, Heard heard);
  /// Any thread. Tells `note` to one member, or to all that have a link. It may be lost. Fails if the note exceeds a bound.
  /// Throws std::bad_alloc.
  absl::Status tell(std::optional<std::string> member, const fleet::Note& note);

  /// Starts the thread, which handles what was posted before. Throws std::system_error if there can be none.
  void start();
  /// Any thread. Events are handled in the order of their posting; after `stop` they are dropped. Throws std::bad_alloc.
  void post(fleet::Event event);
  /// Any thread. New links use these keys; open links go on. Before the first keys there are no links. Throws std::bad_alloc.
  void replace_keys(const tls::PskKeys& keys);
  /// Closes the port and the links, after what waits on them was sent, and ends the thread. Blocks until then, at most
  /// `LinkOptions::closing_max` and 250 ms. Afterwards nothing is covered, so the last exchange has ended before: the closed
  /// port tells the other members that this process runs nothing.
  void stop();

 private:
  runtime::Shard& shard() { return thread_[0]; }
  void deliver(FleetLetter& letter);
  void deliver_notes(std::vector<HeardNote>& notes) const noexcept;

  const Parts parts_;
  std::map<std::string, Heard> heard_;  // by topic
  runtime::ShardSet thread_;
  FleetCourier courier_;
  FleetMember member_;
  std::latch closed_{1};
  bool started_ = false;
  bool stopped_ = false;
};

}  // namespace router::serving
