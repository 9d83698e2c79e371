#include "router/root/router.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <set>
#include <unordered_map>
#include <utility>

#include "config/addresses.h"
#include "config/keys.h"
#include "config/load.h"
#include "router/admin/routes.h"
#include "router/base/ids.h"
#include "router/metrics/scrape.h"
#include "router/root/status.h"
#include "router/runtime/contain.h"
#include "router/runtime/descriptors.h"
#include "router/runtime/memory_reserve.h"
#include "router/serving/build_view.h"
#include "router/serving/own_names.h"

namespace router::root {
namespace {

constexpr std::chrono::seconds kReloadAgain{1};  // after one that found no memory
constexpr std::chrono::seconds kRetryFiles{10};  // that could not be used
constexpr std::chrono::seconds kLookUpAgain{5};  // the name of an operators' listener
constexpr std::chrono::seconds kEnd{5};          // after the drain, for probes and what follows the API server
constexpr std::chrono::seconds kMargin{5};       // what the service manager waits beyond all these, for the logs to be written

log::Level log_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug: return log::Level::kDebug;
    case config::LogLevel::kInfo: return log::Level::kInfo;
    case config::LogLevel::kWarning: return log::Level::kWarning;
    case config::LogLevel::kError: return log::Level::kError;
  }
  return log::Level::kInfo;
}

log::Format log_format(config::LogFormat format) {
  return format == config::LogFormat::kJson ? log::Format::kJson : log::Format::kText;
}

std::size_t shard_count(const config::Process& process) {
  return process.threads > 0 ? process.threads : runtime::default_shard_count();
}

std::vector<const config::Deployment*> deployments_of(const config::Config& config) {
  std::vector<const config::Deployment*> deployments;
  for (const config::Endpoint& endpoint : config.endpoints) {
    for (const config::Deployment& each : endpoint.deployments) deployments.push_back(&each);
  }
  return deployments;
}

std::optional<log::Target> open_log(const config::Process& process, config::Findings& findings) {
  log::Target target;
  const std::string error = log::open(process.log_file, log_level(process.log_level), log_format(process.log_format), target);
  if (error.empty()) return target;
  findings.mistake(process.places.log_file, error);
  return std::nullopt;
}

std::unordered_map<proxy::ListenerId, proxy::ListenerSettings> listener_settings(const config::Process& process,
                                                                                 const listening::Listeners::Change& opened,
                                                                                 serving::TlsMaterial& tls) {
  std::unordered_map<proxy::ListenerId, proxy::ListenerSettings> settings;
  for (std::size_t i = 0; i < process.listeners.size(); ++i) {
    settings[opened.listeners[i].id] = {process.listeners[i].proxy_protocol, std::move(tls.listeners[i])};
  }
  return settings;
}

void add_key_files(const std::vector<config::Endpoint>& endpoints, std::vector<std::string>& files) {
  for (const config::Endpoint& each : endpoints) {
    for (const std::string* file : {&each.primary_key_file, &each.secondary_key_file}) {
      if (!file->empty()) files.push_back(*file);
    }
  }
}

metrics::Bounds bounds_of(const config::Process& process) {
  return process.buckets.empty() ? metrics::kDefaultBounds : metrics::Bounds(process.buckets);
}

/// Wherever they stand in router.yaml.
bool same_settings(std::optional<config::Kubernetes> a, const std::optional<config::Kubernetes>& b) {
  if (a && b) a->place = b->place;
  return a == b;
}

/// Of no other process: 48 random bits.
std::string make_via_name() {
  const UuidText uuid = new_uuid();
  return "router-" + std::string(view_of(uuid).substr(24));
}

void add_replicas(const serving::LiveDeployment& live, std::vector<metrics::ReplicaFigures>& into) {
  for (const auto& [name, each] : live.replicas) {
    const upstream::Replica::Figures counted = each.replica->figures();
    metrics::ReplicaFigures& told = into.emplace_back();
    told.endpoint = live.endpoint;
    told.deployment = live.name;
    told.replica = each.replica->name();
    told.slots_in_use = live.line->in_use(each.replica);
    told.requests = counted.requests;
    told.answers = counted.answers;
    told.first_byte_nanoseconds = counted.first_byte_nanoseconds;
  }
}

