#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "router/fleet/roster.h"
#include "router/fleet/time.h"

namespace router::fleet {

struct Timing {
  BootDuration coverage = std::chrono::seconds(3);           // T: from the sending of a beat that a majority acknowledged
  BootDuration running_grace = std::chrono::seconds(5);      // G: what runs may go on after the coverage has ended
  BootDuration abort_wait = std::chrono::milliseconds(250);  // A: until a pod has noticed that its request was cut
  BootDuration beat = std::chrono::milliseconds(250);
  BootDuration silence = std::chrono::seconds(2);                  // then a member is to be taken out
  BootDuration promise_silence = std::chrono::milliseconds(1500);  // then another member agrees to it
  BootDuration take_after = std::chrono::seconds(60);              // 0: never
  BootDuration stamp = std::chrono::seconds(10);

  /// W: after it, a member whose end is not proven has nothing running. Clocks may differ by 1 % in rate.
  BootDuration takeover_wait() const {
    return (coverage + running_grace + abort_wait) * 102 / 100 + std::chrono::milliseconds(250);
  }
};

/// The rules that keep a pod from having more exchanges than slots. Tests switch one off to show what it prevents; the
/// process never does. The numbers are those of the design, in docs/decisions/0068.
struct Rules {
  bool majority = true;           // 5: coverage needs a majority; off: one acknowledgement
  bool sent_time = true;          // 5: coverage counts from the sending of the beat; off: from its acknowledgement
  bool read_time = true;          // 5: ... from the sending of the GET; off: from its answer
  bool equal_epoch = true;        // 4: an acknowledgement counts at the same epoch only
  bool confirmed = true;          // 6: a write needs an epoch that a majority has acknowledged
  bool promises = true;           // 7: a removal without proof needs promises
  bool rounds = true;             // 7: a promise holds for one round of asking
  bool dead_do_not_cover = true;  // 8: a proven death counts for writes, never for coverage
  bool reports = true;            // 10: a new home waits for every member's busy numbers
  bool wait_unproven = true;      // 10: ... and W after a removal without proof
  bool wait_proven = true;        // 10: ... and A after a proven death
  bool count_busy = true;         // 9: slots that others still use are not free
  bool applied = true;            // 9: busy numbers are told when the shards have stopped being home
  bool join_wait = true;          // 11: a newcomer serves after W
  bool cut = true;                // 12: uncovered for G: what runs is cut
  bool reborn_empty = true;       // a removed process comes back when nothing of it runs
  bool mended_confirmed = true;   // 1: a GET of a mended Lease covers after a majority has acknowledged it
  bool remade_confirmed = true;   // 1: ... and one of a Lease that was deleted and made again, after an acknowledgement since
  bool refuse_older = true;       // 1: a Lease with a lower epoch is not believed
  bool stale_restarts = true;     // 1: uncovered beside a lost or older Lease: homes are taken over again
  bool same_list = true;          // fixed peers: a process serves when its peers have the same list, and no member beside it
  bool same_list_of_dead = true;  // ... those that have died since, too
  bool answered = true;           // fixed peers: who is taken out is dropped after it has answered that it serves no more
  bool bound = true;              // ... and only if one of the two keeps the other from serving afterwards
};

struct Options {
  Timing timing;
  Rules rules;
  Protocols protocols;
  std::vector<std::string> fixed_peers;  // addresses, this process's own among them; empty: the Lease has the roster
};

/// Who this process is; see Member.
struct Identity {
  std::string id;
  std::string pod_uid;
  std::string address;
  std::int64_t started = 0;
};

}  // namespace router::fleet
