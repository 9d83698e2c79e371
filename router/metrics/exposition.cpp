#include "router/metrics/exposition.h"

#include <limits>
#include <map>
#include <utility>

#include "router/metrics/names.h"

namespace router::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// The families in the order in which they are shown.
enum Family : std::size_t {
  kRequestsFamily,
  kRequestDurationFamily,
  kRouterOverheadFamily,
  kQueueWaitFamily,
  kFirstByteFamily,
  kRequestBytesFamily,
  kResponseBytesFamily,
  kRetriesFamily,
  kAbortsUnnoticedFamily,
  kFreshConnectionsFamily,
  kQueueLengthFamily,
  kSlotsInUseFamily,
  kSlotsFamily,
  kReplicasFamily,
  kEjectionsFamily,
  kRefusalsFamily,
  kMirroredFamily,
  kConnectionsActiveFamily,
  kConnectionsFamily,
  kConnectionsRefusedFamily,
  kHandshakesFamily,
  kCertificateStartFamily,
  kCertificateExpiryFamily,
  kFilesRefusedFamily,
  kGenerationFamily,
  kReloadsFamily,
  kConfigurationRefusedFamily,
  kDiscoveryAgeFamily,
  kResourcesRefusedFamily,
  kEventsDroppedFamily,
  kLogDroppedFamily,
  kBuildInfoFamily,
  kFamilyCount,
};

struct Shape {
  Name name;
  MetricType type;
};

Shape shape_of(Family family) {
  switch (family) {  // no default: a new family must choose its name and type to compile
    case kRequestsFamily: return {kRequests, MetricType::Counter};
    case kRequestDurationFamily: return {kRequestDuration, MetricType::Histogram};
    case kRouterOverheadFamily: return {kRouterOverhead, MetricType::Histogram};
    case kQueueWaitFamily: return {kQueueWait, MetricType::Histogram};
    case kFirstByteFamily: return {kFirstByte, MetricType::Histogram};
    case kRequestBytesFamily: return {kRequestBytes, MetricType::Counter};
    case kResponseBytesFamily: return {kResponseBytes, MetricType::Counter};
    case kRetriesFamily: return {kRetries, MetricType::Counter};
    case kAbortsUnnoticedFamily: return {kAbortsUnnoticed, MetricType::Counter};
    case kFreshConnectionsFamily: return {kFreshConnections, MetricType::Counter};
    case kQueueLengthFamily: return {kQueueLength, MetricType::Gauge};
    case kSlotsInUseFamily: return {kSlotsInUse, MetricType::Gauge};
    case kSlotsFamily: return {kSlots, MetricType::Gauge};
    case kReplicasFamily: return {kReplicas, MetricType::Gauge};
    case kEjectionsFamily: return {kEjections, MetricType::Counter};
    case kRefusalsFamily: return {kRefusals, MetricType::Counter};
    case kMirroredFamily: return {kMirrored, MetricType::Counter};
    case kConnectionsActiveFamily: return {kConnectionsActive, MetricType::Gauge};
    case kConnectionsFamily: return {kConnections, MetricType::Counter};
    case kConnectionsRefusedFamily: return {kConnectionsRefused, MetricType::Counter};
    case kHandshakesFamily: return {kHandshakes, MetricType::Counter};
    case kCertificateStartFamily: return {kCertificateStart, MetricType::Gauge};
    case kCertificateExpiryFamily: return {kCertificateExpiry, MetricType::Gauge};
    case kFilesRefusedFamily: return {kFilesRefused, MetricType::Gauge};
    case kGenerationFamily: return {kGeneration, MetricType::Gauge};
    case kReloadsFamily: return {kReloads, MetricType::Counter};
    case kConfigurationRefusedFamily: return {kConfigurationRefused, MetricType::Gauge};
    case kDiscoveryAgeFamily: return {kDiscoveryAge, MetricType::Gauge};
    case kResourcesRefusedFamily: return {kResourcesRefused, MetricType::Gauge};
    case kEventsDroppedFamily: return {kEventsDropped, MetricType::Counter};
    case kLogDroppedFamily: return {kLogDropped, MetricType::Counter};
    case kBuildInfoFamily: return {kBuildInfo, MetricType::Gauge};
    case kFamilyCount: break;
  }
  return {};
}

