#include "router/serving/publication.h"

#include <absl/strings/str_cat.h>

#include <set>
#include <unordered_map>
#include <utility>

#include "router/base/ids.h"
#include "router/runtime/shard_set.h"
#include "router/serving/build_view.h"
#include "router/serving/fleet_service.h"
#include "router/serving/process_log.h"

namespace router::serving {
namespace {

/// Ignores where they are written in router.yaml.
bool same_settings(std::optional<config::Kubernetes> a, const std::optional<config::Kubernetes>& b) {
  if (a && b) a->location = b->location;
  return a == b;
}

/// A name that no other process has: 48 random bits.
std::string make_via_name() {
  const UuidText uuid = new_uuid();
  return "router-" + std::string(view_of(uuid).substr(24));
}

std::unordered_map<proxy::ListenerId, proxy::ListenerSettings> listener_settings(const config::Process& process,
                                                                                 const listening::Listeners::Change& opened,
                                                                                 TlsMaterial& tls) {
  std::unordered_map<proxy::ListenerId, proxy::ListenerSettings> settings;
  for (std::size_t i = 0; i < process.listeners.size(); ++i) {
    settings[opened.listeners[i].id] = {process.listeners[i].proxy_protocol, std::move(tls.listeners[i])};
  }
  return settings;
}

}  // namespace

Publication::Publication(Parts parts, config::Config first)
    : parts_(std::move(parts)), random_via_name_(make_via_name()), files_(std::move(first)), config_(files_) {}

absl::Status Publication::publish(Sources sources) {
  Next next = take(std::move(sources));
  config::Findings findings;
  if (next.tls) open(next, findings);
  if (findings.has_mistakes()) return absl::FailedPreconditionError(findings.mistakes());
  LiveDeployments::Sources merged = merge(next);
  next.live = parts_.live.prepare(next.merged, std::move(merged), generation_ + 1);
  proxy::Views::Prepared view = make_view(next);
  take_effect(next, std::move(view));
  return absl::OkStatus();
}

Publication::Next Publication::take(Sources sources) const {
  Next next;
  next.files = sources.files ? *std::move(sources.files) : files_;
  next.tls = std::move(sources.tls);
  next.own = own_;
  return next;
}

void Publication::open(Next& next, config::Findings& findings) {
  const config::Process& wanted = next.files.process;
  check_changes(wanted, findings);
  if (findings.has_mistakes()) return;
  Opened& opened = next.opened;
  const config::Process& now = config_.process;
  const bool same_log =
      wanted.log_file == now.log_file && wanted.log_level == now.log_level && wanted.log_format == now.log_format;
  if (!same_log) opened.log = open_log(wanted, findings);
  absl::StatusOr<AccessLogs::Writer> access_log = parts_.access_logs.open(wanted.access_log, parts_.shards);
  if (access_log.ok()) {
    opened.access_log = std::move(*access_log);
    opened.access_log_path = wanted.access_log;
  } else {
    findings.mistake(wanted.locations.access_log, std::string(access_log.status().message()));
  }
  std::set<std::uint16_t> given_up = parts_.listeners.given_up(wanted.listeners);
  given_up.merge(parts_.operators.given_up(wanted));
  opened.listeners = parts_.listeners.prepare(wanted.listeners, given_up, findings);
  opened.operators = parts_.operators.prepare(wanted, given_up, findings);
  if (findings.has_mistakes()) return;
  next.own = own_identity(wanted, opened.listeners, *next.tls);
  opened.warnings = next.files.warnings;
  for (std::string& each : findings.warnings()) opened.warnings.push_back(std::move(each));
  for (std::string& each : warnings_of_swallowed(next.files.endpoints, next.own.certified)) {
    opened.warnings.push_back(std::move(each));
  }
}

void Publication::check_changes(const config::Process& next, config::Findings& findings) const {
  const config::Process& now = config_.process;
  const std::size_t threads = next.threads > 0 ? next.threads : runtime::default_shard_count();
  if (next.threads != now.threads && threads != parts_.shards) {
    findings.mistake(next.locations.threads,
                     absl::StrCat("cannot change while the router runs; it has ", parts_.shards, ": restart it"));
  }
  if (next.buckets != now.buckets) {
    findings.mistake(next.locations.buckets,
                     "cannot change while the router runs, since what was counted cannot be divided "
                     "anew: restart it");
  }
  if (!same_settings(next.kubernetes, now.kubernetes)) {
    const std::optional<config::Kubernetes>& named = next.kubernetes ? next.kubernetes : now.kubernetes;
    findings.mistake(named->location, "cannot change while the router runs: restart it");
  }
  check_fleet_changes(next.fleet, now.fleet, findings);
  if (parts_.draining() && parts_.listeners.would_change(next.listeners)) {
    findings.mistake(next.listeners.front().location, "listeners cannot be opened or closed while the router drains");
  }
}

LiveDeployments::Sources Publication::merge(Next& next) {
  LiveDeployments::Sources sources;
  sources.own = next.own.addresses;
  sources.transports = next.tls ? next.tls->transports : file_transports_;
  next.merged = next.files;
  if (cluster_ == nullptr) return sources;
  next.cluster = cluster_->prepare(next.files.endpoints, next.own);
  const std::vector<config::Endpoint>& resources = next.cluster->endpoints();
  next.merged.endpoints.insert(next.merged.endpoints.end(), resources.begin(), resources.end());
  sources.transports.merge(next.cluster->transports());
  sources.replicas = next.cluster->replicas();
  return sources;
}

proxy::Views::Prepared Publication::make_view(Next& next) {
  std::shared_ptr<proxy::View> view = build_view(next.merged, parts_.live, next.live, parts_.metrics, random_via_name_);
  if (next.tls) {
    view->listeners = listener_settings(next.files.process, next.opened.listeners, *next.tls);
    view->access_log = next.opened.access_log;
  } else {
    view->listeners = parts_.views.newest()->listeners;
    view->access_log = parts_.views.newest()->access_log;
  }
  if (parts_.peers) view->peers = parts_.peers();
  view->table.complete = cluster_ == nullptr || cluster_->complete();
  return parts_.views.prepare(std::move(view));
}

void Publication::publish_peers() {
  if (parts_.views.newest() == nullptr) return;  // the first view will have them
  auto view = std::make_shared<proxy::View>(*parts_.views.newest());
  view->peers = parts_.peers();
  parts_.views.publish(std::move(view));
}

/// Nothing is undone from here on: each step cannot fail, or is tried again until it finds memory.
void Publication::take_effect(Next& next, proxy::Views::Prepared view) noexcept {
  if (next.cluster) cluster_->apply(*next.cluster);
  if (next.opened.log) log::use(std::move(*next.opened.log));
  for (const std::string& warning : next.opened.warnings) log::warning(warning);
  if (next.tls) parts_.ticket_keys.replace_by(*next.tls->ticket_keys);
  generation_ = next.live.generation;
  parts_.live.apply(next.live);
  // In this order, so that each accepted connection finds its listener in the view.
  if (next.tls) parts_.listeners.close_removed(next.opened.listeners);
  parts_.views.publish(std::move(view));
  if (next.tls) parts_.listeners.open_added(next.opened.listeners);
  parts_.live.remove_others(next.live);
  if (next.tls) {
    parts_.access_logs.use(std::move(next.opened.access_log_path), std::move(next.opened.access_log));
    parts_.operators.apply(std::move(next.opened.operators));
    file_transports_ = std::move(next.tls->transports);
    tls_in_force_ = std::move(next.tls->in_force);
    refused_files_ = std::move(next.tls->refused);
  }
  own_ = std::move(next.own);
  files_ = std::move(next.files);
  config_ = std::move(next.merged);
}

}  // namespace router::serving
