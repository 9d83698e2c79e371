#include "router/base/host_port.h"

#include <algorithm>
#include <charconv>

namespace router {
namespace {

constexpr std::size_t kPortDigitsMax = 5;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<HostPort> split_host_port(std::string_view text) {
  HostPort parts;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    parts.host = text.substr(1, end - 1);
    parts.written = text.substr(0, end + 1);
  } else {
    parts.host = parts.written = text.substr(0, text.find(':'));
  }
  const std::string_view rest = text.substr(parts.written.size());
  if (rest.empty()) return parts;
  if (rest.front() != ':') return std::nullopt;
  parts.port = rest.substr(1);
  return parts;
}

std::optional<std::uint16_t> port_number(std::string_view digits) {
  std::uint16_t number = 0;
  const char* end = digits.data() + digits.size();
  const std::from_chars_result parsed = std::from_chars(digits.data(), end, number);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

bool is_port_text(std::string_view text) {
  return text.size() <= kPortDigitsMax && std::all_of(text.begin(), text.end(), is_digit);
}

std::string bracketed_host(std::string_view host) {
  std::string text(host);
  return host.find(':') == std::string_view::npos ? text : "[" + text + "]";
}

std::string join_host_port(std::string_view host, std::uint16_t port) {
  return bracketed_host(host).append(":").append(std::to_string(port));
}

}  // namespace router
