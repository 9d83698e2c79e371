#include "router/listeners.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "router/base/log.h"
#include "router/runtime/address.h"

namespace router {
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
  std::set<std::uint16_t> ports(closing_.begin(), closing_.end());
  for (const Open& each : open_) {
    if (std::find(keys.begin(), keys.end(), each.key) == keys.end()) ports.insert(each.port);
  }
  return ports;
}

Listeners::Change Listeners::prepare(const std::vector<config::Listener>& wanted, const std::set<std::uint16_t>& given_up,
                                     config::Findings& findings) {
  Change change;
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
    const auto opened = runtime::listen_on(wanted[i].address, wanted[i].port, shards_.size(), use);
    if (!opened.ok()) {
      findings.mistake(wanted[i].place, std::string(opened.status().message()));
      continue;
    }
    for (const int descriptor : *opened) listener.sockets.emplace_back(descriptor);
    listener.id = ++last_id_;
    listener.port = listener.sockets.front().port();
  }
  return change;
}

void Listeners::close_removed(const Change& change) {
  const auto is_removed = [&change](const Open& open) {
    const auto same = [&open](const Change::Listener& each) { return each.id == open.id; };
    return std::none_of(change.listeners.begin(), change.listeners.end(), same);
  };
  for (const Open& each : open_) {
    if (is_removed(each)) close(each);
  }
  open_.erase(std::remove_if(open_.begin(), open_.end(), is_removed), open_.end());
}

void Listeners::close(const Open& removed) {
  closing_.insert(removed.port);
  const auto shards_left = std::make_shared<std::size_t>(shards_.size());  // counted on the control thread
  shards_.post_to_all([this, id = removed.id, port = removed.port, shards_left](runtime::Shard& shard) {
    servers_[shard.index()]->close_listener(id);
    control_.post([this, port, shards_left] {
      if (--*shards_left == 0) closing_.erase(closing_.find(port));
    });
  });
  log::info(absl::StrCat("listens no longer on ", shown(std::get<0>(removed.key), removed.port)));
}

void Listeners::open_added(Change change) {
  for (Change::Listener& each : change.listeners) {
    if (each.sockets.empty()) continue;
    open_.push_back({each.key, each.id, each.port});
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      proxy::ShardServer& server = *servers_[i];
      shards_[i].post([&server, id = each.id, socket = std::move(each.sockets[i])]() mutable {
        server.open_listener(id, std::move(socket));
      });
    }
    log::info(absl::StrCat("listens on ", shown(std::get<0>(each.key), each.port), each.https ? " (https)" : " (http)"));
  }
}

}  // namespace router
