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

/// Sends the request over an open connection and the answer back: writes the head, then moves both bodies. Suspends. When this
/// returns, `upstream_close` has begun at the latest: what the pod still has to do is no reason to keep the client waiting. The
/// one exception is upstream_reset where `ended_unseen` allows one: then the slot may serve another attempt. `copy`, if there
/// is one, collects the body, and is on its way (and nullptr) once it is complete.
Task<Result<void>> forward(Downstream& downstream, const model::Route& route, const RequestIds& ids, Patience patience,
                           upstream::UpstreamExchange& exchange, std::unique_ptr<MirrorCopy>& copy, const View& view,
                           runtime::Wakeup& wakeup, Record& record, UpstreamClose& upstream_close);

}  // namespace router::proxy
