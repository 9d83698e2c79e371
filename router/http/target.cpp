#include "router/http/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "router/base/host_port.h"
#include "router/http/characters.h"

namespace router::http {
namespace {

/// Moves scheme and authority of an absolute-form target from `target` into `authority`.
Mistake cut_authority(std::string_view& target, std::string_view& authority) {
  const std::size_t scheme = target.find("://");
  const std::string_view name = target.substr(0, scheme);
  if (scheme == std::string_view::npos || !(equals_ignoring_case(name, "http") || equals_ignoring_case(name, "https"))) {
    return {"the request target is neither a path nor an absolute URI"};
  }
  target.remove_prefix(scheme + 3);
  authority = target.substr(0, target.find_first_of("/?"));
  target.remove_prefix(authority.size());
  return !is_host(authority) ? Mistake{"the target's authority is malformed"} : Mistake{};
}

/// The text inside the brackets (RFC 3986, 3.2.2). No zone, which has a meaning on one machine only, and no IPvFuture.
bool is_ipv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size()) return false;
  std::copy(text.begin(), text.end(), terminated.begin());
  in6_addr address;
  return ::inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

}  // namespace

Mistake parse_target(RequestHead& head) {
  std::string_view target = head.target;
  head.authority = head.query = {};
  head.path = target;
  if (target.empty() || !consists_of(target, kTarget)) return {"the request target contains a character that is not allowed"};
  if (head.method == Method::kConnect) {
    head.authority = target;
    return is_host(target) ? Mistake{} : Mistake{"the target of CONNECT is not an authority"};
  }
  if (target == "*") return head.method == Method::kOptions ? Mistake{} : Mistake{"the target * is for OPTIONS only"};
  if (target.front() != '/') {
    if (const Mistake mistake = cut_authority(target, head.authority)) return mistake;
  }
  const std::size_t query = target.find('?');
  head.path = target.substr(0, query);
  if (query != std::string_view::npos) head.query = target.substr(query);
  if (head.path.empty()) head.path = "/";
  return {};
}

bool is_host(std::string_view text) {
  const std::optional<HostPort> parts = split_host_port(text);
  if (!parts || !is_port_text(parts->port.value_or(std::string_view()))) return false;
  if (parts->bracketed()) return is_ipv6(parts->host);
  return !parts->host.empty() && consists_of(parts->host, kHostName);
}

}  // namespace router::http
