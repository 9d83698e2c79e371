#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "router/runtime/address.h"

namespace router::fleet_link {

/// The number of a link, which no other link of this process has; 0 is no link.
using LinkNumber = std::uint64_t;

/// How an open link has ended.
enum class Ended : std::uint8_t {
  kBye,       // the peer had said that it goes (Links::note_bye)
  kFin,       // the peer's kernel closed the connection
  kReset,     // the peer's kernel reset the connection
  kSilence,   // the network failed: no acknowledgement in time, no way to the peer
  kProtocol,  // what arrived was no TLS of this key
  kTooLong,   // the peer announced a frame of more than 1 MB
  kSlow,      // more than 4 MB wait for a peer that does not read
  kReplaced,  // there is another link to the same member, which goes on
  kLocal,     // this process has ended it, or has no memory for it
};

/// What the owner of Links gets, on the fleet's thread, from its event loop or inside a call of Links. May call Links. An
/// exception (std::bad_alloc) that a function throws ends the link that it was called for.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;

  /// The first frame that this process sends on each link. Not empty.
  virtual std::string hello() = 0;
  /// The id of the member that sent `hello`; nothing: it is not understood, and the link is closed. Everybody who has the key
  /// can send any hello.
  virtual std::optional<std::string> member_of(std::string_view hello) = 0;
  /// A link to `member` is open. There may be two to one member for a while.
  virtual void opened(LinkNumber link, const std::string& member, std::string_view hello) = 0;
  /// A frame, never empty. Not called for a link that has ended, even if more had arrived.
  virtual void frame(LinkNumber link, std::string_view bytes) = 0;
  /// Once for every link for which `opened` was called, even if that threw.
  virtual void ended(LinkNumber link, Ended how) noexcept = 0;
  /// The process that was `member` is dead (proof P2, prober.h). It had no link when this was proven.
  virtual void proven_dead(const std::string& member) = 0;
  /// A link to `member` was not opened: there are as many as `LinkOptions::members_max` allows.
  virtual void refused(const std::string& member) = 0;
  /// An attempt to reach `address` has failed; the next one follows by itself. `cause` is a literal, `system_error` errno or 0.
  virtual void unreachable(const runtime::Address& address, const char* cause, int system_error) = 0;
};

}  // namespace router::fleet_link
