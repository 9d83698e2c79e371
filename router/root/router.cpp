#include "router/root/router.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "config/addresses.h"
#include "config/keys.h"
#include "config/load.h"
#include "router/admin/routes.h"
#include "router/metrics/scrape.h"
#include "router/root/figures.h"
#include "router/root/scaling_text.h"
#include "router/root/status.h"
#include "router/runtime/contain.h"
#include "router/runtime/descriptors.h"
#include "router/runtime/memory_reserve.h"
#include "router/serving/process_log.h"

namespace router::root {
namespace {

constexpr std::chrono::seconds kReloadAgain{1};  // after a reload that found no memory
constexpr std::chrono::seconds kRetryFiles{10};  // for files that could not be used
constexpr std::chrono::seconds kLookUpAgain{5};  // for the name of an operators' listener
constexpr std::chrono::seconds kEnd{5};          // after the drain, for probes and the watches of the API server
constexpr std::chrono::seconds kMargin{5};       // added to the service manager's timeout, for the logs to be written

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

void warn_of_few_descriptors(const config::Limits& limits) {
  const auto room = static_cast<std::size_t>(runtime::client_descriptors_end());
  if (limits.max_connections <= room) return;
  const bool is_asked_for = limits.max_connections != config::Limits{}.max_connections;
  log::write(is_asked_for ? log::Level::kWarning : log::Level::kInfo,
             {absl::StrCat("limits.max_connections is ", limits.max_connections,
                           ", but the limit of open files (ulimit -n, LimitNOFILE=) ", "allows for at most ", room,
                           " client connections; more of them will wait")});
}

}  // namespace

Router::Router(std::string config_file, config::Config config, runtime::InheritedSockets sockets,
               runtime::ServiceManager manager)
    : config_file_(std::move(config_file)),
      manager_(std::move(manager)),
      control_(shard_count(config.process), clock_),
      shards_(shard_count(config.process), clock_),
      metrics_(shards_.size(), clock_, bounds_of(config.process)),
      resolver_(control_),
      views_(control_, shards_),
      live_(control_, shards_, metrics_, resolver_),
      ticket_keys_(tls::TicketKeys::make({}).value()),
      listeners_(control_, shards_, servers_, std::move(sockets)),
      operators_(
          control_, [this] { return observe_routes(); }, [this] { return admin_routes(); }),
      publication_({.views = views_,
                    .live = live_,
                    .metrics = metrics_,
                    .listeners = listeners_,
                    .operators = operators_,
                    .access_logs = access_logs_,
                    .ticket_keys = *ticket_keys_,
                    .shards = shards_.size(),
                    .draining = [this] { return drain_->begun(); },
                    .peers = [this] { return fleet_ ? fleet_->peers() : nullptr; }},
                   std::move(config)),
      pulse_(control_, shards_),
      ending_(control_, 1) {
  control_.schedule(again_, kNever);  // reserves the timer's entry, so that later calls need no memory
  control_.schedule(retry_, kNever);
  control_.schedule(look_up_, kNever);
}

Router::~Router() = default;

config::Examine Router::examine(serving::ReadingFor what_for) {
  return [what_for](const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                    config::Findings& findings) {
    serving::read_tls(process, deployments, {}, {.what_for = what_for}, findings);
    serving::check_fleet_keys(process.fleet, false, findings);
  };
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
  until_it_is_open.format = serving::log_format(publication_.config().process.log_format);
  log::use(std::move(until_it_is_open));
  if (std::optional<log::Target> target = serving::open_log(publication_.config().process, findings))
    log::use(std::move(*target));
  serving::TlsMaterial tls = serving::read_tls(publication_.config().process, deployments_of(publication_.config()), {},
                                               {serving::ReadingFor::kStart, shards_.size(), ticket_keys_}, findings);
  if (findings.has_mistakes()) return absl::InvalidArgumentError(findings.mistakes());
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    servers_.push_back(
        std::make_unique<proxy::ShardServer>(shards_[i], views_, metrics_.shard(i), shards_.size(), connection_limits_));
  }
  for (const auto& server : servers_) server->set_siblings(servers_);
  drain_ = std::make_unique<listening::Drain>(
      control_, shards_, servers_, [this] { return !fleet_ || fleet_->may_end(); }, [this] { finish(); });
  if (absl::Status made = make_fleet(); !made.ok()) return made;
  if (absl::Status made = make_cluster(); !made.ok()) return made;
  make_autoscaler();
  absl::Status published = publication_.publish({.files = publication_.files(), .tls = std::move(tls)});
  if (!published.ok()) return published;
  signals_ = std::make_unique<runtime::Signals>(
      control_, [this] { begin_drain(); }, [this] { static_cast<void>(reload_and_report()); });
  metrics_.set_process_figures([this] {
    metrics::ProcessFigures figures = process_figures(
        {publication_, live_, views_, access_logs_, cluster_.get(), autoscaler_.get(), usage_.read(control_.now())});
    if (fleet_) figures.fleet = fleet_figures(*fleet_, metrics_, shards_.size());
    return figures;
  });
  watch_files();
  if (cluster_) cluster_->start(publication_.config().process);
  control_.schedule(rotation_, control_.now() + std::chrono::hours(1));
  schedule_again(true);
  unnoticed_aborts_.start();
  warn_of_few_descriptors(publication_.config().process.limits);
  if (fleet_) fleet_->start();
  if (autoscaler_) autoscaler_->start();
  shards_.start();
  pulse_.start();
  log::info(absl::StrCat("inference-router ", ROUTER_VERSION, " serves with ", shards_.size(), " threads, generation ",
                         publication_.generation()));
  manager_.ready();
  return absl::OkStatus();
}

