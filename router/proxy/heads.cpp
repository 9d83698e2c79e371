#include "router/proxy/heads.h"

#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "router/http/hop_by_hop.h"
#include "router/proxy/public_path.h"

namespace router::proxy {
namespace {

using http::Field;

/// Fields of the client that are not copied to the pod: those that the router writes or consumes itself, and those that only a
/// trusted peer may set.
bool replaced_in_request(Field field, bool forward_authorization, bool has_body, bool trusted, bool counts_hops) {
  switch (field) {
    case Field::kLookalike:
    case Field::kFleet: return true;
    case Field::kForwarding: return !trusted;
    case Field::kApiKey:
    case Field::kAuthorization: return !forward_authorization;
    case Field::kContentLength: return has_body;
    case Field::kMaxForwards: return counts_hops;
    case Field::kHost:
    case Field::kExpect:
    case Field::kXRequestId:
    case Field::kXMsClientRequestId:
    case Field::kXRequestDeadlineMs:
    case Field::kXForwardedFor:
    case Field::kXForwardedHost:
    case Field::kXForwardedPrefix:
    case Field::kXForwardedProto:
    case Field::kForwarded: return true;
    default: return false;
  }
}

constexpr std::string_view kModelErrorStatus = "ms-azureml-model-error-statuscode";
constexpr std::string_view kModelErrorReason = "ms-azureml-model-error-reason";

bool is_model_error(const http::FieldLine& line) {
  return http::equals_ignoring_case(line.name, kModelErrorStatus) || http::equals_ignoring_case(line.name, kModelErrorReason);
}

/// Writes a list with this hop as its last element. The elements of earlier hops stay in front if the peer is trusted; those of
/// an untrusted peer are dropped.
void write_list(stream::RequestSink& to, const http::Fields& fields, Field id, std::string_view name, std::string_view element,
                bool trusted) {
  if (!trusted || !fields.has(id)) return to.field(name, element);
  std::string list;
  for (const http::FieldLine& line : fields) {
    if (line.id == id && !line.value.empty()) list.append(line.value).append(", ");
  }
  to.field(name, list.append(element));
}

/// The first list element of a field, on any of its lines, that is not empty. Empty if there is none.
std::string_view first_element(const http::Fields& fields, Field id) {
  if (!fields.has(id)) return {};
  for (const http::FieldLine& line : fields) {
    if (line.id != id) continue;
    const std::size_t begin = line.value.find_first_not_of(", \t");
    if (begin == std::string_view::npos) continue;
    const std::string_view element = line.value.substr(begin, line.value.find(',', begin) - begin);
    return element.substr(0, element.find_last_not_of(" \t") + 1);
  }
  return {};
}

/// The path prefix that a trusted peer has removed before this router. It is not a list: a path may contain commas.
std::string_view outer_prefix(const http::Fields& fields) {
  if (!fields.has(Field::kXForwardedPrefix)) return {};
  for (const http::FieldLine& line : fields) {
    if (line.id == Field::kXForwardedPrefix && !line.value.empty()) return line.value;
  }
  return {};
}

/// How the client reached the outermost trusted proxy, which wrote the first element of the lists; without a trusted proxy, how
/// it reached this router.
Outside outside_of(const Downstream& from) {
  const http::Fields& fields = from.head().fields;
  Outside outside{from.peer().tls ? "https" : "http", from.head().authority};
  if (!from.peer().trusted) return outside;
  if (const std::string_view scheme = first_element(fields, Field::kXForwardedProto); !scheme.empty()) outside.scheme = scheme;
  if (const std::string_view host = first_element(fields, Field::kXForwardedHost); !host.empty()) outside.host = host;
  outside.prefix = outer_prefix(fields);
  return outside;
}

/// Writes the path under which the client sees the root of the pod: the prefix that a trusted peer has removed, then the one
/// that this router removes.
void write_prefix(stream::RequestSink& to, std::string_view theirs, std::string_view ours) {
  if (theirs.empty() || ours.empty()) {
    const std::string_view only = theirs.empty() ? ours : theirs;
    if (!only.empty()) to.field("X-Forwarded-Prefix", only);
    return;
  }
  if (theirs.ends_with('/')) theirs.remove_suffix(1);
  to.field("X-Forwarded-Prefix", std::string(theirs).append(ours));
}

/// This hop as an element of `Forwarded` (RFC 7239, section 4). An IPv6 address is put in brackets and quotes (section 6).
std::string forwarded_element(const Peer& peer, std::string_view scheme) {
  const bool is_v6 = peer.address.find(':') != std::string_view::npos;
  std::string element = is_v6 ? "for=\"[" : "for=";
  return element.append(peer.address).append(is_v6 ? "]\";proto=" : ";proto=").append(scheme);
}

/// Writes the fields that describe the client to the pod (contract, section 3). `Forwarded` is only continued if the request
/// already has it: the other fields are enough for all frameworks.
void write_forwarded(stream::RequestSink& to, const Downstream& from, const model::Route& route) {
  const http::Fields& fields = from.head().fields;
  const Peer& peer = from.peer();
  const Outside outside = outside_of(from);
  write_list(to, fields, Field::kXForwardedFor, "X-Forwarded-For", peer.address, peer.trusted);
  to.field("X-Forwarded-Proto", outside.scheme);
  to.field("X-Forwarded-Host", outside.host);
  write_prefix(to, outside.prefix, public_prefix(from.head(), route));
  if (!fields.has(Field::kForwarded)) return;
  const std::string element = forwarded_element(peer, peer.tls ? "https" : "http");
  write_list(to, fields, Field::kForwarded, "Forwarded", element, peer.trusted);
}

void write_location(Downstream& to, const http::FieldLine& line, const model::Route& route) {
  const PublicLocation found = public_location(line.value, outside_of(to), to.head(), route);
  if (!found.mapped) return to.field(line.name, line.value);
  to.field(line.name, std::string(found.origin).append(found.path).append(found.rest));
}

std::string_view decimal(std::int64_t number, std::array<char, 24>& storage) {
  const std::to_chars_result end = std::to_chars(storage.data(), storage.data() + storage.size(), number);
  return {storage.data(), static_cast<std::size_t>(end.ptr - storage.data())};
}

void write_deadline(stream::RequestSink& to, const Patience& patience, TimePoint now) {
  if (patience.deadline == kNever) return;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(patience.deadline - now).count();
  std::array<char, 24> storage;
  to.field("x-request-deadline-ms", decimal(std::max<std::int64_t>(left, 0), storage));
}

/// What this router says itself in the head for the pod.
void write_additions(stream::RequestSink& to, const Downstream& from, const model::Route& route,
                     const RequestAdditions& added) {
  to.field("x-request-id", added.ids.request_id);
  if (!added.ids.client_request_id.empty()) to.field("x-ms-client-request-id", added.ids.client_request_id.view());
  write_forwarded(to, from, route);
  // A separate line: together with the lines before it, it forms one list (RFC 9110, 5.3).
  if (const std::string_view ours = added.via.member(from.head().minor_version); !ours.empty()) to.field("Via", ours);
}

}  // namespace

void write_request_head(stream::RequestSink& to, const Downstream& from, const model::Route& route,
                        const RequestAdditions& added) {
  const http::RequestHead& head = from.head();
  const stream::BodySize size = from.request_size();
  const bool has_body = size.kind != stream::BodySize::Kind::kNone;
  to.begin_head(head.method_text, route.path, route.path_rest, head.query);
  to.field("Host", head.authority);
  const std::optional<std::uint32_t> hops = http::max_forwards(head);  // never 0: the router has answered such a request
  const bool trusted = from.peer().trusted;
  const http::HopByHop hop_by_hop(head.fields);
  for (const http::FieldLine& line : head.fields) {
    if (replaced_in_request(line.id, route.endpoint->forward_authorization, has_body, trusted, hops.has_value())) continue;
    if (hop_by_hop.contains(line)) continue;
    to.field(line.name, line.value);
  }
  if (hops) {
    std::array<char, 24> storage;
    to.field("Max-Forwards", decimal(std::max<std::int64_t>(*hops, 1) - 1, storage));
  }
  if (added.to_home == nullptr) {
    write_additions(to, from, route, added);
    write_deadline(to, added.patience, added.now);
  } else {
    SentOnSink home(to);
    write_additions(home, from, route, added);
    home.finish(route, *added.to_home, added.patience, added.now);
  }
  to.end_head(size);
}

void pass_request_head(stream::RequestSink& to, const Downstream& from, const Patience& patience, TimePoint now) {
  const http::RequestHead& head = from.head();
  const stream::BodySize size = from.request_size();
  const bool has_body = size.kind != stream::BodySize::Kind::kNone;
  to.begin_head(head.method_text, head.path, {}, head.query);
  to.field("Host", head.authority);
  const http::HopByHop hop_by_hop(head.fields);
  std::string_view facts;
  for (const http::FieldLine& line : head.fields) {
    if (line.id == Field::kFleet) {
      if (line.name.size() == fleet_field::kFacts.size()) facts = line.value;
      continue;
    }
    if (line.id == Field::kHost || line.id == Field::kXRequestDeadlineMs) continue;
    if ((line.id == Field::kContentLength && has_body) || hop_by_hop.contains(line)) continue;
    to.field(line.name, line.value);
  }
  write_added_fields(to, facts);
  write_deadline(to, patience, now);
  to.end_head(size);
}

void pass_response_head(Downstream& to, const http::ResponseHead& head, stream::BodySize size) {
  const bool length_is_ours = size.kind != stream::BodySize::Kind::kNone || head.status == 204;
  to.begin_head(head.status, head.reason_phrase);
  const http::HopByHop hop_by_hop(head.fields);
  for (const http::FieldLine& line : head.fields) {
    if (line.id == Field::kFleet || hop_by_hop.contains(line)) continue;
    if (line.id == Field::kContentLength && length_is_ours) continue;
    to.field(line.name, line.value);
  }
  to.end_head(size);
}

bool replaced_in_response(Field field, bool length_is_ours) {
  switch (field) {
    case Field::kContentLength: return length_is_ours;
    case Field::kXRequestId:
    case Field::kXMsRequestId:
    case Field::kXMsClientRequestId:
    case Field::kAzuremlModelDeployment:
    case Field::kFleet:
    case Field::kXRouterReason: return true;
    default: return false;
  }
}

int write_response_head(Downstream& to, const http::ResponseHead& head, stream::BodySize size, const model::Route& route,
                        const RequestIds& ids) {
  const bool hidden = route.endpoint->status_profile == config::StatusProfile::kManaged && head.status != 200;
  // A 204 or 304 has no body because of its status. The 424 that replaces it must state a length of 0, or the client waits for
  // a body.
  const bool bodiless = size.kind == stream::BodySize::Kind::kNone && to.head().method != http::Method::kHead;
  if (hidden && bodiless) size = {stream::BodySize::Kind::kLength, 0};
  // The router writes the length of a body itself. A 204 must not have one (RFC 9110, 8.6).
  const bool length_is_ours = size.kind != stream::BodySize::Kind::kNone || head.status == 204;
  const int status = hidden ? 424 : head.status;
  bool dated = false;
  to.begin_head(status, hidden ? std::string_view("Failed Dependency") : head.reason_phrase);
  const http::HopByHop hop_by_hop(head.fields);
  for (const http::FieldLine& line : head.fields) {
    if (replaced_in_response(line.id, length_is_ours) || hop_by_hop.contains(line)) continue;
    if (hidden && is_model_error(line)) continue;
    dated = dated || line.id == Field::kDate;
    if (line.id == Field::kLocation) {
      write_location(to, line, route);
      continue;
    }
    to.field(line.name, line.value);
  }
  if (!dated) to.field("Date", to.date());  // RFC 9110, 6.6.1
  to.field("x-request-id", ids.request_id);
  to.field("x-ms-request-id", ids.request_id);
  if (!ids.client_request_id.empty()) to.field("x-ms-client-request-id", ids.client_request_id.view());
  to.field("azureml-model-deployment", route.deployment->name);
  if (hidden) {
    std::array<char, 24> storage;
    to.field(kModelErrorStatus, decimal(head.status, storage));
    to.field(kModelErrorReason, "model_error");
  }
  to.end_head(size);
  return status;
}

}  // namespace router::proxy
