#include "router/base/host_port.h"

#include <charconv>

namespace router {

std::optional<std::uint16_t> port_number(std::string_view digits) {
  std::uint16_t number = 0;
  const char* end = digits.data() + digits.size();
  const std::from_chars_result parsed = std::from_chars(digits.data(), end, number);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

std::string bracketed_host(std::string_view host) {
  std::string text(host);
  return host.find(':') == std::string_view::npos ? text : "[" + text + "]";
}

std::string join_host_port(std::string_view host, std::uint16_t port) {
  return bracketed_host(host).append(":").append(std::to_string(port));
}

}  // namespace router