absl::Status Router::make_cluster() {
  if (!publication_.config().process.kubernetes) return absl::OkStatus();
  const config::Kubernetes& settings = *publication_.config().process.kubernetes;
  auto cluster =
      serving::ClusterSource::make(control_, resolver_, settings, shards_.size(), live_, [this] { publish_resources(); });
  if (cluster.ok()) {
    cluster_ = std::move(*cluster);
    publication_.follow(*cluster_);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(config::text_of(settings.location), ": ", cluster.status().message()));
}

void Router::make_autoscaler() {
  if (!cluster_) return;
  autoscaler_ = std::make_unique<serving::Autoscaler>(serving::Autoscaler::Parts{
      .control = control_,
      .live = live_,
      .fleet = fleet_.get(),
      .config = [this]() -> const config::Config& { return publication_.config(); },
      .generation = [this] { return publication_.generation(); },
      .leads = [this] { return cluster_->leads(); },
      .make_targets = [this](discovery::ScaleTargetsOptions options) { return cluster_->make_targets(std::move(options)); },
      .told = [this](std::string_view reason) { return cluster_->told(discovery::condition::kAutoscaled, reason); },
      .changed = [this] { cluster_->report_again(); },
      .events = [this](const serving::ScalingEvent& event) { cluster_->tell(event.key, scaling_event(event)); }});
  live_.when_waking([this](const serving::DeploymentKey& key) { autoscaler_->held(key); });
  cluster_->explain_scaling([this](const serving::DeploymentKey& key) { return scaling_condition(*autoscaler_, key); });
}

/// Before the first view is built: its queues and pods obey the fleet from the start.
absl::Status Router::make_fleet() {
  if (!publication_.config().process.fleet) return absl::OkStatus();
  auto made = serving::FleetService::make({.control = control_,
                                           .shards = shards_,
                                           .resolver = resolver_,
                                           .live = live_,
                                           .servers = servers_,
                                           .publish_peers = [this] { publication_.publish_peers(); }},
                                          publication_.config());
  if (!made.ok()) return made.status();
  fleet_ = std::move(*made);
  return absl::OkStatus();
}

void Router::publish_resources() {
  publication_.publish({}).IgnoreError();  // only files can be refused
  log::write(log::Level::kInfo, {"resources changed: ", std::to_string(cluster_->endpoints().size()),
                                 " endpoints of the API server, generation ", std::to_string(publication_.generation())});
}

void Router::take_up_keys() {
  config::Config files = publication_.files();
  const config::KeysAgain keys = config::read_keys_again(files.endpoints);
  if (keys.out_of_reach) control_.schedule(again_, control_.now() + kRetryFiles);
  if (keys.told.empty()) return;
  publication_.publish({.files = std::move(files)}).IgnoreError();  // without TLS it opens nothing that could be refused
  for (const std::string& each : keys.told) {
    log::write(log::Level::kWarning, {"the change is refused, but its keys apply: ", each});
  }
  log::write(log::Level::kInfo, {"keys read again, generation ", std::to_string(publication_.generation())});
}

absl::Status Router::reload(std::vector<std::string>& files) {
  serving::TlsMaterial tls;
  const auto examine = [this, &tls](const config::Process& process, const std::vector<const config::Deployment*>& deployments,
                                    config::Findings& findings) {
    tls = serving::read_tls(process, deployments, publication_.tls_in_force(),
                            {serving::ReadingFor::kReload, shards_.size(), ticket_keys_}, findings);
    serving::check_fleet_keys(process.fleet, true, findings);
  };
  try {
    watch_->before_reading();
    auto config = config::load(config_file_, &files, examine);
    absl::Status adopted =
        config.ok() ? publication_.publish({.files = std::move(*config), .tls = std::move(tls)}) : config.status();
    if (!adopted.ok() && !absl::IsResourceExhausted(adopted)) take_up_keys();
    if (fleet_) fleet_->reload(*publication_.config().process.fleet);
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
    log::write(log::Level::kInfo, {"configuration read again, generation ", std::to_string(publication_.generation())});
  } else {
    log::write(log::Level::kError, {"configuration refused, generation ", std::to_string(publication_.generation()),
                                    " stays:\n", std::string_view(reloaded.message().data(), reloaded.message().size())});
  }
  if (absl::IsResourceExhausted(reloaded)) {
    control_.schedule(again_, control_.now() + kReloadAgain);  // the files have no mistake
    return reloaded;
  }
  schedule_again(reloaded.ok());
  // A refused configuration is watched too, so that the correction of any of its files is noticed. The keys in force still
  // apply.
  runtime::insist([&] {
    std::vector<std::string> watched = files;
    if (!reloaded.ok()) add_key_files(publication_.files().endpoints, watched);
    watch_->watch(std::move(watched));
  });
  return reloaded;
}

