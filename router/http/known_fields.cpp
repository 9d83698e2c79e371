#include "router/http/known_fields.h"

#include <array>
#include <cstdint>
#include <iterator>

#include "router/base/text.h"

namespace router::http {
namespace {

struct KnownField {
  std::string_view name;
  Field id;
};

/// Ordered by length. The fields of kForwarding are those that load balancers, content delivery networks and ingress
/// controllers are known to write. Names that begin with kForwardedPrefix
/// or kFleetPrefix need no line here.
constexpr KnownField kKnownFields[] = {
    {"te", Field::kTe},
    {"via", Field::kVia},
    {"date", Field::kDate},
    {"host", Field::kHost},
    {"x-ir", Field::kFleet},
    {"expect", Field::kExpect},
    {"x-host", Field::kForwarding},
    {"trailer", Field::kTrailer},
    {"upgrade", Field::kUpgrade},
    {"api-key", Field::kApiKey},
    {"location", Field::kLocation},
    {"x-scheme", Field::kForwarding},
    {"forwarded", Field::kForwarded},
    {"x-real-ip", Field::kForwarding},
    {"x-arr-ssl", Field::kForwarding},
    {"client-ip", Field::kForwarding},
    {"connection", Field::kConnection},
    {"keep-alive", Field::kKeepAlive},
    {"user-agent", Field::kUserAgent},
    {"cf-visitor", Field::kForwarding},
    {"retry-after", Field::kRetryAfter},
    {"traceparent", Field::kTraceparent},
    {"x-client-ip", Field::kForwarding},
    {"x-remote-ip", Field::kForwarding},
    {"x-forwarded", Field::kForwarding},
    {"client-cert", Field::kForwarding},
    {"remote-user", Field::kForwarding},
    {"max-forwards", Field::kMaxForwards},
    {"x-request-id", Field::kXRequestId},
    {"x-url-scheme", Field::kForwarding},
    {"authorization", Field::kAuthorization},
    {"forwarded-for", Field::kForwarding},
    {"x-remote-addr", Field::kForwarding},
    {"x-rewrite-url", Field::kForwarding},
    {"fly-client-ip", Field::kForwarding},
    {"x-client-cert", Field::kForwarding},
    {"x-remote-user", Field::kForwarding},
    {"content-length", Field::kContentLength},
    {"true-client-ip", Field::kForwarding},
    {"x-original-url", Field::kForwarding},
    {"x-original-uri", Field::kForwarding},
    {"x-original-for", Field::kForwarding},
    {"x-proxyuser-ip", Field::kForwarding},
    {"x-forwarded-for", Field::kXForwardedFor},
    {"x-ms-request-id", Field::kXMsRequestId},
    {"x-router-reason", Field::kXRouterReason},
    {"x-original-host", Field::kForwarding},
    {"proxy-client-ip", Field::kForwarding},
    {"front-end-https", Field::kForwarding},
    {"ssl-client-cert", Field::kForwarding},
    {"proxy-connection", Field::kProxyConnection},
    {"x-forwarded-host", Field::kXForwardedHost},
    {"x-original-proto", Field::kForwarding},
    {"x-originating-ip", Field::kForwarding},
    {"cf-connecting-ip", Field::kForwarding},
    {"fastly-client-ip", Field::kForwarding},
    {"do-connecting-ip", Field::kForwarding},
    {"x-azure-clientip", Field::kForwarding},
    {"x-arr-clientcert", Field::kForwarding},
    {"x-azure-socketip", Field::kForwarding},
    {"x-forwarded-proto", Field::kXForwardedProto},
    {"transfer-encoding", Field::kTransferEncoding},
    {"x-original-prefix", Field::kForwarding},
    {"client-cert-chain", Field::kForwarding},
    {"x-ssl-client-cert", Field::kForwarding},
    {"ssl-client-verify", Field::kForwarding},
    {"proxy-authenticate", Field::kProxyAuthenticate},
    {"cf-connecting-ipv6", Field::kForwarding},
    {"x-forwarded-prefix", Field::kXForwardedPrefix},
    {"wl-proxy-client-ip", Field::kForwarding},
    {"proxy-authorization", Field::kProxyAuthorization},
    {"x-cluster-client-ip", Field::kForwarding},
    {"x-appengine-user-ip", Field::kForwarding},
    {"x-http-host-override", Field::kForwarding},
    {"ssl-client-issuer-dn", Field::kForwarding},
    {"x-request-deadline-ms", Field::kXRequestDeadlineMs},
    {"x-envoy-original-path", Field::kForwarding},
    {"x-envoy-original-host", Field::kForwarding},
    {"ssl-client-subject-dn", Field::kForwarding},
    {"x-ms-client-request-id", Field::kXMsClientRequestId},
    {"x-appengine-remote-addr", Field::kForwarding},
    {"azureml-model-deployment", Field::kAzuremlModelDeployment},
    {"x-original-forwarded-for", Field::kForwarding},
    {"x-envoy-external-address", Field::kForwarding},
};
constexpr std::string_view kForwardedPrefix = "x-forwarded-";
constexpr std::string_view kFleetPrefix = "x-ir-";
constexpr std::size_t kLongest = 32;

constexpr bool is_ordered_by_length() {
  for (std::size_t i = 1; i < std::size(kKnownFields); ++i) {
    if (kKnownFields[i - 1].name.size() > kKnownFields[i].name.size()) return false;
  }
  return std::size(kKnownFields) > 0 && kKnownFields[std::size(kKnownFields) - 1].name.size() < kLongest;
}
static_assert(is_ordered_by_length(), "a look-up compares only the names of its own length");

/// The index of the first name of each length.
constexpr auto kFirstOfLength = [] {
  std::array<std::uint8_t, kLongest + 1> first{};
  for (std::size_t length = 0; length <= kLongest; ++length) {
    std::uint8_t index = 0;
    while (index < std::size(kKnownFields) && kKnownFields[index].name.size() < length) ++index;
    first[length] = index;
  }
  return first;
}();

enum class Match { kNo, kExact, kUnderscored };

/// Reads each byte once, since this runs for each field of each head. `known` is lower case, has the same size and contains no
/// `_`.
Match match(std::string_view name, std::string_view known) {
  Match found = Match::kExact;
  for (std::size_t i = 0; i < known.size(); ++i) {
    const char c = to_lower(name[i]);
    if (c == known[i]) continue;
    if (c != '_' || known[i] != '-') return Match::kNo;
    found = Match::kUnderscored;
  }
  return found;
}

Field of_prefix(std::string_view name, std::string_view prefix, Field id) {
  if (name.size() < prefix.size()) return Field::kOther;
  const Match found = match(name.substr(0, prefix.size()), prefix);
  if (found == Match::kNo) return Field::kOther;
  const bool underscored = found == Match::kUnderscored || name.find('_') != std::string_view::npos;
  return underscored ? Field::kLookalike : id;
}

Field of_prefix(std::string_view name) {
  if (name.size() < kFleetPrefix.size() || to_lower(name.front()) != 'x') return Field::kOther;
  return to_lower(name[2]) == 'i' ? of_prefix(name, kFleetPrefix, Field::kFleet)
                                  : of_prefix(name, kForwardedPrefix, Field::kForwarding);
}

}  // namespace

bool may_mean(std::string_view name, std::string_view known) {
  return name.size() == known.size() && match(name, known) != Match::kNo;
}

Field identify(std::string_view name) {
  if (name.size() >= kLongest || name.empty()) return of_prefix(name);
  const std::size_t end = kFirstOfLength[name.size() + 1];
  const char last = to_lower(name.back());  // names of one length often begin alike but end differently
  for (std::size_t index = kFirstOfLength[name.size()]; index < end; ++index) {
    const KnownField& known = kKnownFields[index];
    if (known.name.back() != last) continue;
    const Match found = match(name, known.name);
    if (found == Match::kExact) return known.id;
    if (found == Match::kUnderscored) return Field::kLookalike;
  }
  return of_prefix(name);
}

}  // namespace router::http
