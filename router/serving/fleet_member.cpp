#include "router/serving/fleet_member.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <exception>
#include <utility>
#include <variant>
#include <vector>

#include "config/addresses.h"
#include "router/fleet/frame.h"
#include "router/fleet/note.h"
#include "router/runtime/contain.h"

namespace router::serving {

using fleet::BootTime;
using fleet_link::Ended;
using fleet_link::LinkNumber;
using runtime::Address;

namespace {

constexpr std::chrono::milliseconds kClosingSlack{250};
constexpr std::size_t kByeMax = 64;  // bytes; beats are longer

/// The two modules have a clock type each, for the same clock.
BootTime boot_time(fleet_link::BootTime time) { return BootTime(time.time_since_epoch()); }
BootTime boot_now() noexcept { return boot_time(fleet_link::BootClock::now()); }

std::optional<fleet::Hello> parse_hello(std::string_view text) {
  absl::StatusOr<fleet::Frame> frame = fleet::decode_frame(text);
  if (!frame.ok() || !std::holds_alternative<fleet::Hello>(*frame)) return std::nullopt;
  return std::get<fleet::Hello>(*std::move(frame));
}

bool is_bye(std::string_view bytes) {
  if (bytes.size() > kByeMax) return false;
  const absl::StatusOr<fleet::Frame> frame = fleet::decode_frame(bytes);
  return frame.ok() && std::holds_alternative<fleet::Bye>(*frame);
}

std::optional<Address> parse_address(const std::string& text) {
  const std::optional<config::HostAndPort> parsed = config::parse_host_and_port(text);
  if (!parsed || parsed->port.value_or(0) == 0) return std::nullopt;
  return Address::parse(parsed->host, *parsed->port);
}

/// A step that the rest of an event does not depend on.
template <class Step>
void contained(Step step) noexcept {
  try {
    step();
  } catch (const std::exception& error) {
    runtime::contain(error);
  }
}

}  // namespace

FleetMember::FleetMember(runtime::Shard& shard, Outside outside, Settings settings)
    : shard_(shard),
      coverage_(outside.coverage),
      courier_(outside.courier),
      requests_(std::move(outside.requests)),
      first_id_(settings.identity.id),
      closing_max_(settings.links.closing_max),
      machine_(std::move(settings.identity), std::move(settings.machine), boot_now()),
      reporter_(machine_),
      log_(shard.clock()),
      links_(shard, *this, first_id_, settings.links),
      port_(
          shard, std::move(settings.listening), [this](fleet_link::Newcomer newcomer) { links_.accept(std::move(newcomer)); },
          [this](runtime::Descriptor socket, const Address& from) { requests_(std::move(socket), from); }),
      alarm_(shard, [this](fleet_link::BootTime) { decide(fleet::Tick{}); }),
      closing_(shard, 1) {
  alarm_.set(fleet_link::BootClock::now());
}

FleetMember::~FleetMember() = default;

// --- What happens

void FleetMember::handle(fleet::Event event) noexcept {
  runtime::insist([&] { decide(fleet::Event(event)); });
}

void FleetMember::decide(fleet::Event event) {
  const BootTime now = boot_now();
  struct Attempt {
    ~Attempt() {
      if (!handled) member.doubt(now);
    }
    FleetMember& member;
    BootTime now;
    bool handled = false;
  } attempt{*this, now};
  const bool served = std::holds_alternative<fleet::Served>(event);
  machine_.handle(now, std::move(event));
  attempt.handled = true;
  if (served) reporter_.note_served();
  settle(now);
}

std::optional<std::string> FleetMember::member_of(std::string_view hello) {
  std::optional<fleet::Hello> said = parse_hello(hello);
  if (!said || said->id.empty()) return std::nullopt;
  const std::optional<fleet::Hello> own = parse_hello(machine_.hello());
  if (own && own->id == said->id) return first_id_;
  return std::move(said->id);
}

void FleetMember::opened(LinkNumber link, const std::string&, std::string_view hello) {
  if (const std::optional<fleet::Hello> said = parse_hello(hello)) {
    log_.reached(said->address);
    if (const std::optional<Address> address = parse_address(said->address)) links_.dial_now(*address);
  }
  decide(fleet::LinkOpened{.link = link, .hello = std::string(hello)});
}

void FleetMember::frame(LinkNumber link, std::string_view bytes) {
  if (fleet::is_note(bytes)) return hear(link, bytes);
  if (is_bye(bytes)) links_.note_bye(link);
  decide(fleet::FrameReceived{.link = link, .text = std::string(bytes)});
}

void FleetMember::ended(LinkNumber link, Ended) noexcept { handle(fleet::LinkEnded{link}); }

void FleetMember::refused(const std::string& member) {
  log_.say_once(log::Level::kWarning, absl::StrCat("fleet: ", member, " was refused: there are too many members already"));
}

void FleetMember::unreachable(const Address& address, const char* cause, int system_error) {
  log_.unreachable(address, cause, system_error);
}

void FleetMember::courier_returned(FleetLetter& letter) noexcept {
  const BootTime now = boot_now();
  if (std::exchange(letter.news, std::nullopt)) reporter_.not_taken(now);
  if (std::exchange(letter.lease, std::nullopt)) {
    handle(fleet::LeaseAnswered{.outcome = fleet::LeaseOutcome::kFailed, .version = {}});
  } else {
    settle(now);
  }
}

void FleetMember::replace_keys(const tls::PskKeys& keys) {
  const absl::Status replaced = links_.replace_keys(keys);
  if (!replaced.ok()) log_.say(log::Level::kError, absl::StrCat("fleet: the keys cannot be used: ", replaced.message()));
}

// --- Notes. Nothing that fails here is of any consequence for the rest.

/// A note that is not understood does not end the link: a later version may have sent it.
void FleetMember::hear(LinkNumber link, std::string_view frame) noexcept {
  ++note_counts_.dropped;  // until it is in the box
  contained([&] {
    absl::StatusOr<fleet::Note> note = fleet::decode_note(frame);
    if (!note.ok()) {
      return log_.say_once(log::Level::kWarning, absl::StrCat("fleet: a note is ignored: ", note.status().message()));
    }
    if (!notes_.wants(note->topic)) return static_cast<void>(--note_counts_.dropped);
    ++note_counts_.heard;
    note_counts_.dropped += notes_.put(std::string(links_.member(link)), *std::move(note));
    --note_counts_.dropped;
  });
  if (closed_) return;
  const BootTime now = boot_now();
  contained([&] { tell(now); });
  arm(now);
}

void FleetMember::send_note(const std::optional<std::string>& member, std::string_view frame) noexcept {
  contained([&] {
    if (member) return offer(*member, frame);
    for (const std::string& each : links_.members()) offer(each, frame);
  });
}

void FleetMember::offer(std::string_view member, std::string_view frame) {
  ++(links_.offer(member, frame) ? note_counts_.sent : note_counts_.skipped);
}

// --- What follows

void FleetMember::settle(BootTime now) noexcept {
  if (closed_) return;
  cover(now);
  act();
  if (to_dial_) contained([this] { dial(); });
  contained([this, now] { tell(now); });
  arm(now);
}

/// The machine has thrown an exception, and may be half-way between two states.
void FleetMember::doubt(BootTime now) noexcept {
  in_doubt_until_ = now + machine_.timing().takeover_wait();
  cover(now);
}

/// Before anything else: a coverage that has become shorter ends at once.
void FleetMember::cover(BootTime now) noexcept {
  const bool covered = !closed_ && now >= in_doubt_until_;
  const BootTime until = covered ? machine_.covered_until() : BootTime{};
  coverage_.set_until(std::max(until.time_since_epoch(), fleet::BootDuration::zero()));
}

void FleetMember::act() noexcept {
  if (std::exchange(acting_, true)) return;  // an action has caused an event: the caller goes on with what follows from it
  for (auto actions = machine_.take_actions(); !actions.empty(); actions = machine_.take_actions()) {
    for (fleet::Action& action : actions) {
      contained([&] { std::visit([this](auto& wanted) { perform(wanted); }, action); });
    }
  }
  acting_ = false;
}

void FleetMember::perform(fleet::SendFrame& frame) {
  if (frame.text.size() <= fleet_link::kFrameMax) {
    links_.send(frame.link, frame.text);
  } else {
    log_.say_once(log::Level::kError, "fleet: a frame is longer than 1 MB and is not sent");
  }
}

void FleetMember::perform(const fleet::EndLink& end) {
  links_.end(end.link);
  log_.say_once(log::Level::kWarning, absl::StrCat("fleet: a link was ended: ", end.why));
}

void FleetMember::dial() {
  std::vector<Address> addresses;
  addresses.reserve(to_dial_->addresses.size());
  for (const std::string& text : to_dial_->addresses) {
    if (const std::optional<Address> address = parse_address(text)) {
      addresses.push_back(*address);
    } else {
      log_.say_once(log::Level::kError, absl::StrCat("fleet: ", text, " is no address with a port: it is not dialled"));
    }
  }
  links_.set_peers(addresses);
  to_dial_.reset();
  log_.keep_only(addresses);
}

void FleetMember::add_round_trips(FleetNews& news) const {
  for (const fleet::MemberReport& each : news.report.members) {
    if (const auto round_trip = links_.round_trip(each.member.id))
      news.round_trips.emplace_back(each.member.address, *round_trip);
  }
}

void FleetMember::tell(BootTime now) {
  if (!courier_.is_home() || closed_) return;
  FleetLetter letter;
  letter.news = reporter_.news(now, links_.counts());
  if (letter.news) {
    letter.news->notes = note_counts_;
    add_round_trips(*letter.news);
  }
  contained([&] { letter.notes = notes_.take(); });
  letter.lease = std::exchange(lease_, std::nullopt);
  letter.lines = log_.take();
  if (!letter.empty()) courier_.send(std::move(letter));
}

/// Rings for the machine's tick, for news, and at the very moment at which the coverage or its grace is over.
void FleetMember::arm(BootTime now) noexcept {
  const BootTime covered = machine_.covered_until();
  BootTime next = machine_.next_tick();
  if (courier_.is_home()) next = std::min(next, reporter_.ask_at());
  for (const BootTime end : {covered, covered + machine_.timing().running_grace, in_doubt_until_}) {
    if (end > now) next = std::min(next, end);
  }
  alarm_.set(fleet_link::BootTime(next.time_since_epoch()));
}

// --- The end

void FleetMember::close(std::function<void()> closed) noexcept {
  closed_ = true;
  when_closed_ = std::move(closed);
  cover(boot_now());
  alarm_.set(fleet_link::BootTime::max());
  // The port first: after the end of the last link the peers look whether it is closed, as a proof of the end.
  port_.close();
  runtime::insist([this] { links_.close(); });
  runtime::insist([this] { closing_.try_spawn(finish()); });
}

Task<void> FleetMember::finish() {
  co_await links_.wait(deadline_after(shard_.now(), closing_max_ + kClosingSlack));
  when_closed_();
}

}  // namespace router::serving
