#include "router/metrics/exposition.h"

#include <array>
#include <limits>
#include <map>
#include <utility>

#include "router/metrics/names.h"

namespace router::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

Labels deployment_labels(const std::string& endpoint, const std::string& deployment) {
  return {{"endpoint", endpoint}, {"deployment", deployment}};
}

Labels with(Labels labels, std::string name, std::string value) {
  labels.push_back({std::move(name), std::move(value)});
  return labels;
}

void add_value(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

void add_value(MetricFamily& family, Labels labels, std::uint64_t value) {
  add_value(family, std::move(labels), static_cast<double>(value));
}

constexpr double seconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

using HistogramOf = const Histogram& (DeploymentCells::*)() const;

/// One histogram, summed over the shards. An empty one is shown only for deployments with a name: exchanges that found no
/// deployment never reach a queue or a pod.
void add_histogram(MetricFamily& family, const DeploymentMetrics& metrics, HistogramOf histogram_of) {
  const Bounds& bounds = metrics.bounds();
  std::array<std::uint64_t, Bounds::kMax + 1> counts{};
  std::uint64_t sum = 0;
  for (const DeploymentCells& cells : metrics.cells()) {
    const Histogram& histogram = (cells.*histogram_of)();
    for (std::size_t index = 0; index <= bounds.size(); ++index) counts[index] += histogram.bucket(index);
    sum += histogram.sum_nanoseconds();
  }
  ClientMetric metric;
  ClientMetric::Histogram& shown = metric.histogram;
  shown.bucket.reserve(bounds.size() + 1);
  for (std::size_t index = 0; index <= bounds.size(); ++index) {
    shown.sample_count += counts[index];
    const bool last = index == bounds.size();
    shown.bucket.push_back({shown.sample_count, last ? std::numeric_limits<double>::infinity() : seconds(bounds[index])});
  }
  if (shown.sample_count == 0 && metrics.deployment().empty()) return;
  shown.sample_sum = seconds(sum);
  metric.label = deployment_labels(metrics.endpoint(), metrics.deployment());
  family.metric.push_back(std::move(metric));
}

void add_requests(MetricFamily& family, const DeploymentMetrics& metrics) {
  std::map<std::pair<int, std::string_view>, std::uint64_t> totals;  // several reasons share the name `unsupported`
  for (const DeploymentCells& cells : metrics.cells()) {
    for (std::size_t index = 0; index < kReasonCount; ++index) {
      const auto reason = static_cast<Reason>(index);
      cells.requests(reason).each([&](int status, std::uint64_t times) { totals[{status, name_of(reason)}] += times; });
    }
  }
  for (const auto& [what, times] : totals) {
    Labels labels = deployment_labels(metrics.endpoint(), metrics.deployment());
    labels.push_back({"code", what.first == StatusCells::kOther ? "other" : std::to_string(what.first)});
    labels.push_back({"reason", std::string(what.second)});
    add_value(family, std::move(labels), times);
  }
}

Labels labels_of(const DeploymentMetrics& metrics) { return deployment_labels(metrics.endpoint(), metrics.deployment()); }
Labels labels_of(const DeploymentFigures& figures) { return deployment_labels(figures.endpoint, figures.deployment); }

template <HistogramOf kHistogram>
void add_histogram(MetricFamily& family, const DeploymentMetrics& metrics) {
  add_histogram(family, metrics, kHistogram);
}

using CountOf = std::uint64_t (DeploymentCells::*)() const;

std::uint64_t sum_of(const DeploymentMetrics& metrics, CountOf count_of) {
  std::uint64_t sum = 0;
  for (const DeploymentCells& cells : metrics.cells()) sum += (cells.*count_of)();
  return sum;
}

template <CountOf kCount>
void add_sum(MetricFamily& family, const DeploymentMetrics& metrics) {
  add_value(family, labels_of(metrics), sum_of(metrics, kCount));
}

void add_retries(MetricFamily& family, const DeploymentMetrics& metrics) {
  const Labels labels = labels_of(metrics);
  add_value(family, with(labels, "reason", "connection_refused"), sum_of(metrics, &DeploymentCells::refused_retries));
  add_value(family, with(labels, "reason", "connect_failed"), sum_of(metrics, &DeploymentCells::connect_retries));
  add_value(family, with(labels, "reason", "stale_connection"), sum_of(metrics, &DeploymentCells::stale_retries));
}

void add_fresh_connections(MetricFamily& family, const DeploymentMetrics& metrics) {
  for (std::size_t index = 0; index < kFreshReasonCount; ++index) {
    const auto reason = static_cast<FreshReason>(index);
    std::uint64_t fresh = 0;
    for (const DeploymentCells& cells : metrics.cells()) fresh += cells.fresh_connections(reason);
    add_value(family, with(labels_of(metrics), "reason", name_of(reason)), fresh);
  }
}

template <std::uint64_t DeploymentFigures::*kFigure>
void add_figure(MetricFamily& family, const DeploymentFigures& figures) {
  add_value(family, labels_of(figures), figures.*kFigure);
}

template <std::uint64_t Outages::*kFigure>
void add_outages(MetricFamily& family, const DeploymentFigures& figures) {
  add_value(family, labels_of(figures), figures.outages.*kFigure);
}

void add_replicas(MetricFamily& family, const DeploymentFigures& figures) {
  const Labels labels = labels_of(figures);
  add_value(family, with(labels, "state", "ready"), figures.replicas_ready);
  add_value(family, with(labels, "state", "not_ready"), figures.replicas_not_ready);
  add_value(family, with(labels, "state", "ejected"), figures.replicas_ejected);
  add_value(family, with(labels, "state", "refusing"), figures.replicas_refusing);
  add_value(family, with(labels, "state", "terminating"), figures.replicas_terminating);
}

void add_demand(MetricFamily& family, const DeploymentFigures& figures) {
  if (figures.scaling) add_value(family, labels_of(figures), figures.scaling->demand_slots);
}

const ScalingDecided* decided(const DeploymentFigures& figures) {
  return figures.scaling && figures.scaling->decided ? &*figures.scaling->decided : nullptr;
}

void add_scaling_demand(MetricFamily& family, const DeploymentFigures& figures) {
  const ScalingDecided* last = decided(figures);
  if (last == nullptr) return;
  const Labels labels = labels_of(figures);
  add_value(family, with(labels, "part", "busy"), last->busy);
  add_value(family, with(labels, "part", "waiting"), last->waiting);
  add_value(family, with(labels, "part", "held"), last->held);
  add_value(family, with(labels, "part", "offered"), last->offered);
}

template <auto kFigure>
void add_decided(MetricFamily& family, const DeploymentFigures& figures) {
  if (const ScalingDecided* last = decided(figures)) add_value(family, labels_of(figures), last->*kFigure);
}

void add_scaling_limited(MetricFamily& family, const DeploymentFigures& figures) {
  const ScalingDecided* last = decided(figures);
  if (last == nullptr || last->limited_by.empty()) return;
  add_value(family, with(labels_of(figures), "by", last->limited_by), std::uint64_t{1});
}

void add_held_requests(MetricFamily& family, const DeploymentFigures& figures) {
  if (figures.scaling) add_value(family, labels_of(figures), figures.held_requests);
}

Labels labels_of(const ReplicaFigures& figures) {
  return with(deployment_labels(figures.endpoint, figures.deployment), "replica", figures.replica);
}

template <std::uint64_t ReplicaFigures::*kFigure>
void add_replica(MetricFamily& family, const ReplicaFigures& figures) {
  add_value(family, labels_of(figures), figures.*kFigure);
}

/// A summary without quantiles: two series for each replica, from which a mean over all replicas can be computed.
void add_replica_first_byte(MetricFamily& family, const ReplicaFigures& figures) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = labels_of(figures);
  metric.summary.sample_count = figures.answers;
  metric.summary.sample_sum = seconds(figures.first_byte_nanoseconds);
}

