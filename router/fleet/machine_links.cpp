#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "router/fleet/state.h"

namespace router::fleet {

namespace {

constexpr std::size_t kPeersMax = 2 * kMembersMax;  // newcomers and processes that are about to be removed beside the members

}  // namespace

const Peer* Machine::State::find_peer(const std::string& id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

BootDuration Machine::State::silence_of(const std::string& id) const {
  const Peer* const peer = find_peer(id);
  return now_ - std::max(peer == nullptr ? adopted_at_ : peer->heard_at(), awake_since_);
}

void Machine::State::refuse(LinkId link, const Hello* hello) {
  std::string why = "its first frame is no hello";
  if (hello != nullptr && is_own_id(hello->id)) {
    why = "it says that it is this process";
  } else if (hello != nullptr && !overlap(hello->protocols, options_.protocols)) {
    why = absl::StrCat("this router speaks versions ", options_.protocols.min, " to ", options_.protocols.max,
                       " of the fleet's protocol, ", hello->id, " at ", hello->address, " ", hello->protocols.min, " to ",
                       hello->protocols.max);
    if (strangers_.size() < kMembersMax) strangers_[hello->address] = why;
  } else if (hello != nullptr) {
    why = absl::StrCat(hello->id, " at ", hello->address, " is one process too many: ", kPeersMax, " are known");
  }
  actions_.emplace_back(EndLink{link, std::move(why)});
}

void Machine::State::on(const LinkOpened& opened) {
  absl::StatusOr<Frame> frame = decode_frame(opened.hello);
  const Hello* const hello = frame.ok() ? std::get_if<Hello>(&*frame) : nullptr;
  const bool full = hello != nullptr && peers_.size() >= kPeersMax && peers_.count(hello->id) == 0;
  if (hello == nullptr || full || is_own_id(hello->id) || !overlap(hello->protocols, options_.protocols))
    return refuse(opened.link, hello);
  strangers_.erase(hello->address);
  links_[opened.link] = hello->id;  // first: if the rest finds no memory, the end of the link is still understood
  peer_of(hello->id).link_opened(opened.link, *hello);
  if (said_bye_) actions_.emplace_back(SendFrame{opened.link, encode(Bye{})});  // who comes now has missed it
  if (fixed()) fixed_hello(*hello);
  find_later_processes();
  urgent_ = true;
}

void Machine::State::on(const LinkEnded& ended) {
  const auto found = links_.find(ended.link);
  if (found == links_.end()) return;
  Peer& peer = peer_of(found->second);
  peer.link_ended(ended.link);
  if (!peer.linked() && roster_.find(found->second) == nullptr) peers_.erase(found->second);
  links_.erase(found);
}

void Machine::State::on(const FrameReceived& received) {
  const auto found = links_.find(received.link);
  if (found == links_.end()) return;  // a frame of an old link
  const std::string id = found->second;
  absl::StatusOr<Frame> frame = decode_frame(received.text);
  if (!frame.ok()) {
    actions_.emplace_back(EndLink{received.link, std::string(frame.status().message())});
  } else if (Beat* const beat = std::get_if<Beat>(&*frame)) {
    receive(id, std::move(*beat));
  } else if (std::get_if<Bye>(&*frame) != nullptr) {
    add_death(id, Proof::kBye);
  }
}

void Machine::State::receive(const std::string& id, Beat beat) {
  Peer& peer = peer_of(id);
  if (!peer.accept(beat)) return;
  if (beat.roster && beat.roster->epoch == beat.epoch && !fixed() && beat.epoch.number > roster_.epoch.number) {
    adopt(*beat.roster);
  }
  for (const fleet::Death& death : beat.deaths) add_death(death.id, death.proof);
  if (dead(id)) return;
  if (beat.resigned != peer.resigned || beat.serving != peer.serving) homes_dirty_ = urgent_ = true;
  peer.resigned = peer.resigned || beat.resigned;
  peer.serving = beat.serving;
  peer.sees_me = beat.sees_you && beat.echo >= serving_number_;
  peer.lists_me = !beat.unlisted;
  peer.list = beat.list;
  peer.answers = beat.echo;
  if (beat.serving && !newcomers_.empty()) newcomers_.erase(peer.hello().address);
  const bool equal = beat.epoch == roster_.epoch;
  if (equal || !rules().equal_epoch) {
    const auto instead = rules().sent_time ? std::nullopt : std::optional(now_);
    if (beat.acknowledges) peer.acknowledge(beat.echo, serial_, !rules().equal_epoch, instead);
  }
  if (equal) receive_at_equal_epoch(id, peer, beat);
  if (beat.epoch.number < roster_.epoch.number) urgent_ = true;
}

void Machine::State::receive_at_equal_epoch(const std::string& id, Peer& peer, Beat& beat) {
  if (roster_.find(id) != nullptr) {
    if (beat.busy) {
      book_.tell(id, *std::move(beat.busy));
      peer.report = beat.busy_revision;
      publish_ = true;
    }
    // The sender's newest word decides: until its shards have stopped being home it has no revision.
    peer.report_serial = beat.busy_revision != 0 && beat.busy_revision == peer.report ? serial_ : 0;
  }
  peer.busy_seen = beat.busy_seen;
  votes_.asked_by(id, beat.votes);
  for (const Vote& vote : beat.votes) {
    if (vote.id == identity_.id || roster_.find(vote.id) == nullptr) continue;
    if (dead(vote.id) || blamed_for(vote.id) >= timing().promise_silence) {
      const std::vector<Vote> before = votes_.given_to(id);
      votes_.agree(id, vote);
      urgent_ = urgent_ || std::find(before.begin(), before.end(), vote) == before.end();
    }
  }
  for (const Vote& promise : beat.promises) votes_.promised(id, promise, !rules().rounds);
}

bool Machine::State::acknowledges(const std::string& id) const {
  return !removed_ && !declared_dead_ && (votes_.acknowledges(id) || !rules().promises) && roster_.epoch.number != 0;
}

Beat Machine::State::common_beat() const {
  Beat beat;
  beat.epoch = roster_.epoch;
  beat.serving = fixed_serving_ && !emptied_;
  beat.resigned = resigned_;
  beat.list = told_list_name_;
  beat.busy_revision = own_busy_known_ ? own_revision_ : 0;
  beat.votes = votes_.own();
  for (const Member& member : roster_.members) {
    const auto death = deaths_.find(member.id);
    if (death == deaths_.end()) continue;
    beat.deaths.push_back({.id = member.id, .proof = death->second.proof});
    // What an operator said of a machine holds for who has never met its process, too. A proof does not: it is of one process,
    // and the next one at that address may run already.
    const bool forgotten = death->second.proof == Proof::kForgotten;
    if (fixed() && forgotten && member.id != member.address)
      beat.deaths.push_back({.id = member.address, .proof = Proof::kForgotten});
  }
  return beat;
}

void Machine::State::send_beats() {
  const Beat common = common_beat();
  for (auto& [id, peer] : peers_)
    if (peer.linked()) send_beat(id, peer, common, roster_);
  urgent_ = false;
  if (now_ >= next_beat_) next_beat_ = now_ + timing().beat;
}

void Machine::State::send_beat(const std::string& id, Peer& peer, const Beat& common, const Roster& roster) {
  Beat beat = common;
  beat.number = ++last_number_;
  beat.echo = peer.newest();
  beat.acknowledges = acknowledges(id);
  const Member* const member = roster.find(id);
  beat.sees_you = peer.serving && member != nullptr;
  beat.unlisted = fixed() && (member == nullptr || !listed(member->address));
  if (!beat.unlisted) peer.unlisted_from = 0;
  if (beat.unlisted && peer.unlisted_from == 0) peer.unlisted_from = beat.number;
  if (!fixed() && roster.epoch.number > peer.epoch_number) beat.roster = roster;
  beat.busy_seen = peer.report;
  beat.promises = votes_.given_to(id);
  const bool tell = beat.busy_revision > peer.busy_seen;
  peer.sent(beat.number, serial_, now_);
  std::string text = encode(beat, tell ? std::string_view(own_busy_text_) : std::string_view());
  for (const LinkId link : peer.links()) actions_.emplace_back(SendFrame{link, text});
}

void Machine::State::dial() {
  if (!std::exchange(dial_, false)) return;
  std::vector<std::string> wanted;
  for (const Member& member : roster_.members)
    if (!left_ && member.id != identity_.id && ((fixed() && listed(member.address)) || !dead(member.id)))
      wanted.push_back(member.address);
  actions_.emplace_back(DialPeers{std::move(wanted)});
}

}  // namespace router::fleet