/// While a change is refused, only its correction is awaited.
void Router::schedule_again(bool accepted) {
  control_.schedule(retry_, accepted && publication_.refused_files().any() ? control_.now() + kRetryFiles : kNever);
  control_.schedule(look_up_, accepted && !operators_.unresolved().empty() ? control_.now() + kLookUpAgain : kNever);
}

void Router::retry_refused_files() {
  control_.schedule(retry_, control_.now() + kRetryFiles);  // first: what follows may throw
  if (watch_ && serving::can_be_used(publication_.refused_files())) static_cast<void>(reload_and_report());
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
  watch_->watch(publication_.config().files);
}

std::vector<admin::OperatorRoute> Router::observe_routes() {
  admin::ObserveSources sources;
  sources.metrics = [this] {
    // Reading the figures of the process is a step of its own; a HEAD request skips it.
    return [this, scrape = std::shared_ptr<metrics::Scrape>()](std::string& text) mutable {
      if (scrape) return scrape->next(text);
      scrape = metrics_.scrape();
      return true;
    };
  };
  sources.hanging = [this] { return hanging(); };
  sources.not_ready = [this] { return not_ready(); };
  sources.scaling = [this](std::string_view name) { return autoscaler_ ? scaling_answer(*autoscaler_, name) : std::nullopt; };
  return admin::observe_routes(std::move(sources));
}

std::vector<admin::OperatorRoute> Router::admin_routes() {
  admin::AdminActions actions;
  actions.status = [this] {
    return status_json({.config = publication_.config(),
                        .live = live_,
                        .cluster = cluster_.get(),
                        .fleet = fleet_.get(),
                        .autoscaler = autoscaler_.get(),
                        .generation = publication_.generation(),
                        .draining = drain_->begun()});
  };
  actions.drain = [this] { begin_drain(); };
  actions.forget = [this](const std::string& member) {
    return fleet_ ? fleet_->forget(member) : absl::NotFoundError("this router has no fleet: router.yaml has no section fleet");
  };
  actions.reload = [this]() -> absl::StatusOr<std::uint64_t> {
    absl::Status reloaded = reload_and_report();
    if (!reloaded.ok()) return reloaded;
    return publication_.generation();
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
  if (fleet_) {
    for (std::string& reason : fleet_->not_ready()) reasons.push_back(std::move(reason));
  }
  return reasons;
}

void Router::begin_drain() {
  const config::Process& settings = publication_.config().process;
  if (!drain_->begun())
    manager_.stopping(std::max(settings.drain_delay, settings.drain_grace) + listening::Drain::kCut + kEnd + kMargin);
  drain_->begin(settings);
  if (fleet_) fleet_->drain();
}

void Router::finish() {
  operators_.stop();
  watch_.reset();
  runtime::insist([this] {
    if (autoscaler_) autoscaler_->stop();
    if (cluster_) cluster_->stop();
    if (fleet_) fleet_->stop_following();
    live_.stop();
  });
  runtime::insist([this] { ending_.try_spawn(end_in_order()); });
}

/// Waits until the other tasks of the control thread have stopped, or until the deadline. Returns whether they have stopped.
/// Throws std::bad_alloc.
Task<bool> Router::control_has_ended(Deadline deadline) {
  bool ended = co_await live_.stopped(deadline);
  if (cluster_) {
    const bool also = co_await cluster_->stopped(deadline);
    ended = ended && also;
  }
  if (fleet_) {
    const bool also = co_await fleet_->stopped(deadline);
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
  if (!*ended) log::warning("tasks of the control thread have not ended in time and are cut");
  if (!pulse_.hanging().empty()) {
    log::error("a shard hangs: the process ends without waiting for it");
    std::_Exit(1);
  }
  shards_.join();
  // Destroys the rest in the order of its dependencies: messages, connections with their exchanges, views.
  shards_.close();
  servers_.clear();
  views_.clear();
  if (fleet_) fleet_->stop();  // last: its closed port tells the others that this process runs nothing any more
  control_.stop();
}

}  // namespace router::root
