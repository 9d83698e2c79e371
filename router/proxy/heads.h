#pragma once

#include "router/http/via.h"
#include "router/proxy/downstream.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/wire/request_sink.h"

namespace router::proxy {

/// Writes the head that the pod sees: the client's, less what stays on its own hop, with what the contract adds (section 3).
void write_request_head(wire::RequestSink& to, const Downstream& from, const model::Route& route, const RequestIds& ids,
                        Patience patience, const http::Via& via, TimePoint now);

/// Writes the head that the client sees: the pod's, with the request's ids and the deployment's name; in the status profile
/// `managed` a status other than 200 becomes 424. Returns the status written.
int write_response_head(Downstream& to, const http::ResponseHead& head, wire::BodySize size, const model::Route& route,
                        const RequestIds& ids);

/// Whether a pod's field of that name stays behind: what the router itself says of a request, no pod may say, in an interim
/// response neither.
bool replaced_in_response(http::Field field, bool length_is_ours);

}  // namespace router::proxy
