#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace router::tls {

/// One of the certificates that contain a given name.
struct Candidate {
  std::size_t index = 0;  // in the list of the listener's certificates
  int key_type = 0;
  std::chrono::sys_seconds not_before;
  std::chrono::sys_seconds not_after;  // the last second in which it is valid (RFC 5280, section 4.1.2.5)

  bool is_valid(std::chrono::sys_seconds at) const { return not_before <= at && at <= not_after; }
};

/// Indices of the certificates that may be used for one name: at most one for each type of key. OpenSSL chooses among them by
/// the signatures that the client supports.
using Selection = std::vector<std::size_t>;

/// The certificates for a name from the time `from` until the next offer.
struct Offer {
  std::chrono::sys_seconds from;
  Selection selection;
  bool valid = false;  // all of them, during all of that time
};

/// Computes which certificates are used for one name at each time. This is done once, so that a handshake only compares times.
/// Of the valid certificates these are the first of each type of key. If none is valid, these are the ones of each type that
/// expire last, so that one that becomes valid soon goes before one that has expired. The first offer has no beginning;
/// adjacent offers differ. `candidates` has at least one.
std::vector<Offer> offers_of(const std::vector<Candidate>& candidates);

}  // namespace router::tls
