#include "router/proxy/account.h"

#include "router/proxy/access_log.h"
#include "router/proxy/server.h"

namespace router::proxy {
namespace {

metrics::DeploymentMetrics& metrics_of(const View& view, const Record& record) {
  if (record.route.deployment != nullptr) return *record.route.deployment->metrics;
  if (record.endpoint != nullptr) return *record.endpoint->metrics;
  return *view.table.metrics;
}

}  // namespace

void account(ShardServer& server, const View& view, const Downstream& downstream, const Record& record) {
  metrics::ExchangeFigures figures;
  figures.status = record.status;
  figures.reason = record.reason;
  figures.duration = record.ended - record.begun;
  figures.overhead = figures.duration - record.waited;
  figures.queued = record.queued != TimePoint{};
  figures.queue_wait = record.in_line;
  figures.answered = record.answered != TimePoint{} && record.sent != TimePoint{};
  if (figures.answered) figures.first_byte = record.answered - record.sent;
  figures.refused_retried = record.refused_retried;
  figures.connect_retried = record.connect_retried;
  figures.stale_retried = record.stale_retried;
  figures.request_bytes = downstream.request_bytes();
  figures.response_bytes = downstream.response_bytes();
  metrics_of(view, record).on(server.shard().index()).exchange_finished(figures);
  if (view.access_log != nullptr)
    write_access_line(*view.access_log, server.shard().index(), view.generation, downstream, record);
}

}  // namespace router::proxy
