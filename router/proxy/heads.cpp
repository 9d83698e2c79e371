#include "router/proxy/heads.h"

#include <charconv>
#include <string>

namespace router::proxy {
namespace {

using http::Field;

/// Fields that the router writes itself or keeps to itself.
bool replaced_in_request(Field field, bool forward_authorization, bool has_body) {
  switch (field) {
    case Field::kAuthorization: return !forward_authorization;
    case Field::kContentLength: return has_body;
    case Field::kHost:
    case Field::kExpect:
    case Field::kXRequestId:
    case Field::kXMsClientRequestId:
    case Field::kXRequestDeadlineMs:
    case Field::kXForwardedFor:
    case Field::kXForwardedHost:
    case Field::kXForwardedProto:
    case Field::kForwarded: return true;
    default: return false;
  }
}

bool replaced_in_response(Field field, bool has_body) {
  switch (field) {
    case Field::kContentLength: return has_body;
    case Field::kXRequestId:
    case Field::kXMsRequestId:
    case Field::kXMsClientRequestId:
    case Field::kAzuremlModelDeployment:
    case Field::kXRouterReason: return true;
    default: return false;
  }
}

/// Appends to a list that a trusted peer began, or begins it.
void write_list(upstream::UpstreamExchange& to, const http::Fields& fields, Field id, std::string_view name,
                std::string_view element, bool trusted) {
  std::string list;
  if (trusted) {
    for (const http::FieldLine& line : fields) {
      if (line.id != id) continue;
      list.append(line.value);
      list.append(", ");
    }
  }
  if (list.empty()) return to.field(name, element);
  list.append(element);
  to.field(name, list);
}

void write_forwarded(upstream::UpstreamExchange& to, const Downstream& from) {
  const http::Fields& fields = from.head().fields;
  const Peer& peer = from.peer();
  const std::string_view scheme = peer.tls ? "https" : "http";
  write_list(to, fields, Field::kXForwardedFor, "X-Forwarded-For", peer.address, peer.trusted);
  // The first proxy knows how the client came; one that is trusted is believed.
  const bool proto_known = peer.trusted && fields.has(Field::kXForwardedProto);
  to.field("X-Forwarded-Proto", proto_known ? fields.get(Field::kXForwardedProto) : scheme);
  const bool host_known = peer.trusted && fields.has(Field::kXForwardedHost);
  to.field("X-Forwarded-Host", host_known ? fields.get(Field::kXForwardedHost) : from.head().authority);
  // `Forwarded` (RFC 7239) goes on where somebody trusted uses it; the router does not begin it beside the X- fields.
  if (!peer.trusted || !fields.has(Field::kForwarded)) return;
  const bool is_v6 = peer.address.find(':') != std::string_view::npos;
  std::string element = is_v6 ? "for=\"[" : "for=";
  element.append(peer.address);
  element.append(is_v6 ? "]\";proto=" : ";proto=");
  element.append(scheme);
  write_list(to, fields, Field::kForwarded, "Forwarded", element, true);
}

std::string_view decimal(std::int64_t number, std::array<char, 24>& storage) {
  const std::to_chars_result end = std::to_chars(storage.data(), storage.data() + storage.size(), number);
  return {storage.data(), static_cast<std::size_t>(end.ptr - storage.data())};
}

}  // namespace

void write_request_head(upstream::UpstreamExchange& to, const Downstream& from, const model::Route& route,
                        const RequestIds& ids, Patience patience, TimePoint now) {
  const http::RequestHead& head = from.head();
  const wire::BodySize size = from.request_size();
  const bool has_body = size.kind != wire::BodySize::Kind::kNone;
  to.begin_head(head.method_text, route.path, route.path_rest, head.query);
  to.field("Host", head.authority);
  for (const http::FieldLine& line : head.fields) {
    if (replaced_in_request(line.id, route.endpoint->forward_authorization, has_body)) continue;
    if (http::is_hop_by_hop(line, head.fields)) continue;
    to.field(line.name, line.value);
  }
  to.field("x-request-id", ids.request_id);
  if (!ids.client_request_id.empty()) to.field("x-ms-client-request-id", ids.client_request_id);
  if (patience.deadline != kNever) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(patience.deadline - now).count();
    std::array<char, 24> storage;
    to.field("x-request-deadline-ms", decimal(std::max<std::int64_t>(left, 0), storage));
  }
  write_forwarded(to, from);
  to.end_head(size);
}

int write_response_head(Downstream& to, const http::ResponseHead& head, wire::BodySize size, const model::Route& route,
                        const RequestIds& ids) {
  const bool hidden = route.endpoint->status_profile == config::StatusProfile::kManaged && head.status != 200;
  const bool has_body = size.kind != wire::BodySize::Kind::kNone;
  const int status = hidden ? 424 : head.status;
  to.begin_head(status, hidden ? std::string_view("Failed Dependency") : head.reason_phrase);
  for (const http::FieldLine& line : head.fields) {
    if (replaced_in_response(line.id, has_body) || http::is_hop_by_hop(line, head.fields)) continue;
    to.field(line.name, line.value);
  }
  to.field("x-request-id", ids.request_id);
  to.field("x-ms-request-id", ids.request_id);
  if (!ids.client_request_id.empty()) to.field("x-ms-client-request-id", ids.client_request_id);
  to.field("azureml-model-deployment", route.deployment->name);
  if (hidden) {
    std::array<char, 24> storage;
    to.field("ms-azureml-model-error-statuscode", decimal(head.status, storage));
    to.field("ms-azureml-model-error-reason", "model_error");
  }
  to.end_head(size);
  return status;
}

}  // namespace router::proxy
