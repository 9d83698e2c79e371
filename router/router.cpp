#include "router/router.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <utility>

#include "config/load.h"
#include "router/admin/routes.h"
#include "router/base/log.h"
#include "router/status.h"

namespace router {
namespace {

log::Level log_level(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::kDebug: return log::Level::kDebug;
    case config::LogLevel::kInfo: return log::Level::kInfo;
    case config::LogLevel::kWarning: return log::Level::kWarning;
    case config::LogLevel::kError: return log::Level::kError;
  }
  return log::Level::kInfo;
}

std::size_t shard_count(const config::Process& process) {
  return process.threads > 0 ? process.threads : runtime::default_shard_count();
}

/// What stays as it was at the start: changing it needs another process, and the operator is told so.
absl::Status check_unchanged(const config::Process& old, const config::Process& next) {
  const auto refuse = [](const char* key) {
    return absl::FailedPreconditionError(
        absl::StrCat("router.yaml: ", key, ": cannot change while the router runs; restart it"));
  };
  if (old.listeners.size() != next.listeners.size()) return refuse("listeners");
  for (std::size_t i = 0; i < old.listeners.size(); ++i) {
    const config::Listener& a = old.listeners[i];
    const config::Listener& b = next.listeners[i];
    if (a.address != b.address || a.port != b.port) return refuse("listeners: address, port");
  }
  if (old.threads != next.threads) return refuse("threads");
  if (old.observe_address != next.observe_address) return refuse("observe");
  if (old.admin_address != next.admin_address) return refuse("admin");
  if (old.access_log != next.access_log) return refuse("access_log");
  return absl::OkStatus();
}

std::vector<std::string> ticket_key_files(const config::Process& process) {
  std::vector<std::string> files;
  for (const config::Listener& listener : process.listeners) {
    if (listener.tls) files.insert(files.end(), listener.tls->ticket_key_files.begin(), listener.tls->ticket_key_files.end());
  }
  return files;
}

}  // namespace

Router::Router(std::string config_file, config::Config config)
    : config_file_(std::move(config_file)),
      config_(std::move(config)),
      control_(shard_count(config_.process), clock_),
      shards_(shard_count(config_.process), clock_),
      metrics_(shards_.size(), clock_),
      resolver_(control_),
      views_(control_, shards_),
      live_(control_, shards_, metrics_, resolver_) {}

Router::~Router() = default;

absl::Status Router::check(const config::Config& config) {
  auto ticket_keys = tls::TicketKeys::make(ticket_key_files(config.process));
  if (!ticket_keys.ok()) return ticket_keys.status();
  if (auto listeners = load_listeners(config.process, *ticket_keys, 1); !listeners.ok()) return listeners.status();
  return LiveDeployments::load_transports(config, 1).status();
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
  if (const std::string error = log::open(config_.process.log_file, log_level(config_.process.log_level)); !error.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("log.file: ", error));
  }
  if (!config_.process.access_log.empty()) {
    auto writer = runtime::LineWriter::open(config_.process.access_log, shards_.size());
    if (!writer.ok()) return writer.status();
    access_log_ = std::move(*writer);
  }
  auto ticket_keys = tls::TicketKeys::make(ticket_key_files(config_.process));
  if (!ticket_keys.ok()) return ticket_keys.status();
  ticket_keys_ = std::move(*ticket_keys);
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    servers_.push_back(std::make_unique<proxy::ShardServer>(shards_[i], views_, metrics_.shard(i), shards_.size(),
                                                            access_log_.get(), connections_open_));
  }
  if (absl::Status adopted = adopt(config_); !adopted.ok()) return adopted;
  if (absl::Status opened = open_listeners(); !opened.ok()) return opened;
  drain_ = std::make_unique<Drain>(control_, shards_, servers_, acceptors_, [this] { finish(); });
  if (absl::Status opened = open_operator_listeners(); !opened.ok()) return opened;
  signals_ = std::make_unique<runtime::Signals>(
      control_, [this] { drain_->begin(config_.process); }, [this] { static_cast<void>(reload_and_report()); });
  metrics_.set_process_figures([this] { return figures(); });
  watch_files();
  control_.schedule(rotation_, control_.now() + std::chrono::hours(1));
  shards_.start();
  log::info(
      absl::StrCat("inference-router ", ROUTER_VERSION, " serves with ", shards_.size(), " threads, generation ", generation_));
  return absl::OkStatus();
}

absl::Status Router::adopt(config::Config config) {
  // Everything that can fail comes first; after that nothing does, so a refused configuration has changed nothing.
  auto listeners = load_listeners(config.process, ticket_keys_, shards_.size());
  if (!listeners.ok()) return listeners.status();
  auto transports = LiveDeployments::load_transports(config, shards_.size());
  if (!transports.ok()) return transports.status();
  for (const std::string& warning : config.warnings) log::warning(warning);
  live_.apply(config, *transports, ++generation_);
  views_.publish(build_view(config, live_, metrics_, std::move(*listeners), generation_));
  live_.remove_others(config);
  config_ = std::move(config);
  return absl::OkStatus();
}

