#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace router::tls {

/// One of the certificates that bear a name.
struct Candidate {
  std::size_t index = 0;  // among those of the listener
  int key_type = 0;
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;  // the last second in which it is valid (RFC 5280, section 4.1.2.5)

  bool is_valid(std::chrono::sys_seconds at) const { return not_before <= at && at <= not_after; }
};

/// The certificates that may answer for one name, as indices: at most one of each type of key. OpenSSL picks among them by the
/// signatures that the client can check.
using Selection = std::vector<std::size_t>;

/// What answers for a name from `from` on, until the next one.
struct Offer {
  std::chrono::sys_seconds from;
  Selection selection;
  bool valid = false;  // all of it, in all of that time
};

/// Of the certificates that bear one name, which of them answer, at every moment: worked out once, so that a handshake only
/// looks at the time. Of those that are valid the first of each type of key; where none is, of each type the one that ends
/// last, so that one that begins in a moment goes before one that is over. The first offer holds from the beginning of time;
/// neighbours differ. `candidates` has at least one.
std::vector<Offer> offers_of(const std::vector<Candidate>& candidates);

}  // namespace router::tls
