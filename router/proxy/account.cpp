#include "router/proxy/account.h"

#include <new>

#include "router/proxy/access_log.h"
#include "router/proxy/client_ip.h"
#include "router/proxy/local_reply.h"
#include "router/proxy/server.h"

namespace router::proxy {
namespace {

metrics::DeploymentMetrics& metrics_of(const View& view, const Record& record) {
  if (record.deployment != nullptr) return *record.deployment->metrics;
  if (record.endpoint != nullptr) return *record.endpoint->metrics;
  return *view.table.metrics;
}

metrics::ExchangeFigures figures_of(const Downstream& downstream, const Record& record) {
  metrics::ExchangeFigures figures;
  figures.status = record.status;
  figures.reason = record.reason;
  figures.duration = record.ended - record.begun;
  figures.overhead = figures.duration - record.waited;
  figures.queued = record.queued != TimePoint{};
  figures.queue_wait = record.in_queue;
  figures.answered = record.answered != TimePoint{} && record.sent != TimePoint{};
  if (figures.answered) figures.first_byte = record.answered - record.sent;
  figures.refused_retried = record.refused_retried;
  figures.connect_retried = record.connect_retried;
  figures.stale_retried = record.stale_retried;
  figures.request_bytes = downstream.request_bytes();
  figures.response_bytes = downstream.response_bytes();
  figures.abort_unnoticed = record.abort_unnoticed;
  return figures;
}

}  // namespace

void Account::report() noexcept {
  told_ = true;
  const View& view = *view_;
  const std::size_t shard = server_.shard().index();
  metrics::DeploymentCells& cells = metrics_of(view, record_).on(shard);
  if (by_other_) return cells.attempts_finished(figures_of(downstream_, record_));
  cells.exchange_finished(figures_of(downstream_, record_));
  if (view.access_log == nullptr) return;
  try {
    ClientIpText room;
    const std::string_view client =
        view.log_client_ip ? client_ip(downstream_, view.trusted_proxies, room) : std::string_view{};
    write_access_line(*view.access_log, shard, view.generation, client, downstream_, record_);
  } catch (const std::bad_alloc&) {
    view.access_log->note_lost();
  }
}

Account::~Account() {
  if (told_ || by_other_) return;
  record_.reason = Reason::kInternal;
  record_.cause = "the exchange was aborted";
  if (!downstream_.responded()) record_.status = status_of(Reason::kInternal, config::StatusProfile::kKubernetes);
  if (record_.ended == TimePoint{}) record_.ended = server_.shard().read_clock();
  record_.settled = record_.ended;
  report();
}

}  // namespace router::proxy
