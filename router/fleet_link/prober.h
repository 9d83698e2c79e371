#pragma once

#include <chrono>

#include "router/base/task.h"
#include "router/runtime/address.h"
#include "router/runtime/cancellation.h"

namespace router::fleet_link {

struct ProbeOptions {
  std::chrono::milliseconds between{20};  // two refusals prove a death if they are so far apart
  std::chrono::milliseconds total{2000};  // then it gives up
  std::chrono::milliseconds each{200};    // for the answer to one attempt
};

/// What came back when a TCP connection was tried.
enum class Knock {
  kRefused,    // a RST from the peer's kernel: no process listens there
  kAccepted,   // a process listens, or something that answers for it
  kUnrelated,  // no answer, or one of the network, also an ICMP message that the socket reports as "connection refused"
};

/// Tries to connect once, and closes at once. Waits at the cancellation's wakeup until `deadline` at most.
Task<Knock> knock(runtime::Cancellation& cancellation, runtime::Address address, Deadline deadline);

/// Whether the process that listened at `address` is dead (proof P2, decision 0069): two attempts in a row, `between` apart,
/// were refused by the peer's kernel. Tries until `total` is over. False: not proven. The caller ensures that this is the
/// address of the dead process, and that its link ended with FIN or RST and without bye.
Task<bool> prove_dead(runtime::Cancellation& cancellation, runtime::Address address, ProbeOptions options);

}  // namespace router::fleet_link