Labels deployment_labels(const std::string& endpoint, const std::string& deployment) {
  return {{"endpoint", endpoint}, {"deployment", deployment}};
}

Labels with(Labels labels, std::string name, std::string value) {
  labels.push_back({std::move(name), std::move(value)});
  return labels;
}

void add_value(prometheus::MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

void add_value(prometheus::MetricFamily& family, Labels labels, std::uint64_t value) {
  add_value(family, std::move(labels), static_cast<double>(value));
}

constexpr double seconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e9; }

using HistogramOf = const Histogram& (DeploymentCells::*)() const;

/// One histogram, summed over the shards. Nothing is observed for exchanges that never came to a deployment beyond their
/// duration: an empty histogram is shown for deployments that have a name only.
void add_histogram(prometheus::MetricFamily& family, const DeploymentMetrics& metrics, HistogramOf histogram_of) {
  std::array<std::uint64_t, Histogram::kBuckets> counts{};
  std::uint64_t sum = 0;
  for (const DeploymentCells& cells : metrics.cells()) {
    const Histogram& histogram = (cells.*histogram_of)();
    for (std::size_t index = 0; index < counts.size(); ++index) counts[index] += histogram.bucket(index);
    sum += histogram.sum_nanoseconds();
  }
  ClientMetric metric;
  ClientMetric::Histogram& shown = metric.histogram;
  shown.bucket.reserve(counts.size());
  for (std::size_t index = 0; index < counts.size(); ++index) {
    shown.sample_count += counts[index];
    const bool last = index == Histogram::kBounds.size();
    shown.bucket.push_back(
        {shown.sample_count, last ? std::numeric_limits<double>::infinity() : seconds(Histogram::kBounds[index])});
  }
  if (shown.sample_count == 0 && metrics.deployment().empty()) return;
  shown.sample_sum = seconds(sum);
  metric.label = deployment_labels(metrics.endpoint(), metrics.deployment());
  family.metric.push_back(std::move(metric));
}

void add_requests(prometheus::MetricFamily& family, const DeploymentMetrics& metrics) {
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

}  // namespace

Exposition::Exposition() : families_(kFamilyCount) {
  for (std::size_t index = 0; index < kFamilyCount; ++index) {
    const Shape shape = shape_of(static_cast<Family>(index));
    families_[index].name = shape.name.name;
    families_[index].help = shape.name.help;
    families_[index].type = shape.type;
  }
}

void Exposition::add(const ProcessFigures& figures) {
  for (const DeploymentFigures& each : figures.deployments) {
    const Labels labels = deployment_labels(each.endpoint, each.deployment);
    add_value(families_[kQueueLengthFamily], labels, each.queue_length);
    add_value(families_[kSlotsInUseFamily], labels, each.slots_in_use);
    add_value(families_[kSlotsFamily], labels, each.slots);
    add_value(families_[kReplicasFamily], with(labels, "state", "ready"), each.replicas_ready);
    add_value(families_[kReplicasFamily], with(labels, "state", "not_ready"), each.replicas_not_ready);
    add_value(families_[kReplicasFamily], with(labels, "state", "ejected"), each.replicas_ejected);
    add_value(families_[kReplicasFamily], with(labels, "state", "refusing"), each.replicas_refusing);
    add_value(families_[kReplicasFamily], with(labels, "state", "terminating"), each.replicas_terminating);
    add_outages(each.endpoint, each.deployment, each.outages);
  }
  for (const CertificateFigures& each : figures.certificates) {
    add_value(families_[kCertificateStartFamily], {{"certificate", each.certificate}}, static_cast<double>(each.start));
    add_value(families_[kCertificateExpiryFamily], {{"certificate", each.certificate}}, static_cast<double>(each.expiry));
  }
  add_value(families_[kFilesRefusedFamily], {{"kind", "certificate"}}, figures.certificates_refused);
  add_value(families_[kFilesRefusedFamily], {{"kind", "authorities"}}, figures.authorities_refused);
  add_value(families_[kGenerationFamily], {}, figures.generation);
  if (figures.discovery_age) {
    add_value(families_[kDiscoveryAgeFamily], {}, std::chrono::duration<double>(*figures.discovery_age).count());
  }
  if (figures.resources_refused) add_value(families_[kResourcesRefusedFamily], {}, *figures.resources_refused);
  if (figures.events_dropped) add_value(families_[kEventsDroppedFamily], {}, *figures.events_dropped);
  add_value(families_[kLogDroppedFamily], {}, figures.access_log_dropped);
  add_value(families_[kBuildInfoFamily], {{"version", figures.version}}, std::uint64_t{1});
}

