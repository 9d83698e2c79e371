#include "config/addresses.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "config/reader.h"
#include "router/base/host_port.h"

namespace router::config {
namespace {

template <class Number>
std::optional<Number> parse_number(std::string_view digits) {
  Number number = 0;
  const char* end = digits.data() + digits.size();
  const std::from_chars_result parsed = std::from_chars(digits.data(), end, number);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

bool is_label(std::string_view label) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), is_allowed);
}

}  // namespace

bool is_ip_address(const std::string& text) {
  if (text.find('\0') != std::string::npos) return false;  // inet_pton would stop at a zero byte
  in6_addr address{};
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1 || ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_network(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (!is_ip_address(text.substr(0, slash))) return false;
  if (slash == std::string::npos) return true;
  const std::optional<unsigned> bits = parse_number<unsigned>(std::string_view(text).substr(slash + 1));
  return bits && *bits <= (text.find(':') == std::string::npos ? 32u : 128u);
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  // A text whose last label is a number must be an address: 10.0.0.256 is not a name.
  const std::size_t last = text.rfind('.') + 1;
  if (parse_number<std::uint64_t>(text.substr(last))) return is_ip_address(std::string(text));
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!is_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_dns_label(std::string_view text) {
  const auto is_allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return is_label(text) && std::all_of(text.begin(), text.end(), is_allowed);
}

bool is_dns_subdomain(std::string_view text) {
  if (text.size() > 253) return false;
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!is_dns_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::optional<HostAndPort> parse_host_and_port(std::string_view text) {
  const std::optional<HostPort> parts = split_host_port(text);
  if (!parts) return std::nullopt;
  HostAndPort parsed{std::string(parts->host), std::nullopt};
  const bool is_v6 = parsed.host.find(':') != std::string::npos && is_ip_address(parsed.host);
  if (!(parts->bracketed() ? is_v6 : is_host_name(parsed.host))) return std::nullopt;
  if (!parts->port) return parsed;
  parsed.port = port_number(*parts->port);
  if (!parsed.port) return std::nullopt;
  return parsed;
}

bool is_loopback(const std::string& host) {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return lower_case(host) == "localhost";
}

}  // namespace router::config
