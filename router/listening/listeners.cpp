#include "router/listening/listeners.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/runtime/address.h"
#include "router/runtime/contain.h"

namespace router::listening {
namespace {

std::string shown(const std::string& ip, std::uint16_t port) {
  const std::optional<runtime::Address> address = runtime::Address::parse(ip, port);
  return address ? address->text() : absl::StrCat(ip, ":", port);
}

}  // namespace

std::vector<Listeners::Key> Listeners::keys_of(const std::vector<config::Listener>& listeners) {
  std::vector<Key> keys;
  std::map<std::pair<std::string, std::uint16_t>, std::size_t> seen;
  for (const config::Listener& each : listeners) {
    const std::optional<runtime::Address> address = runtime::Address::parse(each.address, each.port);
    const std::string ip = address ? address->ip() : each.address;
    keys.emplace_back(ip, each.port, seen[{ip, each.port}]++);
  }
  return keys;
}

const Listeners::Open* Listeners::find(const Key& key) const {
  const auto found = std::find_if(open_.begin(), open_.end(), [&key](const Open& each) { return each.key == key; });
  return found == open_.end() ? nullptr : &*found;
}

bool Listeners::would_change(const std::vector<config::Listener>& wanted) const {
  const std::vector<Key> keys = keys_of(wanted);
  const auto is_open = [this](const Key& key) { return find(key) != nullptr; };
  return keys.size() != open_.size() || !std::all_of(keys.begin(), keys.end(), is_open);
}

std::set<std::uint16_t> Listeners::given_up(const std::vector<config::Listener>& wanted) const {
  const std::vector<Key> keys = keys_of(wanted);
  closing_.remove_if([](const Closing& each) { return !each.round->under_way(); });
  std::set<std::uint16_t> ports;
  for (const Closing& each : closing_) ports.insert(each.port);
  for (const Open& each : open_) {
    if (std::find(keys.begin(), keys.end(), each.key) == keys.end()) ports.insert(each.port);
  }
  return ports;
}

Listeners::Change Listeners::prepare(const std::vector<config::Listener>& wanted, const std::set<std::uint16_t>& given_up,
                                     config::Findings& findings) {
  Change change;
  find_unused(wanted, findings);
  const std::vector<Key> keys = keys_of(wanted);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    Change::Listener& listener = change.listeners.emplace_back();
    listener.key = keys[i];
    listener.https = wanted[i].tls.has_value();
    if (const Open* open = find(keys[i])) {
      listener.id = open->id;
      listener.port = open->port;
      continue;
    }
    const auto use = given_up.contains(wanted[i].port) ? runtime::PortUse::kGivenUp : runtime::PortUse::kMustBeFree;
    auto opened = sockets_of(wanted[i], use);
    if (!opened.ok()) {
      findings.mistake(wanted[i].location, std::string(opened.status().message()));
      continue;
    }
    listener.sockets = *std::move(opened);
    listener.id = ++last_id_;
    listener.port = listener.sockets.front().port();
    prepare_to_open(listener, change);
  }
  for (const Change::Listener& each : change.listeners) change.open_.push_back({each.key, each.id, each.port});
  for (const Open& each : open_) {
    const auto same = [&each](const Change::Listener& other) { return other.id == each.id; };
    if (std::none_of(change.listeners.begin(), change.listeners.end(), same)) prepare_to_close(each, change);
  }
  return change;
}

bool Listeners::is_inherited(const Key& key) const {
  const std::optional<runtime::Address> address = runtime::Address::parse(std::get<0>(key), std::get<1>(key));
  return address && inherited_.has(*address);
}

absl::StatusOr<std::vector<runtime::ListeningSocket>> Listeners::sockets_of(const config::Listener& wanted,
                                                                            runtime::PortUse use) const {
  const std::optional<runtime::Address> address = runtime::Address::parse(wanted.address, wanted.port);
  if (!address || !inherited_.has(*address)) return runtime::listen_on(wanted.address, wanted.port, shards_.size(), use);
  std::vector<runtime::ListeningSocket> shared = inherited_.shared_out(*address, shards_.size());
  if (!shared.empty()) return shared;
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address->text(), ": no descriptor is left"));
}

/// The kernel completes connections to an inherited socket even if no listener ever accepts them.
void Listeners::find_unused(const std::vector<config::Listener>& wanted, config::Findings& findings) const {
  std::set<std::string> told;
  for (const runtime::InheritedSockets::Socket& each : inherited_.all()) {
    const auto is_its = [&each](const config::Listener& listener) {
      return runtime::Address::parse(listener.address, listener.port) == each.address;
    };
    if (std::any_of(wanted.begin(), wanted.end(), is_its) || !told.insert(each.address.text()).second) continue;
    const bool both = each.address.ip() == "::";
    findings.mistake(
        wanted.front().location,
        absl::StrCat("no listener has the address of the socket ", each.address.text(),
                     each.name.empty() ? "" : absl::StrCat(" (", each.name, ")"),
                     ", which was passed to this process: its clients would wait for ever. Give a listener `port: ",
                     each.address.port(), "` and `address: '", each.address.ip(), "'`", both ? " (all of IPv6 and IPv4)" : "",
                     ", or take the socket out of its unit and restart"));
  }
}

void Listeners::prepare_to_close(const Open& removed, Change& change) {
  const auto close = [this, id = removed.id](runtime::Shard& shard) { servers_[shard.index()]->close_listener(id); };
  change.closing_.push_back({removed.port, std::make_unique<runtime::Round>(control_, shards_, close, [] {})});
  change.said_of_removed_.push_back(absl::StrCat("no longer listens on ", shown(std::get<0>(removed.key), removed.port)));
}

void Listeners::prepare_to_open(Change::Listener& added, Change& change) {
  for (std::size_t i = 0; i < added.sockets.size(); ++i) {
    const std::size_t shard = i % shards_.size();
    auto open = [&server = *servers_[shard], id = added.id, socket = std::move(added.sockets[i])]() mutable {
      runtime::insist([&] { server.open_listener(id, socket); });
    };
    change.opening_.emplace_back(&shards_[shard], runtime::message_of(std::move(open)));
  }
  change.said_of_added_.push_back(absl::StrCat("listens on ", shown(std::get<0>(added.key), added.port),
                                               added.https ? " (https)" : " (http)",
                                               is_inherited(added.key) ? ", by a socket that was passed to this process" : ""));
}

void Listeners::close_removed(Change& change) noexcept {
  for (Closing& each : change.closing_) each.round->begin();
  closing_.splice(closing_.end(), change.closing_);
  open_.swap(change.open_);
  for (const std::string& each : change.said_of_removed_) log::info(each);
}

void Listeners::open_added(Change& change) noexcept {
  for (auto& [shard, message] : change.opening_) shard->send(std::move(message));
  for (const std::string& each : change.said_of_added_) log::info(each);
}

}  // namespace router::listening