void warn_of_few_descriptors(const config::Limits& limits) {
  const auto room = static_cast<std::size_t>(runtime::client_descriptors_end());
  if (limits.max_connections <= room) return;
  const bool is_asked_for = limits.max_connections != config::Limits{}.max_connections;
  log::tell(is_asked_for ? log::Level::kWarning : log::Level::kInfo,
            {absl::StrCat("limits.max_connections is ", limits.max_connections,
                          ", but the limit of open files (ulimit -n, LimitNOFILE=) ", "allows for at most ", room,
                          " client connections; more of them will wait")});
}

}  // namespace

Router::Router(std::string config_file, config::Config config, runtime::InheritedSockets sockets,
               runtime::ServiceManager manager)
    : config_file_(std::move(config_file)),
      files_(std::move(config)),
      config_(files_),
      manager_(std::move(manager)),
      random_via_name_(make_via_name()),
      control_(shard_count(config_.process), clock_),
      shards_(shard_count(config_.process), clock_),
      metrics_(shards_.size(), clock_, bounds_of(config_.process)),
      resolver_(control_),
      views_(control_, shards_),
      live_(control_, shards_, metrics_, resolver_),
      ticket_keys_(tls::TicketKeys::make({}).value()),
      listeners_(control_, shards_, servers_, std::move(sockets)),
      operators_(
          control_, [this] { return observe_routes(); }, [this] { return admin_routes(); }),
      pulse_(control_, shards_),
      ending_(control_, 1) {
  control_.schedule(again_, kNever);  // keeps a place in the queue
  control_.schedule(retry_, kNever);
  control_.schedule(look_up_, kNever);
}

Router::~Router() = default;

config::Examine Router::examine(serving::ReadingFor what_for) {
  return
      [what_for](const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                 config::Findings& findings) { serving::read_tls(process, deployments, nullptr, {}, 1, what_for, findings); };
}

int Router::run() {
  if (absl::Status started = start(); !started.ok()) {
    log::error(std::string(started.message()));
    return 1;
  }
  control_.run();
  shards_.join();
  log::info("drained");
  return 0;
}

absl::Status Router::start() {
  runtime::raise_descriptor_limit();
  runtime::keep_memory_reserve();
  config::Findings findings;
  log::Target until_it_is_open;
  until_it_is_open.format = log_format(config_.process.log_format);
  log::use(std::move(until_it_is_open));
  if (std::optional<log::Target> target = open_log(config_.process, findings)) log::use(std::move(*target));
  serving::TlsMaterial tls = serving::read_tls(config_.process, deployments_of(config_), ticket_keys_, {}, shards_.size(),
                                               serving::ReadingFor::kStart, findings);
  if (findings.has_mistakes()) return absl::InvalidArgumentError(findings.mistakes());
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    servers_.push_back(
        std::make_unique<proxy::ShardServer>(shards_[i], views_, metrics_.shard(i), shards_.size(), connection_limits_));
  }
  for (const auto& server : servers_) server->set_siblings(servers_);
  drain_ = std::make_unique<listening::Drain>(control_, shards_, servers_, [this] { finish(); });
  if (absl::Status made = make_cluster(); !made.ok()) return made;
  if (absl::Status adopted = adopt(files_, std::move(tls)); !adopted.ok()) return adopted;
  signals_ = std::make_unique<runtime::Signals>(
      control_, [this] { begin_drain(); }, [this] { static_cast<void>(reload_and_report()); });
  metrics_.set_process_figures([this] { return figures(); });
  watch_files();
  if (cluster_) cluster_->start(config_.process);
  control_.schedule(rotation_, control_.now() + std::chrono::hours(1));
  schedule_again(true);
  unnoticed_aborts_.start();
  warn_of_few_descriptors(config_.process.limits);
  shards_.start();
  pulse_.start();
  log::info(
      absl::StrCat("inference-router ", ROUTER_VERSION, " serves with ", shards_.size(), " threads, generation ", generation_));
  manager_.ready();
  return absl::OkStatus();
}