template <class Number, std::optional<Number> ProcessUsage::*kFigure>
void add_usage(MetricFamily& family, const ProcessFigures& figures) {
  if (const std::optional<Number>& figure = figures.usage.*kFigure) add_value(family, {}, *figure);
}

void add_start(MetricFamily& family, const ProcessFigures& figures) {
  for (const CertificateFigures& each : figures.certificates) {
    add_value(family, {{"certificate", each.certificate}}, static_cast<double>(each.start));
  }
}

void add_expiry(MetricFamily& family, const ProcessFigures& figures) {
  for (const CertificateFigures& each : figures.certificates) {
    add_value(family, {{"certificate", each.certificate}}, static_cast<double>(each.expiry));
  }
}

void add_files_refused(MetricFamily& family, const ProcessFigures& figures) {
  add_value(family, {{"kind", "certificate"}}, figures.certificates_refused);
  add_value(family, {{"kind", "authorities"}}, figures.authorities_refused);
}

void add_discovery_age(MetricFamily& family, const ProcessFigures& figures) {
  if (figures.discovery_age) add_value(family, {}, std::chrono::duration<double>(*figures.discovery_age).count());
}

template <std::optional<std::uint64_t> ProcessFigures::*kFigure>
void add_known(MetricFamily& family, const ProcessFigures& figures) {
  if (figures.*kFigure) add_value(family, {}, *(figures.*kFigure));
}

