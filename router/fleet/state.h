#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "router/fleet/busy_book.h"
#include "router/fleet/coverage.h"
#include "router/fleet/machine.h"
#include "router/fleet/peer.h"
#include "router/fleet/votes.h"

namespace router::fleet {

/// What the Lease shows, as far as this process knows, and the one action that is under way.
struct LeaseView {
  enum class Call { kNone, kGet, kPut, kStamp };

  bool seen = false;  // at least once
  bool present = false;
  std::string version;                 // resourceVersion
  std::string object;                  // uid
  BootTime remade_at = kLongAgo;       // since when it has another uid, and no majority has acknowledged the epoch
  std::optional<Roster> roster;        // readable
  BootTime changed_at = kLongAgo;      // by this process or another
  BootTime foreign_change = kLongAgo;  // by another, or since when the API server has answered without a long break
  BootTime answered_at = kLongAgo;     // the newest answer of the API server
  BootTime absent_since = kLongAgo;
  Call call = Call::kNone;
  BootTime get_sent = kLongAgo;
  BootTime retry_at = kLongAgo;
  bool wanted = true;         // a GET is needed before anything is written
  std::optional<Roster> put;  // under way, or its outcome is unknown
  std::string put_version;    // what it was based on
};

/// The parts of a Machine and how they work together. One file for each concern: machine.cpp (time), machine_links.cpp
/// (frames), machine_roster.cpp (epochs, deaths, votes), machine_fixed.cpp (fixed peers), machine_homes.cpp (homes and slots),
/// machine_lease.cpp (what is written to the Lease), machine_report.cpp.
class Machine::State {
 public:
  State(Identity identity, Options options, BootTime now);

  void handle(BootTime now, Event event);
  std::vector<Action> take_actions();
  BootTime next_tick() const;
  std::string hello() const;
  const Assignment& assignment() const { return assignment_; }
  const Timing& timing() const { return options_.timing; }
  BootTime covered_until() const { return fixed() ? (fixed_serving_ ? kAlways : kLongAgo) : coverage_.until(); }
  bool must_cut() const { return must_cut_; }
  bool may_leave() const;
  Report report(BootTime now) const;

 private:
  struct Death {
    Proof proof = Proof::kRefused;
    BootTime learned;
  };
  struct Home {
    ServedNamespace served;
    bool here = false;
    bool ready = false;  // here, and the takeover is complete
    std::string where;   // another's id
  };

  bool fixed() const { return !options_.fixed_peers.empty(); }
  const Rules& rules() const { return options_.rules; }

  // --- time
  void on(const Tick&) {}
  void on(const Waits& waits);
  void settle();  // after each event: what follows from it
  void update_coverage();
  void say_bye();
  void come_back();  // a removed process becomes another member

  // --- links
  void on(const LinkOpened& opened);
  void on(const FrameReceived& received);
  void on(const LinkEnded& ended);
  void receive(const std::string& id, Beat beat);
  void receive_at_equal_epoch(const std::string& id, Peer& peer, Beat& beat);
  void send_beats();
  void send_beat(const std::string& id, Peer& peer, const Beat& common, const Roster& roster);
  Beat common_beat() const;
  void dial();
  bool acknowledges(const std::string& id) const;
  Peer& peer_of(const std::string& id) { return peers_.try_emplace(id, now_).first->second; }
  void refuse(LinkId link, const Hello* hello);
  const Peer* find_peer(const std::string& id) const;
  BootDuration silence_of(const std::string& id) const;

  // --- epochs, deaths, votes
  void on(const PeerRefused& refused) { add_death(refused.id, Proof::kRefused); }
  void on(const Forget& forget);
  void on(const DrainRequested&);
  void on(const Emptied&);
  void adopt(const Roster& roster);
  void wait_for_unproven(const Roster& old);
  void leave_behind(const Roster& old);  // members of `old` that are gone
  void add_death(const std::string& id, Proof proof);
  void forget_deaths();
  void find_later_processes();
  bool dead(const std::string& id) const { return deaths_.count(id) > 0; }
  bool has_said_bye(const std::string& id) const;
  void vote();
  void update_contact();
  BootDuration blamed_for(const std::string& id) const;  // silence, while this member heard as many as a removal needs
  bool leads() const;                                    // a serving member, or one that remains when all serving ones are dead
  bool nobody_serves() const;                            // as far as this process knows, which may take their place
  bool promised(const std::string& id) const;
  void update_confirmed();
  bool is_at_this_epoch(const std::string& id) const;
  bool may_write() const { return confirmed_ || previous_left_; }
  bool majority_now() const;
  const Member* self() const { return roster_.find(identity_.id); }
  bool serving() const;

