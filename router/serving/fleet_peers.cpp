#include "router/serving/fleet_peers.h"

#include <absl/status/statusor.h>

#include <optional>
#include <utility>

#include "config/addresses.h"
#include "router/base/host_port.h"
#include "router/fleet_link/port.h"
#include "router/runtime/address.h"

namespace router::serving {
namespace {

/// Members dial IP addresses (config/router_yaml_fleet); the address of a member may be any text.
std::optional<runtime::Address> parse_address(const std::string& text) {
  const std::optional<config::HostAndPort> parsed = config::parse_host_and_port(text);
  if (!parsed || parsed->port.value_or(0) == 0) return std::nullopt;
  return runtime::Address::parse(parsed->host, *parsed->port);
}

/// With fixed peers an address stands for a process that was not met yet (fleet/machine_fixed.cpp). It would refuse a request
/// that names it so. What was sent would then be given up when the process has its own name, although it lives.
bool is_met(const fleet::Member& member) { return member.id != member.address; }

}  // namespace

absl::Status FleetPeers::replace_keys(const tls::PskKeys& keys) {
  auto contexts = tls::PskClientContext::make(keys, tls::PskPurpose::kRequests, shards_);
  if (!contexts.ok()) return contexts.status();
  auto transport = std::make_shared<upstream::Transport>();
  transport->shared_key = std::move(*contexts);
  transport->first_byte = fleet_link::kRequestsByte;
  transport_ = std::move(transport);
  return absl::OkStatus();
}

std::int32_t FleetPeers::index_of(const std::string& member) {
  return indices_.try_emplace(member, static_cast<std::int32_t>(indices_.size())).first->second;
}

std::shared_ptr<upstream::Peer> FleetPeers::make(const fleet::Member& member) const {
  const std::optional<runtime::Address> address = parse_address(member.address);
  if (!address || transport_ == nullptr) return nullptr;
  return std::make_shared<upstream::Peer>(
      upstream::PeerOptions{
          .member = member.id, .address = *address, .host = member.address, .transport = transport_, .shards = shards_},
      clock_);
}

bool FleetPeers::follow(const fleet::Report& report) {
  for (const fleet::MemberReport& each : report.members) index_of(each.member.id);
  auto next = std::make_shared<upstream::Peers>();
  next->epoch = report.epoch.number;
  next->self = report.own_id;
  next->members.resize(indices_.size());
  std::vector<std::string> addresses(indices_.size());
  std::vector<std::shared_ptr<const upstream::Transport>> security(indices_.size());
  bool same = next->self == current_->self;
  for (const fleet::MemberReport& each : report.members) {
    if (each.self || each.proven_dead || !is_met(each.member)) continue;
    const auto index = static_cast<std::size_t>(index_of(each.member.id));
    addresses[index] = each.member.address;
    security[index] = transport_;
    const bool kept = index < addresses_.size() && addresses_[index] == addresses[index] && security_[index] == transport_;
    next->members[index] = kept ? current_->members[index] : make(each.member);
    same = same && kept;
  }
  for (std::size_t index = 0; index < current_->members.size(); ++index) {
    same = same && (current_->members[index] == nullptr) == (next->members[index] == nullptr);
  }
  if (same) return false;
  addresses_ = std::move(addresses);
  security_ = std::move(security);
  current_ = std::move(next);
  return true;
}

}  // namespace router::serving
