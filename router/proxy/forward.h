#pragma once

#include "router/base/task.h"
#include "router/dispatch/request_queue.h"
#include "router/proxy/downstream.h"
#include "router/proxy/mirror.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/proxy/upstream_close.h"
#include "router/proxy/view.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {

/// Sends the request over an open connection and the answer back: writes the head, then moves both bodies. Suspends.
/// When it returns, `upstream_close` has begun or ended, so the client does not wait for the pod to close. The one exception is
/// upstream_reset where `ended_unseen` allows another attempt: then the slot can be used for it. `copy`, if not nullptr,
/// collects the body; once it is complete, it is sent, and `copy` is nullptr.
Task<Result<void>> forward(Downstream& downstream, const model::Route& route, const RequestIds& ids, Patience patience,
                           upstream::UpstreamExchange& exchange, std::unique_ptr<MirrorCopy>& copy, const View& view,
                           runtime::Wakeup& wakeup, Record& record, UpstreamClose& upstream_close);

}  // namespace router::proxy