void Exposition::add(const std::vector<ShardCells>& shards) {
  std::uint64_t active = 0, total = 0, refused = 0, full = 0, resumed = 0, failed = 0;
  for (const ShardCells& cells : shards) {
    active += cells.connections_active.value();
    total += cells.connections_total.value();
    refused += cells.connections_refused.value();
    full += cells.handshakes_full.value();
    resumed += cells.handshakes_resumed.value();
    failed += cells.handshakes_failed.value();
  }
  for (std::size_t result = 0; result < kMirrorResultCount; ++result) {
    std::uint64_t copies = 0;
    for (const ShardCells& cells : shards) copies += cells.mirrored[result].value();
    add_value(families_[kMirroredFamily], {{"result", name_of(static_cast<MirrorResult>(result))}}, copies);
  }
  add_value(families_[kConnectionsActiveFamily], {}, active);
  add_value(families_[kConnectionsFamily], {}, total);
  add_value(families_[kConnectionsRefusedFamily], {}, refused);
  add_value(families_[kHandshakesFamily], {{"result", "ok"}, {"resumed", "false"}}, full);
  add_value(families_[kHandshakesFamily], {{"result", "ok"}, {"resumed", "true"}}, resumed);
  add_value(families_[kHandshakesFamily], {{"result", "failed"}, {"resumed", "false"}}, failed);
}

void Exposition::add(const DeploymentMetrics& metrics) {
  add_requests(families_[kRequestsFamily], metrics);
  add_histogram(families_[kRequestDurationFamily], metrics, &DeploymentCells::duration);
  add_histogram(families_[kRouterOverheadFamily], metrics, &DeploymentCells::overhead);
  add_histogram(families_[kQueueWaitFamily], metrics, &DeploymentCells::queue_wait);
  add_histogram(families_[kFirstByteFamily], metrics, &DeploymentCells::first_byte);
  std::uint64_t received = 0, sent = 0, connect_retries = 0, stale_retries = 0;
  std::uint64_t refused_retries = 0;
  for (const DeploymentCells& cells : metrics.cells()) {
    received += cells.request_bytes();
    sent += cells.response_bytes();
    refused_retries += cells.refused_retries();
    connect_retries += cells.connect_retries();
    stale_retries += cells.stale_retries();
  }
  const Labels labels = deployment_labels(metrics.endpoint(), metrics.deployment());
  add_value(families_[kRequestBytesFamily], labels, received);
  add_value(families_[kResponseBytesFamily], labels, sent);
  add_value(families_[kRetriesFamily], with(labels, "reason", "connection_refused"), refused_retries);
  add_value(families_[kRetriesFamily], with(labels, "reason", "connect_failed"), connect_retries);
  add_value(families_[kRetriesFamily], with(labels, "reason", "stale_connection"), stale_retries);
  add_value(families_[kAbortsUnnoticedFamily], labels, metrics.aborts_unnoticed());
  for (std::size_t index = 0; index < kFreshReasonCount; ++index) {
    const auto reason = static_cast<FreshReason>(index);
    std::uint64_t fresh = 0;
    for (const DeploymentCells& cells : metrics.cells()) fresh += cells.fresh_connections(reason);
    add_value(families_[kFreshConnectionsFamily], with(labels, "reason", name_of(reason)), fresh);
  }
}

void Exposition::add_reloads(std::uint64_t accepted, std::uint64_t refused, bool newest_refused) {
  add_value(families_[kReloadsFamily], {{"result", "accepted"}}, accepted);
  add_value(families_[kReloadsFamily], {{"result", "refused"}}, refused);
  add_value(families_[kConfigurationRefusedFamily], {}, std::uint64_t{newest_refused ? 1U : 0U});
}

void Exposition::add_outages(const std::string& endpoint, const std::string& deployment, const Outages& outages) {
  const Labels labels = deployment_labels(endpoint, deployment);
  add_value(families_[kEjectionsFamily], labels, outages.ejections);
  add_value(families_[kRefusalsFamily], labels, outages.refusals);
}

}  // namespace router::metrics
