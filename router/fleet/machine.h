#pragma once

#include <memory>
#include <string>
#include <vector>

#include "router/fleet/assignment.h"
#include "router/fleet/events.h"
#include "router/fleet/options.h"
#include "router/fleet/time.h"

namespace router::fleet {

/// One member of the fleet: who is home of which namespace, how many slots of its pods may be used, and until when. A pure
/// state machine: events and the time go in, actions come out. It opens no socket, starts no thread and reads no clock, so
/// that a simulator can drive a whole fleet of them (tests/unit/fleet). The rules and why each is needed: docs/decisions/0068.
///
/// Threads: one, that of the links. The data path gets copies: `assignment()` when its version has changed, `covered_until()`
/// as one number that it compares with a fresh reading of the clock just before it begins an exchange at a pod.
class Machine {
 public:
  Machine(Identity identity, Options options, BootTime now);
  ~Machine();
  Machine(Machine&&) noexcept;
  Machine& operator=(Machine&&) noexcept;

  /// Handles one event. `now` must not go back.
  void handle(BootTime now, Event event);

  /// What is to be done since the last call, in order. The caller does it and reports back by events.
  std::vector<Action> take_actions();

  /// When `Tick` is due at the latest.
  BootTime next_tick() const;

  /// The own hello, for links that are opened from now on. It changes when a removed process comes back as another member.
  std::string hello() const;

  const Assignment& assignment() const;

  /// Until when exchanges may be begun at pods of namespaces whose home is here. It may also fall: a new value replaces the
  /// old one at once.
  BootTime covered_until() const;

  /// Whether everything that runs at pods with a limit is to be cut now (rule 12), and whether the process may end (rule 13).
  bool must_cut() const;
  bool may_leave() const;

  /// G, and with it W, follow `Waits`.
  const Timing& timing() const;

  Report report(BootTime now) const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace router::fleet
