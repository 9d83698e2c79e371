#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace router::config {

/// Whether `text` is an IPv4 or IPv6 address (without brackets, without zone).
bool is_ip_address(const std::string& text);
/// An address, or an address and the length of its network: 10.0.0.0/8.
bool is_network(const std::string& text);
/// A host name of DNS without a dot at the end (RFC 1123, section 2.1; `_` is let pass, as Kubernetes and Docker have it).
bool is_host_name(std::string_view text);

/// A name of a namespace, a Service or a port as Kubernetes has it: lower-case letters, digits and dashes, a dash neither first
/// nor last, at most 63 (RFC 1123).
bool is_dns_label(std::string_view text);
/// A name of any other object: such labels with dots between them, at most 253.
bool is_dns_subdomain(std::string_view text);

struct HostAndPort {
  std::string host;                   // a name, or an address without brackets
  std::optional<std::uint16_t> port;  // 0 to 65535
};
/// `host`, `host:port`, `[v6]` or `[v6]:port`; nothing if it is none of these.
std::optional<HostAndPort> parse_host_and_port(std::string_view text);

/// Whether only this machine reaches `host`: 127.0.0.0/8, ::1, localhost. A name that merely begins like one does not count.
bool is_loopback(const std::string& host);

}  // namespace router::config
