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

constexpr KnownField kKnownFields[] = {
    {"te", Field::kTe},
    {"host", Field::kHost},
    {"expect", Field::kExpect},
    {"trailer", Field::kTrailer},
    {"upgrade", Field::kUpgrade},
    {"forwarded", Field::kForwarded},
    {"connection", Field::kConnection},
    {"keep-alive", Field::kKeepAlive},
    {"user-agent", Field::kUserAgent},
    {"retry-after", Field::kRetryAfter},
    {"traceparent", Field::kTraceparent},
    {"x-request-id", Field::kXRequestId},
    {"authorization", Field::kAuthorization},
    {"content-length", Field::kContentLength},
    {"x-forwarded-for", Field::kXForwardedFor},
    {"x-ms-request-id", Field::kXMsRequestId},
    {"x-router-reason", Field::kXRouterReason},
    {"proxy-connection", Field::kProxyConnection},
    {"x-forwarded-host", Field::kXForwardedHost},
    {"x-forwarded-proto", Field::kXForwardedProto},
    {"transfer-encoding", Field::kTransferEncoding},
    {"proxy-authenticate", Field::kProxyAuthenticate},
    {"proxy-authorization", Field::kProxyAuthorization},
    {"x-request-deadline-ms", Field::kXRequestDeadlineMs},
    {"x-ms-client-request-id", Field::kXMsClientRequestId},
    {"azureml-model-deployment", Field::kAzuremlModelDeployment},
};
constexpr std::size_t kLongest = 32;

constexpr bool is_ordered_by_length() {
  for (std::size_t i = 1; i < std::size(kKnownFields); ++i) {
    if (kKnownFields[i - 1].name.size() > kKnownFields[i].name.size()) return false;
  }
  return std::size(kKnownFields) > 0 && kKnownFields[std::size(kKnownFields) - 1].name.size() < kLongest;
}
static_assert(is_ordered_by_length(), "a look-up compares only the names of its own length");

/// Where the names of each length begin in the list.
constexpr auto kFirstOfLength = [] {
  std::array<std::uint8_t, kLongest + 1> first{};
  for (std::size_t length = 0; length <= kLongest; ++length) {
    std::uint8_t index = 0;
    while (index < std::size(kKnownFields) && kKnownFields[index].name.size() < length) ++index;
    first[length] = index;
  }
  return first;
}();

}  // namespace

Field identify(std::string_view name) {
  if (name.size() >= kLongest) return Field::kOther;
  const std::size_t end = kFirstOfLength[name.size() + 1];
  for (std::size_t index = kFirstOfLength[name.size()]; index < end; ++index) {
    if (equals_ignoring_case(kKnownFields[index].name, name)) return kKnownFields[index].id;
  }
  return Field::kOther;
}

}  // namespace router::http