absl::Status Router::make_cluster() {
  if (!config_.process.kubernetes) return absl::OkStatus();
  const config::Kubernetes& settings = *config_.process.kubernetes;
  auto cluster =
      serving::ClusterSource::make(control_, resolver_, settings, shards_.size(), live_, [this] { publish_resources(); });
  if (cluster.ok()) {
    cluster_ = std::move(*cluster);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(config::text_of(settings.place), ": ", cluster.status().message()));
}

Router::Opened Router::open(const config::Process& next, config::Findings& findings) {
  Opened opened;
  const config::Process& now = config_.process;
  const bool same_log = next.log_file == now.log_file && next.log_level == now.log_level && next.log_format == now.log_format;
  if (!same_log) opened.log = open_log(next, findings);
  absl::StatusOr<serving::AccessLogs::Writer> access_log = access_logs_.open(next.access_log, shards_.size());
  if (access_log.ok()) {
    opened.access_log = std::move(*access_log);
  } else {
    findings.mistake(next.places.access_log, std::string(access_log.status().message()));
  }
  std::set<std::uint16_t> given_up = listeners_.given_up(next.listeners);
  given_up.merge(operators_.given_up(next));
  opened.listeners = listeners_.prepare(next.listeners, given_up, findings);
  opened.operators = operators_.prepare(next, given_up, findings);
  return opened;
}

void Router::check_changes(const config::Process& next, config::Findings& findings) const {
  if (next.threads != config_.process.threads && shard_count(next) != shards_.size()) {
    findings.mistake(next.places.threads,
                     absl::StrCat("cannot change while the router runs; it has ", shards_.size(), ": restart it"));
  }
  if (next.buckets != config_.process.buckets) {
    findings.mistake(next.places.buckets,
                     "cannot change while the router runs, since what was counted cannot be divided "
                     "anew: restart it");
  }
  if (!same_settings(next.kubernetes, config_.process.kubernetes)) {
    const std::optional<config::Kubernetes>& named = next.kubernetes ? next.kubernetes : config_.process.kubernetes;
    findings.mistake(named->place, "cannot change while the router runs: restart it");
  }
  if (drain_->begun() && listeners_.would_change(next.listeners)) {
    findings.mistake(next.listeners.front().place, "listeners cannot be opened or closed while the router drains");
  }
}

absl::Status Router::adopt(config::Config config, serving::TlsMaterial tls) {
  // Everything that can fail comes first: a configuration that is refused, or finds no memory, has changed nothing.
  config::Findings findings;
  check_changes(config.process, findings);
  if (findings.has_mistakes()) return absl::FailedPreconditionError(findings.mistakes());
  Opened opened = open(config.process, findings);
  if (findings.has_mistakes()) return absl::FailedPreconditionError(findings.mistakes());
  const std::set<std::string> certified = serving::certified_names(tls);
  avoid_own(config.process, opened.listeners, certified);
  Next next = build_next(config, tls.transports);
  next.view->listeners = listener_settings(config.process, opened.listeners, tls);
  next.view->access_log = opened.access_log;
  proxy::Views::Prepared view = views_.prepare(next.view);
  std::string access_log_path = config.process.access_log;
  const std::vector<std::string> warnings = findings.warnings();
  const std::vector<std::string> swallowing = serving::warnings_of_swallowed(config.endpoints, certified);

  // From here on nothing is undone: what follows cannot fail, or is tried again until it has found its memory.
  if (opened.log) log::use(std::move(*opened.log));
  for (const std::string& warning : config.warnings) log::warning(warning);
  for (const std::string& warning : warnings) log::warning(warning);
  for (const std::string& warning : swallowing) log::warning(warning);
  ticket_keys_->replace_by(*tls.ticket_keys);
  file_transports_ = std::move(tls.transports);
  tls_in_force_ = std::move(tls.in_force);
  refused_files_ = std::move(tls.refused);
  generation_ = next.live.generation;
  live_.apply(next.live);
  // In this order, so that each accepted connection finds its listener in the view.
  listeners_.close_removed(opened.listeners);
  views_.publish(std::move(view));
  listeners_.open_added(opened.listeners);
  live_.remove_others(next.live);
  access_logs_.use(std::move(access_log_path), std::move(opened.access_log));
  operators_.apply(std::move(opened.operators));
  files_ = std::move(config);
  config_ = std::move(next.merged);
  return absl::OkStatus();
}

