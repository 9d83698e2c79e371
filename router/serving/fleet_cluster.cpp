#include "router/serving/fleet_cluster.h"

#include <absl/strings/str_cat.h>

#include <chrono>
#include <utility>
#include <variant>

#include "router/base/log.h"
#include "router/kubernetes/cluster_config.h"
#include "router/runtime/contain.h"

namespace router::serving {
namespace {

using discovery::FleetLease;
using discovery::FleetSecret;
using discovery::LeaseRead;
using discovery::LeaseWritten;
using fleet::LeaseOutcome;

/// What was not written may be tried again after a look at the Lease.
LeaseOutcome outcome_of(LeaseWritten::State state) {
  switch (state) {
    case LeaseWritten::State::kWritten: return LeaseOutcome::kWritten;
    case LeaseWritten::State::kConflict:
    case LeaseWritten::State::kAbsent: return LeaseOutcome::kConflict;
    case LeaseWritten::State::kFailed: return LeaseOutcome::kFailed;
    case LeaseWritten::State::kUnknown: return LeaseOutcome::kUnknown;
  }
  return LeaseOutcome::kUnknown;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FleetCluster>> FleetCluster::make(Parts parts, const config::Kubernetes& settings,
                                                                 const config::Fleet& fleet, const std::string& identity) {
  absl::StatusOr<kubernetes::ClusterConfig> cluster = kubernetes::read_cluster_config(settings);
  if (!cluster.ok()) return cluster.status();
  auto client = kubernetes::ApiClient::make(parts.control, parts.resolver, std::move(*cluster));
  if (!client.ok()) return client.status();
  const std::string& own = (*client)->namespace_name();
  const std::string& name_space = settings.lease_namespace.empty() ? own : settings.lease_namespace;
  if (name_space.empty()) {
    return absl::InvalidArgumentError(
        "kubernetes.lease.namespace is needed: the credentials name no namespace for the fleet's Lease and Secret");
  }
  discovery::FleetLeaseOptions lease;
  lease.namespace_name = name_space;
  lease.name = fleet.lease_name;
  lease.identity = identity;
  discovery::FleetSecretOptions secret;
  secret.namespace_name = name_space;
  secret.name = fleet.secret_name;
  return std::unique_ptr<FleetCluster>(
      new FleetCluster(std::move(parts), std::move(*client), std::move(lease), std::move(secret)));
}

FleetCluster::FleetCluster(Parts parts, std::unique_ptr<kubernetes::ApiClient> client, discovery::FleetLeaseOptions lease,
                           discovery::FleetSecretOptions secret)
    : parts_(std::move(parts)),
      client_(std::move(client)),
      lease_options_(std::move(lease)),
      secret_options_(std::move(secret)),
      following_(parts_.control, FleetLease::kTasks + FleetSecret::kTasks) {}

FleetCluster::~FleetCluster() = default;

void FleetCluster::start() {
  discovery::FleetLeaseOwner& owner = *this;
  lease_ = std::make_unique<FleetLease>(*client_, following_, lease_options_, owner);
  secret_ = std::make_unique<FleetSecret>(*client_, following_, secret_options_, [this](const std::string& text) {
    const absl::StatusOr<tls::PskKeys> keys = tls::PskKeys::parse(text, absl::StrCat("Secret ", secret_options_.name));
    if (keys.ok()) return parts_.keys(*keys);
    log::write(log::Level::kError, {"fleet: ", std::string(keys.status().message())});
  });
}

void FleetCluster::stop() {
  lease_.reset();
  secret_.reset();
}

void FleetCluster::act(const fleet::Action& action) {
  // A member without a key can neither be reached nor prove anything: the others would take it out again.
  if (lease_ == nullptr || !secret_->has_keys()) return tell(fleet::LeaseAnswered{});
  bool begun = false;
  if (std::holds_alternative<fleet::LeaseGet>(action)) begun = lease_->get();
  if (const auto* put = std::get_if<fleet::LeasePut>(&action)) begun = lease_->put(put->roster, put->version);
  if (std::holds_alternative<fleet::LeaseStamp>(action)) begun = lease_->stamp();
  if (!begun) tell(fleet::LeaseAnswered{});
}

std::string FleetCluster::trouble() const {
  if (secret_ == nullptr) return "";
  if (!secret_->trouble().empty()) return secret_->trouble();
  return secret_->has_keys() ? "" : absl::StrCat("the key in the Secret ", secret_options_.name, " was not read yet");
}

/// The machine waits for each answer: none may be lost.
void FleetCluster::tell(const fleet::Event& event) noexcept {
  runtime::insist([&] { parts_.post(event); });
}

void FleetCluster::lease_read(LeaseRead read) {
  if (read.state == LeaseRead::State::kFailed) {
    log::write(log::Level::kDebug, {"fleet: the Lease cannot be read: ", read.error});
    return tell(fleet::LeaseAnswered{});
  }
  fleet::LeaseSeen seen{.sent = fleet::BootTime(read.sent_at),
                        .version = std::move(read.version),
                        .object = std::move(read.object),
                        .roster = std::nullopt};
  if (read.state == LeaseRead::State::kFound) seen.roster = std::move(read.roster);
  tell(std::move(seen));
}

void FleetCluster::lease_written(LeaseWritten written) {
  if (!written.error.empty()) log::write(log::Level::kWarning, {"fleet: the Lease was not written: ", written.error});
  tell(fleet::LeaseAnswered{outcome_of(written.state), std::move(written.version)});
}

void FleetCluster::lease_changed(const std::string& roster, const std::string& version) {
  tell(fleet::LeaseSeen{.sent = fleet::kLongAgo, .version = version, .object = {}, .roster = roster});
}

void FleetCluster::lease_deleted() {
  tell(fleet::LeaseSeen{.sent = fleet::kLongAgo, .version = "", .object = {}, .roster = std::nullopt});
}

}  // namespace router::serving