void add_fleet_members(MetricFamily& family, const ProcessFigures& figures) {
  if (!figures.fleet) return;
  for (const auto& [state, members] : figures.fleet->members) add_value(family, {{"state", state}}, members);
}

template <std::uint64_t FleetFigures::*kFigure>
void add_fleet(MetricFamily& family, const ProcessFigures& figures) {
  if (figures.fleet) add_value(family, {}, (*figures.fleet).*kFigure);
}

void add_round_trips(MetricFamily& family, const ProcessFigures& figures) {
  if (!figures.fleet) return;
  for (const auto& [peer, time] : figures.fleet->round_trips) {
    add_value(family, {{"peer", peer}}, std::chrono::duration<double>(time).count());
  }
}

void add_fleet_covered(MetricFamily& family, const ProcessFigures& figures) {
  if (figures.fleet) add_value(family, {}, std::uint64_t{figures.fleet->covered ? 1U : 0U});
}

void add_scaling_writes(MetricFamily& family, const ProcessFigures& figures) {
  for (const auto& [result, writes] : figures.scaling_writes) add_value(family, {{"result", result}}, writes);
}

void add_sent_on(MetricFamily& family, const ProcessFigures& figures) {
  if (!figures.fleet) return;
  for (std::size_t result = 0; result < kSentOnResultCount; ++result) {
    add_value(family, {{"result", name_of(static_cast<SentOnResult>(result))}}, figures.fleet->sent_on[result]);
  }
}

template <std::uint64_t ProcessFigures::*kFigure>
void add_process(MetricFamily& family, const ProcessFigures& figures) {
  add_value(family, {}, figures.*kFigure);
}

void add_build_info(MetricFamily& family, const ProcessFigures& figures) {
  add_value(family, {{"version", figures.version}}, std::uint64_t{1});
}

std::uint64_t sum_of(const Totals& totals, Cell ShardCells::*cell) {
  std::uint64_t sum = 0;
  for (const ShardCells& cells : totals.shards) sum += (cells.*cell).value();
  return sum;
}

template <Cell ShardCells::*kCell>
void add_total(MetricFamily& family, const Totals& totals) {
  add_value(family, {}, sum_of(totals, kCell));
}

void add_mirrored(MetricFamily& family, const Totals& totals) {
  for (std::size_t result = 0; result < kMirrorResultCount; ++result) {
    std::uint64_t copies = 0;
    for (const ShardCells& cells : totals.shards) copies += cells.mirrored[result].value();
    add_value(family, {{"result", name_of(static_cast<MirrorResult>(result))}}, copies);
  }
}

void add_handshakes(MetricFamily& family, const Totals& totals) {
  add_value(family, {{"result", "ok"}, {"resumed", "false"}}, sum_of(totals, &ShardCells::handshakes_full));
  add_value(family, {{"result", "ok"}, {"resumed", "true"}}, sum_of(totals, &ShardCells::handshakes_resumed));
  add_value(family, {{"result", "failed"}, {"resumed", "false"}}, sum_of(totals, &ShardCells::handshakes_failed));
}