void Router::avoid_own(const config::Process& next, const listening::Listeners::Change& listeners,
                       const std::set<std::string>& certified) {
  std::vector<runtime::Address> own;
  for (const listening::Listeners::Change::Listener& each : listeners.listeners) {
    if (const auto address = runtime::Address::parse(std::get<0>(each.key), each.port)) own.push_back(*address);
  }
  for (const std::string* each : {&next.observe_address, &next.admin_address}) {
    const std::optional<config::HostAndPort> at = config::parse_host_and_port(*each);
    if (!at || at->port.value_or(0) == 0) continue;  // a Unix socket, or a port that nobody could name
    const auto address = runtime::Address::parse(at->host, *at->port);
    own.push_back(address ? *address : *runtime::Address::parse("::", *at->port));  // a name may mean any of ours
  }
  const auto avoided =
      std::make_shared<const discovery::OwnAddresses>(std::move(own), discovery::OwnAddresses::read_local_ips());
  live_.avoid(avoided);
  if (cluster_) cluster_->avoid(avoided, certified);
}

Router::Next Router::build_next(const config::Config& files, const serving::LiveDeployments::Transports& file_transports) {
  Next next;
  next.merged = files;
  serving::LiveDeployments::Transports transports = file_transports;
  if (cluster_) {
    cluster_->join(files.endpoints);
    next.merged.endpoints.insert(next.merged.endpoints.end(), cluster_->endpoints().begin(), cluster_->endpoints().end());
    transports.insert(cluster_->transports().begin(), cluster_->transports().end());
  }
  next.live = live_.prepare(next.merged, transports, generation_ + 1);
  next.view = serving::build_view(next.merged, live_, next.live, metrics_, random_via_name_);
  return next;
}

void Router::publish_table(config::Config files) {
  Next next = build_next(files, file_transports_);
  next.view->listeners = views_.newest()->listeners;
  next.view->access_log = views_.newest()->access_log;
  proxy::Views::Prepared view = views_.prepare(next.view);

  generation_ = next.live.generation;
  live_.apply(next.live);
  views_.publish(std::move(view));
  live_.remove_others(next.live);
  files_ = std::move(files);
  config_ = std::move(next.merged);
}

void Router::publish_resources() {
  publish_table(files_);
  log::tell(log::Level::kInfo, {"resources changed: ", std::to_string(cluster_->endpoints().size()),
                                " endpoints of the API server, generation ", std::to_string(generation_)});
}

void Router::take_up_keys() {
  config::Config files = files_;
  const config::KeysAgain keys = config::read_keys_again(files.endpoints);
  if (keys.out_of_reach) control_.schedule(again_, control_.now() + kRetryFiles);
  if (keys.told.empty()) return;
  publish_table(std::move(files));
  for (const std::string& each : keys.told) {
    log::tell(log::Level::kWarning, {"the change is refused, but its keys act: ", each});
  }
  log::tell(log::Level::kInfo, {"keys read again, generation ", std::to_string(generation_)});
}

absl::Status Router::reload(std::vector<std::string>& files) {
  serving::TlsMaterial tls;
  const auto examine = [this, &tls](const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                                    config::Findings& findings) {
    tls = serving::read_tls(process, deployments, ticket_keys_, tls_in_force_, shards_.size(), serving::ReadingFor::kReload,
                            findings);
  };
  try {
    watch_->before_reading();
    auto config = config::load(config_file_, &files, examine);
    absl::Status adopted = config.ok() ? adopt(std::move(*config), std::move(tls)) : config.status();
    if (!adopted.ok() && !absl::IsResourceExhausted(adopted)) take_up_keys();
    return adopted;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("memory is short");
  }
}

absl::Status Router::reload_and_report() {
  manager_.reloading();
  absl::Status reloaded = reload_or_keep();
  manager_.ready();
  return reloaded;
}

