#pragma once

#include "router/http/via.h"
#include "router/proxy/downstream.h"
#include "router/proxy/fleet_head.h"
#include "router/proxy/patience.h"
#include "router/proxy/record.h"
#include "router/stream/request_sink.h"

namespace router::proxy {
/// What the router itself says in the head that the pod receives.
struct RequestAdditions {
  const RequestIds& ids;
  Patience patience;     // sent with what is left of it at `now`
  const http::Via& via;  // with this installation's own name
  TimePoint now;
  const SentOnFields* to_home = nullptr;  // another router is to send the request to a pod
};

/// Writes the head of the request to the pod: the client's fields without the hop-by-hop fields, plus the fields that the
/// contract adds (section 3).
void write_request_head(stream::RequestSink& to, const Downstream& from, const model::Route& route,
                        const RequestAdditions& added);

/// Writes the head of the response to the client: the pod's fields, plus the request's ids and the deployment's name. In the
/// status profile `managed` a status other than 200 becomes 424. Returns the status that was written.
int write_response_head(Downstream& to, const http::ResponseHead& head, stream::BodySize size, const model::Route& route,
                        const RequestIds& ids);

/// The same for a request that another router has sent on. That router has written the head as the pod is to get it; the fields
/// between routers are left out, and the client's deadline is what is left of it at `now`.
void pass_request_head(stream::RequestSink& to, const Downstream& from, const Patience& patience, TimePoint now);
/// The head of the response to that router: the pod's fields as they are, without those that no pod may set.
void pass_response_head(Downstream& to, const http::ResponseHead& head, stream::BodySize size);

/// Whether a field of the pod is not copied: the router itself writes fields of that name, and the pod must not set them, not
/// even in an interim response.
bool replaced_in_response(http::Field field, bool length_is_ours);

}  // namespace router::proxy
