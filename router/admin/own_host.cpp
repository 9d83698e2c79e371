#include "router/admin/own_host.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include <optional>

#include "router/base/host_port.h"
#include "router/base/text.h"

namespace router::admin {
namespace {

/// The host of `host:port`, `[v6]:port` or either without its port; nothing if it is neither.
std::optional<std::string_view> without_port(std::string_view text) {
  const std::optional<HostPort> parts = split_host_port(text);
  if (!parts || !is_port_text(parts->port.value_or(""))) return std::nullopt;
  return parts->host;
}

struct Literal {
  std::string text;  // as the kernel writes it
  bool loopback = false;
  bool every = false;  // the address that stands for all of them
};

std::optional<Literal> literal_of(const std::string& host) {
  char text[INET6_ADDRSTRLEN];
  if (in_addr v4{}; ::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    ::inet_ntop(AF_INET, &v4, text, sizeof text);
    return Literal{text, (ntohl(v4.s_addr) >> 24) == IN_LOOPBACKNET, v4.s_addr == INADDR_ANY};
  }
  if (in6_addr v6{}; ::inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      ::inet_ntop(AF_INET, v6.s6_addr + 12, text, sizeof text);
      return literal_of(text);
    }
    ::inet_ntop(AF_INET6, &v6, text, sizeof text);
    return Literal{text, IN6_IS_ADDR_LOOPBACK(&v6) != 0, IN6_IS_ADDR_UNSPECIFIED(&v6) != 0};
  }
  return std::nullopt;
}

}  // namespace

OwnHost::OwnHost(std::string_view address) {
  if (address.starts_with("unix:")) return;
  const std::optional<HostPort> parts = split_host_port(address);
  configured_ = lower_case(parts ? parts->host : address);
  if (const std::optional<Literal> literal = literal_of(configured_)) {
    configured_ = literal->text;
    every_address_ = literal->every;
  }
}

bool OwnHost::is(std::string_view host) const {
  if (configured_.empty()) return true;
  const std::optional<std::string_view> bare = without_port(host);
  if (!bare || bare->empty()) return false;
  std::string name = lower_case(*bare);
  if (const std::optional<Literal> literal = literal_of(name)) {
    return literal->loopback || every_address_ || literal->text == configured_;
  }
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  return name == "localhost" || name == configured_;
}

bool is_own_origin(std::string_view origin, std::string_view host) {
  constexpr std::string_view kScheme = "http://";
  if (host.empty() || origin.size() != kScheme.size() + host.size()) return false;
  return lower_case(origin) == absl::StrCat("http://", lower_case(host));
}

}  // namespace router::admin