absl::Status Router::reload_or_keep() {
  if (!watch_) return absl::FailedPreconditionError("the router has drained");
  control_.schedule(again_, kNever);
  log::reopen();
  access_logs_.reopen();
  std::vector<std::string> files;
  absl::Status reloaded = reload(files);
  metrics_.configuration_reloaded(reloaded.ok());
  if (reloaded.ok()) {
    log::tell(log::Level::kInfo, {"configuration read again, generation ", std::to_string(generation_)});
  } else {
    log::tell(log::Level::kError, {"configuration refused, generation ", std::to_string(generation_), " stays:\n",
                                   std::string_view(reloaded.message().data(), reloaded.message().size())});
  }
  if (absl::IsResourceExhausted(reloaded)) {
    control_.schedule(again_, control_.now() + kReloadAgain);  // nothing is wrong with the files
    return reloaded;
  }
  schedule_again(reloaded.ok());
  // Of a refused configuration too: mending any file that it names is to be noticed. And the keys in force act meanwhile.
  runtime::insist([&] {
    std::vector<std::string> watched = files;
    if (!reloaded.ok()) add_key_files(files_.endpoints, watched);
    watch_->watch(std::move(watched));
  });
  return reloaded;
}

/// While a change is refused its mending is what is waited for.
void Router::schedule_again(bool accepted) {
  control_.schedule(retry_, accepted && refused_files_.any() ? control_.now() + kRetryFiles : kNever);
  control_.schedule(look_up_, accepted && !operators_.unresolved().empty() ? control_.now() + kLookUpAgain : kNever);
}

void Router::retry_refused_files() {
  control_.schedule(retry_, control_.now() + kRetryFiles);  // first: what follows may throw
  if (watch_ && serving::can_be_used(refused_files_)) static_cast<void>(reload_and_report());
}

void Router::look_up_operators() {
  control_.schedule(look_up_, operators_.unresolved().empty() ? kNever : control_.now() + kLookUpAgain);
  for (const std::string& address : operators_.unresolved()) {
    const std::optional<config::HostAndPort> at = config::parse_host_and_port(address);
    if (!at) continue;
    resolver_.resolve(at->host, at->port.value_or(0), [this, address](const runtime::Resolver::Addresses& found) {
      const std::vector<std::string>& wanted = operators_.unresolved();
      const bool is_wanted = std::find(wanted.begin(), wanted.end(), address) != wanted.end();
      if (found.ok() && is_wanted) static_cast<void>(reload_and_report());
    });
  }
}

void Router::rotate_ticket_keys() {
  control_.schedule(rotation_, control_.now() + std::chrono::hours(1));  // first: the rotation may throw
  ticket_keys_->rotate();
}

void Router::watch_files() {
  watch_ = std::make_unique<discovery::FileWatch>(control_, [this] { static_cast<void>(reload_and_report()); });
  watch_->watch(config_.files);
}

std::vector<admin::OperatorRoute> Router::observe_routes() {
  admin::ObserveSources sources;
  sources.metrics = [this] {
    // Asking the process is a piece of its own, and is not done for a HEAD.
    return [this, scrape = std::shared_ptr<metrics::Scrape>()](std::string& text) mutable {
      if (scrape) return scrape->next(text);
      scrape = metrics_.scrape();
      return true;
    };
  };
  sources.hanging = [this] { return hanging(); };
  sources.not_ready = [this] { return not_ready(); };
  return admin::observe_routes(std::move(sources));
}

std::vector<admin::OperatorRoute> Router::admin_routes() {
  admin::AdminActions actions;
  actions.status = [this] { return status_json(config_, live_, cluster_.get(), generation_, drain_->begun()); };
  actions.drain = [this] { begin_drain(); };
  actions.reload = [this]() -> absl::StatusOr<std::uint64_t> {
    absl::Status reloaded = reload_and_report();
    if (!reloaded.ok()) return reloaded;
    return generation_;
  };
  return admin::admin_routes(std::move(actions));
}

std::vector<std::string> Router::hanging() const {
  std::vector<std::string> reasons;
  for (const runtime::Pulse::Hanging& each : pulse_.hanging()) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(each.since).count();
    reasons.push_back(absl::StrCat("shard ", each.shard, " has not turned for ", seconds, " s"));
  }
  return reasons;
}