  // --- fixed peers
  void on(const PeersChanged& changed);
  bool listed(const std::string& address) const;
  std::uint64_t name_of_list(bool with_others) const;
  bool same_list(const Peer& peer) const;
  bool is_own_id(const std::string& id) const;
  void fixed_add(const std::string& address);
  void fixed_add_listed();
  void fixed_take_out();
  bool fixed_has_left(const Member& member) const;
  void fixed_drop();
  void forget_peer(const std::string& id);  // unless it has a link: then with its end
  bool fixed_met(const Member& member) const;
  bool fixed_agrees(const Member& member) const;
  void fixed_start();
  void fixed_hello(const Hello& hello);
  void fixed_replace_dead();
  void fixed_settle();

  // --- homes and slots
  void on(Served& served);
  void on(Applied& applied);
  void find_homes();
  void find_home(Home& home, bool all_resigned);
  bool candidate(const Member& member) const;  // may be home; who has resigned only while all have
  bool has_resigned(const Member& member) const;
  bool all_have_resigned() const;
  bool reports_complete() const;
  void lose_homes();
  void take_over();
  void update_own_busy(bool again);
  void publish();

  // --- the Lease
  void on(const LeaseSeen& seen);
  void on(const LeaseAnswered& answered);
  void api_answers();
  void look_at(const LeaseSeen& seen);
  void act_on_lease();
  bool get_due() const;
  void put(Roster next, bool unproven);
  std::optional<Roster> mended() const;
  std::optional<Roster> own_change() const;
  std::optional<std::pair<Roster, bool>> removal() const;
  std::optional<Roster> taking() const;
  std::optional<std::string> to_take() const;
  bool confirmable(const Roster& next) const;
  bool may_join() const;
  bool may_serve() const;
  bool stale() const;
  bool remade() const { return rules().remade_confirmed && lease_.remade_at != kLongAgo; }
  BootDuration turn() const;  // members act one after the other, to avoid conflicts

  std::string why_not_ready() const;
  std::string why_not_member() const;
  std::string why_not_fixed() const;
  std::vector<std::string> unreachable() const;
  std::string state_name() const;
  bool limited_idle() const;  // nothing runs at pods with a limit
  bool idle() const;          // nothing runs, and this process is home of nothing

  void log(std::string text) { actions_.emplace_back(LogLine{std::move(text)}); }

  Identity identity_;
  const std::string base_id_;
  Options options_;
  BootTime now_;
  BootTime awake_since_;       // after a pause of this process, nobody else is called silent
  BootTime in_contact_since_;  // with as many members as a removal needs: who was alone does not call the others silent
  std::vector<Action> actions_;

  Roster roster_;
  std::uint64_t serial_ = 1;  // rises with each roster that is adopted
  BootTime adopted_at_;
  BootTime joined_at_ = kLongAgo;
  // Rule 6: no older epoch can have a majority any more, since one has acknowledged this epoch, or so many members of the epoch
  // before have come over that too few remain.
  bool confirmed_ = false;
  bool previous_left_ = false;
  std::vector<std::string> previous_serving_;  // of the epoch just before, if this process was there
  bool removed_ = false;
  bool declared_dead_ = false;
  bool draining_ = false;
  bool resigned_ = false;
  bool emptied_ = false;  // nothing runs or waits here any more, and nothing comes: home of nothing, whoever else is there
  bool left_ = false;
  bool said_bye_ = false;  // only after `emptied_`
  BootTime bye_at_ = kAlways;
  std::uint32_t rebirths_ = 0;
  Coverage coverage_;
  bool must_cut_ = false;
  bool fixed_serving_ = false;
  std::uint64_t serving_number_ = 0;  // the first beat that said so
  std::uint64_t list_name_ = 0;       // of the list of fixed peers; 0: to be found
  std::uint64_t told_list_name_ = 0;  // ... and of the members beside it
  std::set<std::string> newcomers_;   // addresses that were added to the list, where nobody has said yet that he may be home
  Waits waits_;
  BootTime waits_fall_at_ = kAlways;  // then `waits_` replace the longer ones before

  std::unordered_map<std::string, Peer> peers_;  // by id
  std::unordered_map<LinkId, std::string> links_;
  std::map<std::string, std::string> strangers_;  // by address: why its process is no peer; at most kMembersMax
  std::uint64_t last_number_ = 0;
  BootTime next_beat_;
  bool urgent_ = true;  // something that others wait for has changed
  bool dial_ = true;
  std::map<std::string, Death> deaths_;
  Votes votes_;

  std::vector<Home> homes_;  // by name
  bool homes_dirty_ = true;
  bool publish_ = true;
  BusyBook book_;
  BootTime wait_until_;  // no takeover is complete before (rule 10)
  Assignment assignment_;
  std::uint64_t lost_version_ = 0;  // the assignment in which this process last stopped being home of something
  std::uint64_t applied_version_ = 0;
  std::vector<PodHolding> holdings_;
  bool holdings_empty_ = true;
  BusyPods own_busy_;
  std::string own_busy_text_;
  std::uint64_t own_revision_ = 0;
  bool own_busy_known_ = false;
  bool retell_ = true;  // at a new epoch

  LeaseView lease_;
};

}  // namespace router::fleet
