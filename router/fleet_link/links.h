#pragma once

#include <absl/status/status.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/fleet_link/link.h"
#include "router/fleet_link/link_events.h"
#include "router/fleet_link/port.h"
#include "router/fleet_link/prober.h"
#include "router/runtime/task_group.h"
#include "tls/psk.h"

namespace router::fleet_link {

struct LinkOptions {
  std::chrono::milliseconds opening_max{5000};  // from the first byte to the peer's hello
  std::chrono::milliseconds connect_max{400};   // for TCP; the kernel would send its next SYN after 1 s
  std::chrono::milliseconds closing_max{1000};  // to send what waits, and to wait for the peer's end
  std::chrono::milliseconds look_again{250};    // until an address without a link of its own is looked at again
  std::chrono::milliseconds redial_first{100};  // after a failure; doubles with each further one
  std::chrono::milliseconds redial_max{300};
  std::size_t members_max = 72;              // 64, and some that were replaced and are not gone yet
  std::size_t unsent_max = 4 * 1024 * 1024;  // bytes of frames that wait for one peer
  std::size_t offer_max = 512 * 1024;        // with more unsent bytes than that a peer gets no frame that may be lost
  bool trust_refused = true;                 // proof P2; false where a mesh may answer in the name of a dead process
  ProbeOptions probe;
};

/// What has happened since the start.
struct LinkCounts {
  std::uint64_t opened = 0;
  std::uint64_t failed = 0;   // accepted connections that did not become a link: another key, no TLS, no hello, too late
  std::uint64_t refused = 0;  // hellos that were not understood, or of a member too many
  std::uint64_t too_long = 0;
  std::uint64_t slow = 0;
  std::uint64_t proven_dead = 0;
};

/// The links of this process to the other members: dials them, accepts their links, carries frames (decision 0069).
///
/// Each side dials the other, until it has reached it once under its address; so every member knows by itself that its proof of
/// death is about the right address. Of two links to one member, that which the member with the smaller id has dialled stays:
/// the other's dialler ends it once a frame has come on the one that stays. Of two that the same member has dialled, the newer
/// stays.
///
/// Belongs to the fleet's thread, as the events do; destroyed there, or after the thread has ended. Other threads post
/// functions to its shard.
class Links {
 public:
  /// `own_member`: the id that `events.hello()` tells the peers. Both `shard` and `events` outlive this.
  Links(runtime::Shard& shard, LinkEvents& events, std::string own_member, LinkOptions options = {});
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  ~Links();

  /// From now on new links use these keys. If none of the keys before was taken out, open links stay; else all end and are
  /// opened again, so that who has not the new keys is found to be unreachable. Before the first call there are no links. On an
  /// error nothing changes.
  absl::Status replace_keys(const tls::PskKeys& keys);
  /// Takes a connection of the fleet port.
  void accept(Newcomer newcomer);
  /// The addresses of the members that this process should have links to; its own may be among them. Links to others stay open.
  /// Only the first `members_max` count.
  void set_peers(const std::vector<runtime::Address>& addresses);
  /// A member says that this is its address. If it is a peer's that this process has not reached yet, it is dialled without a
  /// pause: until it has answered there, its death could not be proven.
  void dial_now(const runtime::Address& address) noexcept;

  /// Sends a frame of 1 to kFrameMax bytes. False: the link has ended. Throws std::bad_alloc.
  bool send(LinkNumber link, std::string_view frame);
  /// Sends a frame that may be lost to `member`. False: it was not sent, since there is no link, or more than
  /// `LinkOptions::offer_max` bytes wait there: such frames neither delay others for long nor end a link as slow. Throws
  /// std::bad_alloc.
  bool offer(std::string_view member, std::string_view frame);
  /// The members with a link. Throws std::bad_alloc.
  std::vector<std::string> members() const;
  /// The member at the other end; empty if the link has ended.
  std::string_view member(LinkNumber link) const;
  /// The link over which frames to `member` go; 0 if there is none.
  LinkNumber best(std::string_view member) const;
  /// The time from this kernel to the peer's and back on that link, as TCP measures it; nothing: no link, or no sample yet.
  std::optional<std::chrono::microseconds> round_trip(std::string_view member) const;
  /// The peer has said that it goes: the end of its links proves nothing, and is Ended::kBye.
  void note_bye(LinkNumber link);
  /// Ends a link, after the frames that wait were sent. `ended` is called later, from the event loop.
  void end(LinkNumber link);

  /// Stops dialling and ends all links; later ones are refused. `wait` returns true when all are closed.
  void close();
  Task<bool> wait(Deadline deadline) { return tasks_.wait(deadline); }
  const LinkCounts& counts() const { return counts_; }

 private:
  struct Dial;
  class Napping;
  using Dials = std::vector<std::shared_ptr<Dial>>;
  using Members = std::map<std::string, std::vector<Link*>, std::less<>>;

  Task<void> run_accepted(Newcomer newcomer);
  Task<std::optional<Unopened>> live(Link& link, Strangers::Stay stay, Dial* dial);
  Task<std::optional<Unopened>> open(Link& link, Strangers::Stay& stay, Dial* dial);
  Task<void> carry(Link& link);
  const char* introduce(Link& link, std::string_view hello, Dial* dial);
  void add(Link& link);
  static void replace(Link& link) noexcept;
  void forget(Link& link) noexcept;
  void settle(Link& link);
  Link* find(LinkNumber number) const;
  Link* best_link(std::string_view member) const;
  Link* best_of(const std::vector<Link*>& links, std::string_view member) const;

  // Dialling: links_dial.cpp
  Task<void> keep(Dial& dial);
  bool wants_link(const Dial& dial) const;
  Task<Duration> attempt(Dial& dial);
  Task<std::optional<Unopened>> dial_once(Dial& dial);
  void prove(const Link& link) noexcept;
  Task<void> probe(std::string member, runtime::Address address);

  runtime::Shard& shard_;
  LinkEvents& events_;
  const std::string own_member_;
  const LinkOptions options_;
  std::optional<tls::PskKeys> keys_;
  std::shared_ptr<tls::PskServerContext> server_;
  std::shared_ptr<tls::PskClientContext> client_;
  LinkNumber last_number_ = 0;
  std::map<LinkNumber, Link*> open_;
  Members members_;
  Dials dials_;
  LinkCounts counts_;
  bool closed_ = false;
  runtime::TaskGroup tasks_;  // last: its coroutines use the rest
};

}  // namespace router::fleet_link