std::vector<std::string> Router::not_ready() const {
  std::vector<std::string> reasons;
  if (drain_->begun()) reasons.emplace_back("draining");
  if (!live_.listed()) reasons.emplace_back("replicas are not listed yet");
  if (cluster_) {
    for (std::string& reason : cluster_->not_ready()) reasons.push_back(std::move(reason));
  }
  return reasons;
}

metrics::ProcessFigures Router::figures() const {
  metrics::ProcessFigures figures;
  if (config_.process.per_replica) figures.per_replica = metrics::PerReplica{{}, config_.process.per_replica_max};
  for (const auto& [key, live] : live_.all()) {
    const dispatch::Demand demand = live->line->demand();
    metrics::DeploymentFigures deployment;
    deployment.endpoint = live->endpoint;
    deployment.deployment = live->name;
    deployment.queue_length = demand.waiting;
    deployment.slots_in_use = demand.slots_in_use;
    deployment.slots = demand.slots;
    deployment.replicas_ready = demand.replicas_ready - demand.replicas_ejected - demand.replicas_refusing;
    deployment.replicas_ejected = demand.replicas_ejected;
    deployment.replicas_refusing = demand.replicas_refusing;
    deployment.outages = {demand.ejections, demand.refusals};
    deployment.replicas_not_ready = demand.replicas - demand.replicas_ready;
    for (const auto& [name, replica] : live->replicas) deployment.replicas_terminating += replica.terminating ? 1 : 0;
    if (figures.per_replica) add_replicas(*live, figures.per_replica->present);
    figures.deployments.push_back(std::move(deployment));
  }
  std::set<std::string> told;  // several listeners may show one certificate
  for (const auto& [id, listener] : views_.newest()->listeners) {
    if (listener.tls.empty()) continue;
    for (const tls::CertificateInfo& certificate : listener.tls.front()->certificates()) {
      if (!told.insert(certificate.file).second) continue;
      figures.certificates.push_back({certificate.file, certificate.not_before.time_since_epoch().count(),
                                      certificate.not_after.time_since_epoch().count()});
    }
  }
  figures.certificates_refused = refused_files_.certificates.size();
  figures.authorities_refused = refused_files_.authorities.size();
  figures.generation = generation_;
  if (cluster_) figures.discovery_age = cluster_->age();
  if (cluster_) figures.resources_refused = cluster_->resources_refused();
  if (cluster_) figures.events_dropped = cluster_->events_dropped();
  figures.access_log_dropped = access_logs_.dropped();
  figures.usage = usage_.read(control_.now());
  figures.version = ROUTER_VERSION;
  return figures;
}

void Router::begin_drain() {
  const config::Process& settings = config_.process;
  if (!drain_->begun())
    manager_.stopping(std::max(settings.drain_delay, settings.drain_grace) + listening::Drain::kCut + kEnd + kMargin);
  drain_->begin(settings);
}

void Router::finish() {
  operators_.stop();
  watch_.reset();
  runtime::insist([this] {
    if (cluster_) cluster_->stop();
    live_.stop();
  });
  runtime::insist([this] { ending_.try_spawn(end_in_order()); });
}

/// Until what control does besides has stopped, or the deadline; whether it has. Throws std::bad_alloc.
Task<bool> Router::control_has_ended(Deadline deadline) {
  bool ended = co_await live_.stopped(deadline);
  if (cluster_) {
    const bool also = co_await cluster_->stopped(deadline);
    ended = ended && also;
  }
  co_return ended;
}

Task<void> Router::end_in_order() {
  const Deadline deadline = control_.now() + kEnd;
  std::optional<bool> ended;
  while (!ended) {
    try {
      ended = co_await control_has_ended(deadline);
    } catch (const std::bad_alloc& error) {
      runtime::contain(error);
    }
  }
  if (!*ended) log::warning("what control does besides has not ended in time: it is cut");
  if (!pulse_.hanging().empty()) {
    log::error("a shard hangs and cannot be waited for: the process ends without it");
    std::_Exit(1);
  }
  shards_.join();
  // What is left is destroyed in the order in which it needs each other: messages, connections and their exchanges, views.
  shards_.close();
  servers_.clear();
  views_.clear();
  control_.stop();
}

}  // namespace router::root
