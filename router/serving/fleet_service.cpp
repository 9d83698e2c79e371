#include "router/serving/fleet_service.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "config/addresses.h"
#include "router/base/log.h"
#include "router/fleet/protocols.h"
#include "router/serving/fleet_identity.h"
#include "router/serving/fleet_keys.h"
#include "router/serving/fleet_waits.h"

namespace router::serving {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "router";
}

absl::Status at(const config::Fleet& fleet, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(config::text_of(fleet.location), ": ", what));
}

FleetThread::Settings thread_settings(const config::Config& config, runtime::ListeningSocket listening) {
  const config::Fleet& fleet = *config.process.fleet;
  fleet::Options machine;
  const fleet::Waits waits = waits_of(config).waits();
  machine.timing.running_grace = waits.running_grace;
  machine.timing.take_after = fleet.take_after;
  machine.timing.abort_wait = waits.abort_wait;
  machine.fixed_peers = fleet.peers;
  machine.protocols = fleet::spoken_protocols();
  fleet_link::LinkOptions links;
  links.trust_refused = fleet.trust_refused;
  return {make_identity(fleet, host_name()), std::move(machine), links, std::move(listening)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<FleetService>> FleetService::make(Parts parts, const config::Config& config) {
  const config::Fleet& fleet = *config.process.fleet;
  const std::optional<config::HostAndPort> listen = config::parse_host_and_port(fleet.listen);
  if (!listen) return at(fleet, "listen is no address with a port");
  auto sockets = runtime::listen_on(listen->host, listen->port.value_or(0), 1);
  if (!sockets.ok()) return at(fleet, std::string(sockets.status().message()));
  FleetThread::Settings settings = thread_settings(config, std::move(sockets->front()));
  const std::string identity = settings.identity.id;
  std::unique_ptr<FleetService> made(new FleetService(std::move(parts), config, std::move(settings)));
  if (absl::Status found = made->find_keys(config.process, identity); !found.ok())
    return at(fleet, std::string(found.message()));
  return made;
}

FleetService::FleetService(Parts parts, const config::Config& config, FleetThread::Settings settings)
    : parts_(std::move(parts)),
      fleet_(*config.process.fleet),
      membership_(std::make_shared<dispatch::Membership>(parts_.shards.size())),
      peers_(parts_.shards.size(), parts_.control.clock()),
      requests_(parts_.shards, parts_.servers),
      control_({.control = parts_.control,
                .shards = parts_.shards,
                .live = parts_.live,
                .peers = peers_,
                .membership = membership_,
                .running_grace = fleet_.running_grace,
                .post = [this](fleet::Event event) { thread_->post(std::move(event)); },
                .publish_peers = parts_.publish_peers}),
      withdrawals_(withdrawal_parts()),
      thread_(std::make_unique<FleetThread>(thread_parts(), std::move(settings))) {
  hear(std::string(scaling::kWithdrawTopic),
       [this](const std::string& member, const fleet::Note& note) { withdrawals_.hear_withdraw(member, note); });
  hear(std::string(scaling::kRunningTopic),
       [this](const std::string& member, const fleet::Note& note) { withdrawals_.hear_running(member, note); });
  parts_.live.join_fleet({membership_, control_.homes(), [this] { control_.deployments_changed(); }});
}

FleetThread::Parts FleetService::thread_parts() {
  const auto lease = [this](const fleet::Action& action) {
    if (cluster_ != nullptr) cluster_->act(action);
  };
  const auto requests = [this](runtime::Descriptor socket, const runtime::Address&) { requests_.take(std::move(socket)); };
  return {.control = parts_.control,
          .coverage = membership_->coverage(),
          .news = [this](FleetNews news) { control_.take(std::move(news)); },
          .lease = lease,
          .requests = requests};
}

FleetWithdrawals::Parts FleetService::withdrawal_parts() {
  const auto tell = [this](const std::optional<std::string>& member, const fleet::Note& note) {
    return thread_->tell(member, note);
  };
  return {.control = parts_.control,
          .live = parts_.live,
          .tell = tell,
          .members = [this] { return member_ids(); },
          .own_id = [this] { return own_id(); }};
}

/// With fixed peers the keys stand in a file, otherwise in a Secret, which is read later.
absl::Status FleetService::find_keys(const config::Process& process, const std::string& identity) {
  if (!process.kubernetes) {
    const absl::StatusOr<tls::PskKeys> keys = read_fleet_keys(fleet_.key_file);
    return keys.ok() ? replace_keys(*keys) : keys.status();
  }
  auto cluster = FleetCluster::make({.control = parts_.control,
                                     .resolver = parts_.resolver,
                                     .post = [this](fleet::Event event) { thread_->post(std::move(event)); },
                                     .keys = [this](const tls::PskKeys& keys) { replace_keys_or_say(keys); }},
                                    *process.kubernetes, fleet_, identity);
  if (!cluster.ok()) return cluster.status();
  cluster_ = std::move(*cluster);
  return absl::OkStatus();
}

FleetService::~FleetService() { stop(); }

void FleetService::start() {
  control_.start();
  thread_->start();
  if (cluster_ != nullptr) cluster_->start();
}

absl::Status FleetService::replace_keys(const tls::PskKeys& keys) {
  if (keys_ != nullptr && *keys_ == keys) return absl::OkStatus();
  auto kept = std::make_unique<tls::PskKeys>(keys);
  if (absl::Status replaced = peers_.replace_keys(keys); !replaced.ok()) return replaced;
  if (absl::Status replaced = requests_.replace_keys(keys); !replaced.ok()) return replaced;
  thread_->replace_keys(keys);
  const bool first = keys_ == nullptr;
  keys_ = std::move(kept);
  control_.peers_changed();
  if (!first) log::info("fleet: other keys are in use");
  return absl::OkStatus();
}

void FleetService::replace_keys_or_say(const absl::StatusOr<tls::PskKeys>& keys) {
  const absl::Status replaced = keys.ok() ? replace_keys(*keys) : keys.status();
  if (replaced.ok()) return;
  log::write(log::Level::kWarning, {"fleet: the keys in use stay: ", std::string(replaced.message())});
}

void FleetService::reload(const config::Fleet& fleet) {
  if (fleet.peers != fleet_.peers) thread_->post(fleet::PeersChanged{fleet.peers});
  fleet_ = fleet;
  if (!fleet_.key_file.empty()) replace_keys_or_say(read_fleet_keys(fleet_.key_file));
}

void FleetService::drain() { control_.drain(); }

absl::Status FleetService::forget(const std::string& who) {
  const std::vector<fleet::MemberReport>& members = news().report.members;
  const auto found = std::find_if(members.begin(), members.end(), [&who](const fleet::MemberReport& each) {
    return each.member.id == who || each.member.address == who;
  });
  if (found == members.end()) return absl::NotFoundError("the fleet has no member of that id or address");
  if (found->self) return absl::InvalidArgumentError("that member is this router itself: stop it instead");
  thread_->post(fleet::Forget{who});
  log::write(log::Level::kWarning, {"fleet: an operator says that ", who, " is off for good"});
  return absl::OkStatus();
}

std::set<std::string> FleetService::member_ids() const {
  std::set<std::string> ids;
  for (const fleet::MemberReport& each : news().report.members) {
    if (!each.proven_dead) ids.insert(each.member.id);
  }
  if (!own_id().empty()) ids.insert(own_id());
  return ids;
}

bool FleetService::reaches(const std::string& member) const {
  const std::vector<fleet::MemberReport>& members = news().report.members;
  return std::any_of(members.begin(), members.end(),
                     [&member](const fleet::MemberReport& each) { return each.member.id == member && each.linked; });
}

void FleetService::stop_following() {
  if (cluster_ != nullptr) cluster_->stop();
}

Task<bool> FleetService::stopped(Deadline deadline) {
  if (cluster_ == nullptr) co_return true;
  co_return co_await cluster_->stopped(deadline);
}

void FleetService::stop() {
  withdrawals_.stop();
  control_.stop();
  thread_->stop();
}

std::optional<double> FleetService::covered_for() const {
  using Coverage = dispatch::Coverage;
  constexpr std::chrono::hours kForEver(24 * 365);
  const Coverage::BootTime left = coverage().until() - Coverage::boot_time();
  if (coverage().until() == Coverage::kAlways || left > kForEver) return std::nullopt;
  return std::max(0.0, std::chrono::duration<double>(left).count());  // the end of a coverage that never was is long ago
}

const std::vector<fleet::NamespaceAssignment>& FleetService::namespaces() const {
  static const std::vector<fleet::NamespaceAssignment> kNone;
  const std::shared_ptr<const fleet::Assignment>& assignment = news().assignment;
  if (assignment == nullptr) return kNone;
  return assignment->namespaces;
}

std::vector<std::string> FleetService::not_ready() const {
  const fleet::Report& report = news().report;
  if (report.ready) return {};
  if (keys_ == nullptr && cluster_ != nullptr && !cluster_->trouble().empty())
    return {absl::StrCat("fleet: ", cluster_->trouble())};
  return {absl::StrCat("fleet: ", report.reason.empty() ? "this router is about to meet the others" : report.reason)};
}

void check_fleet_changes(const std::optional<config::Fleet>& next, const std::optional<config::Fleet>& now,
                         config::Findings& findings) {
  if (!next && !now) return;
  if (!next || !now) {
    const config::Location& named = next ? next->location : now->location;
    return findings.mistake(named, "cannot be added or removed while the router runs: restart it");
  }
  const auto refuse = [&](const char* key) {
    config::Location where = next->location;
    where.path = absl::StrCat("fleet.", key);
    findings.mistake(where, "cannot change while the router runs: restart it");
  };
  if (next->listen != now->listen) refuse("listen");
  if (next->advertise != now->advertise) refuse("advertise");
  if (next->lease_name != now->lease_name) refuse("lease");
  if (next->secret_name != now->secret_name) refuse("secret");
  if (next->pod_uid != now->pod_uid) refuse("pod_uid");
  if (next->running_grace != now->running_grace) refuse("running_grace_s");
  if (next->take_after != now->take_after) refuse("take_after_s");
  if (next->trust_refused != now->trust_refused) refuse("trust_refused");
}

void check_fleet_keys(const std::optional<config::Fleet>& fleet, bool may_stay, config::Findings& findings) {
  if (!fleet || fleet->key_file.empty()) return;
  const absl::StatusOr<tls::PskKeys> keys = read_fleet_keys(fleet->key_file);
  if (keys.ok()) return;
  config::Location where = fleet->location;
  where.path = "fleet.key_file";
  std::string what(keys.status().message());
  may_stay ? findings.warning(where, what + "; the keys in use stay") : findings.mistake(where, what);
}

}  // namespace router::serving
