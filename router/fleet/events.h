#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "router/fleet/assignment.h"
#include "router/fleet/frame.h"

namespace router::fleet {

/// A link's number; it never repeats in one process, so that a frame of an old link is told apart.
using LinkId = std::uint64_t;

// --- What happens to a Machine.

struct Tick {};  // at `next_tick`, or at any other time
struct LinkOpened {
  LinkId link = 0;
  std::string hello;
};  // authenticated; the peer's hello as it came
struct FrameReceived {
  LinkId link = 0;
  std::string text;
};
struct LinkEnded {
  LinkId link = 0;
};  // for whatever reason
struct PeerRefused {
  std::string id;
};  // proof P2: the member with this id is dead
struct Served {
  std::vector<ServedNamespace> namespaces;
};  // replaces what was served before

/// The shards obey the assignment of that version, and hold this much; sent after each change of either.
struct Applied {
  std::uint64_t version = 0;
  std::vector<PodHolding> holdings;
};
struct DrainRequested {};  // SIGTERM

/// After DrainRequested: nothing runs or waits in this process, nor at another router for a client of this one, and nothing
/// arrives any more. Before that it does not say its bye.
struct Emptied {};

/// What the limited deployments ask for. A longer time is in force at once, a shorter one when the old W is over: until then
/// something may run that was begun under the longer one.
struct Waits {
  BootDuration running_grace{};  // G
  BootDuration abort_wait{};     // A
  bool operator==(const Waits&) const = default;
};

/// Another list of fixed peers, this process's own address among them. No effect on a fleet with a Lease.
struct PeersChanged {
  std::vector<std::string> addresses;
};
struct Forget {
  std::string who;
};  // an operator: the member with this id or address is off for good

/// The answer to LeaseGet, or a watch event (then `sent` is kLongAgo: it proves nothing about now). No text: there is no Lease.
struct LeaseSeen {
  BootTime sent = kLongAgo;  // when the GET was sent
  std::string version;       // resourceVersion
  std::string object;        // uid; empty: not known
  std::optional<std::string> roster;
};

/// The answer to LeaseGet (kFailed), LeasePut or LeaseStamp. kUnknown: it may have been written.
enum class LeaseOutcome { kWritten, kConflict, kFailed, kUnknown };
struct LeaseAnswered {
  LeaseOutcome outcome = LeaseOutcome::kFailed;
  std::string version;
};

using Event = std::variant<Tick, LinkOpened, FrameReceived, LinkEnded, PeerRefused, Served, Applied, DrainRequested, Emptied,
                           Waits, PeersChanged, Forget, LeaseSeen, LeaseAnswered>;

// --- What a Machine wants.

struct SendFrame {
  LinkId link = 0;
  std::string text;
};
struct EndLink {
  LinkId link = 0;
  std::string why;
};
struct DialPeers {
  std::vector<std::string> addresses;
};                   // the whole list; links to others are not to be dialled again
struct LeaseGet {};  // one Lease action at a time; each is answered once
struct LeasePut {
  std::string roster;
  std::string version;
};  // no version: create
struct LeaseStamp {
  std::string version;
};
struct LogLine {
  std::string text;
};

using Action = std::variant<SendFrame, EndLink, DialPeers, LeaseGet, LeasePut, LeaseStamp, LogLine>;

}  // namespace router::fleet
