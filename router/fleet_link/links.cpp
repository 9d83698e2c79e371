#include "router/fleet_link/links.h"

#include <exception>
#include <new>
#include <utility>

#include "router/base/assert.h"
#include "router/base/log.h"
#include "router/fleet_link/links_dial.h"
#include "router/fleet_link/vanishing.h"
#include "router/runtime/contain.h"

namespace router::fleet_link {
namespace {

/// For each member: one dial, two links and some that are being closed, one probe.
constexpr std::size_t kTasksForMember = 6;
constexpr std::size_t kStrangers = 256;

}  // namespace

Links::Links(runtime::Shard& shard, LinkEvents& events, std::string own_member, LinkOptions options)
    : shard_(shard),
      events_(events),
      own_member_(std::move(own_member)),
      options_(options),
      tasks_(shard, options.members_max * kTasksForMember + kStrangers) {}

Links::~Links() {
  // A dial that has not begun yet would use the tasks. Those that run end with them.
  for (const std::shared_ptr<Dial>& dial : dials_) {
    if (dial->nap == nullptr) dial->cancel();
  }
}

absl::Status Links::replace_keys(const tls::PskKeys& keys) {
  auto server = tls::PskServerContext::make(keys, tls::PskPurpose::kLink, 1);
  if (!server.ok()) return server.status();
  auto client = tls::PskClientContext::make(keys, tls::PskPurpose::kLink, 1);
  if (!client.ok()) return client.status();
  server_ = server->front();
  client_ = client->front();
  const bool taken_out = keys_ && !keys_->all_in(keys);
  keys_ = keys;
  if (taken_out) {
    for (const auto& [number, link] : open_) link->end_as(Ended::kLocal);
  }
  return absl::OkStatus();
}

// --- one link
// ------------------------------------------------------------------------------------------------------------------

void Links::accept(Newcomer newcomer) {
  if (closed_ || server_ == nullptr) return;
  tasks_.try_spawn(run_accepted(std::move(newcomer)));
}

Task<void> Links::run_accepted(Newcomer newcomer) {
  const std::shared_ptr<const tls::PskServerContext> context = server_;
  notice_vanishing(newcomer.socket.descriptor());
  Link link(Link::Origin{false, context, newcomer.life, options_.unsent_max},
            tls::Stream(std::move(newcomer.socket), *context));
  Strangers::Stay stay = std::move(newcomer.stay);
  const std::optional<Unopened> unopened = co_await live(link, std::move(stay), nullptr);
  if (unopened) ++counts_.failed;
}

/// The life of a link, from the handshake to its end. Returns why it never was open.
Task<std::optional<Unopened>> Links::live(Link& link, Strangers::Stay stay, Dial* dial) {
  const std::optional<Unopened> unopened = co_await open(link, stay, dial);
  if (unopened) co_return unopened;
  try {
    co_await carry(link);
  } catch (const std::exception& error) {  // also if there is no memory for the frame of `carry`
    log::error("a link of the fleet ends");
    runtime::contain(error);
    link.end_as(Ended::kLocal);
  }
  forget(link);
  const Deadline closed_by = deadline_after(shard_.now(), options_.closing_max);
  co_await link.close(closed_by);
  co_return unopened;
}

Task<std::optional<Unopened>> Links::open(Link& link, Strangers::Stay& stay, Dial* dial) {
  const Deadline deadline = deadline_after(shard_.now(), options_.opening_max);
  const std::optional<Unopened> failed = co_await link.shake_hands(deadline);
  if (failed) co_return failed;
  link.send(events_.hello());
  const std::optional<std::string> hello = co_await link.first_frame(deadline);
  if (!hello) co_return Unopened{"the peer has the key, but says no hello", 0};
  // From here on nobody cancels the link but itself, when it ends.
  stay.leave();
  if (dial != nullptr) dial->attempt = nullptr;
  if (const char* cause = introduce(link, *hello, dial); cause != nullptr) co_return Unopened{cause, 0};
  co_return std::nullopt;
}

/// Returns why the link is refused, or nothing: it is open.
const char* Links::introduce(Link& link, std::string_view hello, Dial* dial) {
  const std::optional<std::string> member = events_.member_of(hello);
  if (closed_) return "closed";
  if (!member) {
    ++counts_.refused;
    return "the peer's hello was refused";
  }
  if (*member == own_member_) {
    if (dial != nullptr) dial->is_own = true;
    return "this is the own address";
  }
  if (!members_.contains(*member) && members_.size() >= options_.members_max) {
    ++counts_.refused;
    events_.refused(*member);
    return "there are too many members";
  }
  link.member = *member;
  if (dial != nullptr) dial->reached = *member;
  add(link);
  ++counts_.opened;
  try {
    events_.opened(link.number, link.member, hello);
  } catch (const std::exception& error) {
    runtime::contain(error);
    link.end_as(Ended::kLocal);
  }
  return nullptr;
}

Task<void> Links::carry(Link& link) {
  while (!link.ended()) {
    link.read([this, &link](std::string_view frame) {
      if (frame.empty()) return link.end_as(Ended::kReplaced);
      settle(link);
      events_.frame(link.number, frame);
    });
    if (link.ended()) break;
    co_await link.wait(kNever);
    link.flush();
  }
}

// --- all links
// -----------------------------------------------------------------------------------------------------------------

/// When it throws, nothing has changed.
void Links::add(Link& link) {
  const auto place = members_.try_emplace(link.member).first;
  std::vector<Link*>& links = place->second;
  try {
    links.reserve(links.size() + 1);
    open_.emplace(last_number_ + 1, &link);
  } catch (const std::bad_alloc&) {
    if (links.empty()) members_.erase(place);
    throw;
  }
  link.number = ++last_number_;
  // The member would not dial again if it had its earlier link still.
  for (Link* other : links) {
    if (!link.dialled() && !other->dialled()) replace(*other);
  }
  links.push_back(&link);
}

/// An empty frame tells the peer that the other link goes on.
void Links::replace(Link& link) noexcept {
  try {
    link.send({});
  } catch (const std::bad_alloc&) {
    log::error("memory is short: a link of the fleet is closed without a word");
  }
  link.end_as(Ended::kReplaced);
}

void Links::forget(Link& link) noexcept {
  open_.erase(link.number);
  const auto found = members_.find(link.member);
  std::erase(found->second, &link);
  const bool was_last = found->second.empty();
  if (was_last) members_.erase(found);
  const Ended how = link.how();
  if (how == Ended::kTooLong) ++counts_.too_long;
  if (how == Ended::kSlow) ++counts_.slow;
  events_.ended(link.number, how);
  if (was_last && (how == Ended::kFin || how == Ended::kReset)) prove(link);
}

/// The first frame on the link that stays: the peer has it open, too. So the other one that this process has dialled can go.
void Links::settle(Link& link) {
  if (std::exchange(link.settled, true)) return;
  const std::vector<Link*>& links = members_.find(link.member)->second;
  if (best_of(links, link.member) != &link) return;
  for (Link* other : links) {
    if (other != &link && other->dialled()) replace(*other);
  }
}

Link* Links::best_of(const std::vector<Link*>& links, std::string_view member) const {
  const bool own_stay = std::string_view(own_member_) < member;
  Link* best = nullptr;
  for (Link* each : links) {  // the oldest first
    if (each->ended()) continue;
    if (best == nullptr || each->dialled() == own_stay || best->dialled() != own_stay) best = each;
  }
  return best;
}

Link* Links::best_link(std::string_view member) const {
  const auto found = members_.find(member);
  return found != members_.end() ? best_of(found->second, member) : nullptr;
}

LinkNumber Links::best(std::string_view member) const {
  const Link* link = best_link(member);
  return link != nullptr ? link->number : 0;
}

std::optional<std::chrono::microseconds> Links::round_trip(std::string_view member) const {
  Link* link = best_link(member);
  return link != nullptr ? link->round_trip() : std::nullopt;
}

Link* Links::find(LinkNumber number) const {
  const auto found = open_.find(number);
  return found != open_.end() && !found->second->ended() ? found->second : nullptr;
}

bool Links::send(LinkNumber number, std::string_view frame) {
  Link* link = find(number);
  if (link == nullptr) return false;
  ROUTER_ASSERT(!frame.empty());
  link->send(frame);
  return !link->ended();
}

bool Links::offer(std::string_view member, std::string_view frame) {
  Link* link = best_link(member);
  if (link == nullptr || link->unsent() > options_.offer_max) return false;
  link->send(frame);
  return !link->ended();
}

std::vector<std::string> Links::members() const {
  std::vector<std::string> members;
  members.reserve(members_.size());
  for (const auto& [member, links] : members_) members.push_back(member);
  return members;
}

std::string_view Links::member(LinkNumber number) const {
  const Link* link = find(number);
  return link != nullptr ? std::string_view(link->member) : std::string_view();
}

void Links::note_bye(LinkNumber number) {
  const Link* link = find(number);
  if (link == nullptr) return;
  for (Link* each : members_.find(link->member)->second) each->bye = true;
}

void Links::end(LinkNumber number) {
  if (Link* link = find(number); link != nullptr) link->end_as(Ended::kLocal);
}

void Links::close() {
  closed_ = true;
  set_peers({});
  for (const auto& [number, link] : open_) link->end_as(Ended::kLocal);
}

}  // namespace router::fleet_link