absl::Status Router::reload(std::vector<std::string>& files) {
  auto config = config::load(config_file_, &files);
  absl::Status adopted = config.status();
  if (adopted.ok()) adopted = check_unchanged(config_.process, config->process);
  if (adopted.ok()) adopted = adopt(std::move(*config));
  metrics_.configuration_reloaded(adopted.ok());
  return adopted;
}

absl::Status Router::reload_and_report() {
  log::reopen();
  if (access_log_) access_log_->reopen();
  watch_->before_reading();
  std::vector<std::string> files;
  absl::Status reloaded = reload(files);
  if (reloaded.ok()) {
    log::info(absl::StrCat("configuration read again, generation ", generation_));
  } else {
    log::error(absl::StrCat("configuration refused, generation ", generation_, " stays:\n", reloaded.message()));
  }
  // Of a refused configuration too: mending any file that it names is to be noticed.
  watch_->watch(files);
  return reloaded;
}

void Router::rotate_ticket_keys() {
  ticket_keys_->rotate();
  control_.schedule(rotation_, control_.now() + std::chrono::hours(1));
}

void Router::watch_files() {
  watch_ = std::make_unique<discovery::FileWatch>(control_, [this] { static_cast<void>(reload_and_report()); });
  watch_->watch(config_.files);
}

absl::Status Router::open_listeners() {
  acceptors_.resize(shards_.size());
  for (std::size_t index = 0; index < config_.process.listeners.size(); ++index) {
    const config::Listener& settings = config_.process.listeners[index];
    const auto listening = runtime::listen_on(settings.address, settings.port, shards_.size());
    if (!listening.ok()) return listening.status();
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      proxy::ShardServer& server = *servers_[i];
      acceptors_[i].push_back(std::make_unique<runtime::Acceptor>(
          shards_[i], (*listening)[i],
          [&server, index](int descriptor, const runtime::Address& peer) { server.accept(index, descriptor, peer); }));
    }
    log::info(absl::StrCat("listens on ", settings.address, ":", acceptors_.front().back()->port(),
                           settings.tls ? " (https)" : " (http)"));
  }
  return absl::OkStatus();
}

absl::Status Router::open_operator_listeners() {
  admin::ObserveSources sources;
  sources.metrics = [this] { return metrics_.render(); };
  sources.not_ready = [this] { return not_ready(); };
  admin::OperatorServerOptions observe;
  observe.address = config_.process.observe_address;
  observe_ = std::make_unique<admin::OperatorServer>(control_, observe, admin::observe_routes(std::move(sources)));
  if (absl::Status started = observe_->start(); !started.ok()) return started;

  admin::AdminActions actions;
  actions.status = [this] { return status_json(config_, live_, generation_, drain_->begun()); };
  actions.drain = [this] { drain_->begin(config_.process); };
  actions.reload = [this]() -> absl::StatusOr<std::uint64_t> {
    absl::Status reloaded = reload_and_report();
    if (!reloaded.ok()) return reloaded;
    return generation_;
  };
  admin::OperatorServerOptions admin;
  admin.address = config_.process.admin_address;
  admin_ = std::make_unique<admin::OperatorServer>(control_, admin, admin::admin_routes(std::move(actions)));
  return admin_->start();
}

std::vector<std::string> Router::not_ready() const {
  std::vector<std::string> reasons;
  if (drain_->begun()) reasons.emplace_back("draining");
  if (!live_.listed()) reasons.emplace_back("replicas are not listed yet");
  return reasons;
}

metrics::ProcessFigures Router::figures() const {
  metrics::ProcessFigures figures;
  for (const auto& [key, live] : live_.all()) {
    const dispatch::Demand demand = live->line->demand();
    metrics::DeploymentFigures deployment;
    deployment.endpoint = live->endpoint;
    deployment.deployment = live->name;
    deployment.queue_length = demand.waiting;
    deployment.slots_in_use = demand.slots_in_use;
    deployment.slots = demand.slots;
    deployment.replicas_ready = demand.replicas_ready - demand.replicas_ejected;
    deployment.replicas_ejected = demand.replicas_ejected;
    deployment.ejections = demand.ejections;
    deployment.replicas_not_ready = demand.replicas - demand.replicas_ready;
    figures.deployments.push_back(std::move(deployment));
  }
  for (const proxy::ListenerSettings& listener : views_.newest()->listeners) {
    if (listener.tls.empty()) continue;
    for (const tls::CertificateInfo& certificate : listener.tls.front()->certificates()) {
      const auto expiry = certificate.not_after.time_since_epoch();
      figures.certificates.push_back({certificate.file, expiry.count()});
    }
  }
  figures.generation = generation_;
  figures.access_log_dropped = access_log_ ? access_log_->dropped() : 0;
  figures.version = ROUTER_VERSION;
  return figures;
}

void Router::finish() {
  observe_.reset();
  admin_.reset();
  watch_.reset();
  live_.stop();
  end_when_stopped();
}

void Router::end_when_stopped() {
  // Probes and connections that were told to end need a turn of their loops.
  if (!live_.stopped()) return control_.post([this] { end_when_stopped(); });
  shards_.join();
  acceptors_.clear();
  servers_.clear();
  control_.stop();
}

}  // namespace router