void add_reloads(MetricFamily& family, const Totals& totals) {
  add_value(family, {{"result", "accepted"}}, totals.reloads_accepted);
  add_value(family, {{"result", "refused"}}, totals.reloads_refused);
}

void add_configuration_refused(MetricFamily& family, const Totals& totals) {
  add_value(family, {}, std::uint64_t{totals.newest_refused ? 1U : 0U});
}

void add_replicas_left_out(MetricFamily& family, const Totals& totals) {
  if (totals.replicas_left_out) add_value(family, {}, *totals.replicas_left_out);
}

constexpr auto kCounter = MetricType::Counter;
constexpr auto kGauge = MetricType::Gauge;
constexpr auto kHistogram = MetricType::Histogram;

/// In the order in which they are shown.
constexpr std::array kFamilies{
    Family{.name = kRequests, .type = kCounter, .of_metrics = add_requests},
    Family{.name = kRequestDuration, .type = kHistogram, .of_metrics = add_histogram<&DeploymentCells::duration>},
    Family{.name = kRouterOverhead, .type = kHistogram, .of_metrics = add_histogram<&DeploymentCells::overhead>},
    Family{.name = kQueueWait, .type = kHistogram, .of_metrics = add_histogram<&DeploymentCells::queue_wait>},
    Family{.name = kFirstByte, .type = kHistogram, .of_metrics = add_histogram<&DeploymentCells::first_byte>},
    Family{.name = kRequestBytes, .type = kCounter, .of_metrics = add_sum<&DeploymentCells::request_bytes>},
    Family{.name = kResponseBytes, .type = kCounter, .of_metrics = add_sum<&DeploymentCells::response_bytes>},
    Family{.name = kRetries, .type = kCounter, .of_metrics = add_retries},
    Family{.name = kAbortsUnnoticed, .type = kCounter, .of_metrics = add_sum<&DeploymentCells::aborts_unnoticed>},
    Family{.name = kFreshConnections, .type = kCounter, .of_metrics = add_fresh_connections},
    Family{.name = kQueueLength, .type = kGauge, .of_figures = add_figure<&DeploymentFigures::queue_length>},
    Family{.name = kSlotsInUse, .type = kGauge, .of_figures = add_figure<&DeploymentFigures::slots_in_use>},
    Family{.name = kSlots, .type = kGauge, .of_figures = add_figure<&DeploymentFigures::slots>},
    Family{.name = kReplicas, .type = kGauge, .of_figures = add_replicas},
    Family{.name = kEjections, .type = kCounter, .of_figures = add_outages<&Outages::ejections>, .of_removed = true},
    Family{.name = kRefusals, .type = kCounter, .of_figures = add_outages<&Outages::refusals>, .of_removed = true},
    Family{.name = kReplicaRequests, .type = kCounter, .of_replicas = add_replica<&ReplicaFigures::requests>},
    Family{.name = kReplicaSlotsInUse, .type = kGauge, .of_replicas = add_replica<&ReplicaFigures::slots_in_use>},
    Family{.name = kReplicaFirstByte, .type = MetricType::Summary, .of_replicas = add_replica_first_byte},
    Family{.name = kReplicasLeftOut, .type = kGauge, .of_totals = add_replicas_left_out},
    Family{.name = kMirrored, .type = kCounter, .of_totals = add_mirrored},
    Family{.name = kConnectionsActive, .type = kGauge, .of_totals = add_total<&ShardCells::connections_active>},
    Family{.name = kConnections, .type = kCounter, .of_totals = add_total<&ShardCells::connections_total>},
    Family{.name = kConnectionsRefused, .type = kCounter, .of_totals = add_total<&ShardCells::connections_refused>},
    Family{.name = kConnectionsDisplaced, .type = kCounter, .of_totals = add_total<&ShardCells::connections_displaced>},
    Family{.name = kHandshakes, .type = kCounter, .of_totals = add_handshakes},
    Family{.name = kCertificateStart, .type = kGauge, .of_process = add_start},
    Family{.name = kCertificateExpiry, .type = kGauge, .of_process = add_expiry},
    Family{.name = kFilesRefused, .type = kGauge, .of_process = add_files_refused},
    Family{.name = kGeneration, .type = kGauge, .of_process = add_process<&ProcessFigures::generation>},
    Family{.name = kReloads, .type = kCounter, .of_totals = add_reloads},
    Family{.name = kConfigurationRefused, .type = kGauge, .of_totals = add_configuration_refused},
    Family{.name = kDiscoveryAge, .type = kGauge, .of_process = add_discovery_age},
    Family{.name = kResourcesRefused, .type = kGauge, .of_process = add_known<&ProcessFigures::resources_refused>},
    Family{.name = kEventsDropped, .type = kCounter, .of_process = add_known<&ProcessFigures::events_dropped>},
    Family{.name = kFleetMembers, .type = kGauge, .of_process = add_fleet_members},
    Family{.name = kFleetEpoch, .type = kGauge, .of_process = add_fleet<&FleetFigures::epoch>},
    Family{.name = kFleetCovered, .type = kGauge, .of_process = add_fleet_covered},
    Family{.name = kFleetSlotsWaiting, .type = kGauge, .of_process = add_fleet<&FleetFigures::slots_waiting>},
    Family{.name = kFleetRoundTrip, .type = kGauge, .of_process = add_round_trips},
    Family{.name = kFleetSentOn, .type = kCounter, .of_process = add_sent_on},
    Family{.name = kDemandSlots, .type = kGauge, .of_figures = add_demand},
    Family{.name = kScalingDemand, .type = kGauge, .of_figures = add_scaling_demand},
    Family{.name = kScalingWanted, .type = kGauge, .of_figures = add_decided<&ScalingDecided::wanted>},
    Family{.name = kScalingCurrent, .type = kGauge, .of_figures = add_decided<&ScalingDecided::current>},
    Family{.name = kScalingPodStart, .type = kGauge, .of_figures = add_decided<&ScalingDecided::pod_start_seconds>},
    Family{.name = kScalingLimited, .type = kGauge, .of_figures = add_scaling_limited},
    Family{.name = kScalingWrites, .type = kCounter, .of_process = add_scaling_writes},
    Family{.name = kHeldRequests, .type = kGauge, .of_figures = add_held_requests},
    Family{.name = kHeldBytes, .type = kGauge, .of_process = add_known<&ProcessFigures::held_bytes>},
    Family{.name = kLogDropped, .type = kCounter, .of_process = add_process<&ProcessFigures::access_log_dropped>},
    Family{.name = kCpuSeconds, .type = kCounter, .of_process = add_usage<double, &ProcessUsage::cpu_seconds>},
    Family{.name = kResidentBytes, .type = kGauge, .of_process = add_usage<std::uint64_t, &ProcessUsage::resident_bytes>},
    Family{.name = kVirtualBytes, .type = kGauge, .of_process = add_usage<std::uint64_t, &ProcessUsage::virtual_bytes>},
    Family{.name = kOpenDescriptors, .type = kGauge, .of_process = add_usage<std::uint64_t, &ProcessUsage::open_descriptors>},
    Family{.name = kMaxDescriptors, .type = kGauge, .of_process = add_usage<std::uint64_t, &ProcessUsage::max_descriptors>},
    Family{.name = kStartTime, .type = kGauge, .of_process = add_usage<double, &ProcessUsage::start_seconds>},
    Family{.name = kThreads, .type = kGauge, .of_process = add_usage<std::uint64_t, &ProcessUsage::threads>},
    Family{.name = kBuildInfo, .type = kGauge, .of_process = add_build_info},
};

}  // namespace

std::span<const Family> families() { return kFamilies; }

prometheus::MetricFamily Family::without_samples() const {
  prometheus::MetricFamily family;
  family.name = name.name;
  family.help = name.help;
  family.type = type;
  return family;
}

}  // namespace router::metrics
