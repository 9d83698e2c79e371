#include "router/proxy/client_ip.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "router/base/host_port.h"

namespace router::proxy {
namespace {

using http::Field;
using http::FieldLine;
using runtime::Address;

constexpr int kHopsMax = 32;             // elements that are read: a client may send thousands
constexpr std::size_t kElementMax = 64;  // bytes of one element: an address has up to 45, plus port and brackets

/// Parses `10.1.2.3` or `fd00::1`, also with a port, as Azure's gateways write it: `10.1.2.3:4711`, `[fd00::1]:4711`.
std::optional<Address> parse_element(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  if (text.size() > kElementMax) return std::nullopt;
  if (text.starts_with('[') || std::count(text.begin(), text.end(), ':') == 1) {  // else it is an IPv6 address without a port
    const std::optional<HostPort> parts = split_host_port(text);
    if (!parts || (parts->port && parts->port->find(':') != std::string_view::npos)) return std::nullopt;
    text = parts->written;
  }
  std::optional<Address> address = Address::parse(text, 0);
  if (address) address = address->unmapped();
  return address;
}

/// Iterates over the elements of all X-Forwarded-For lines, from the last to the first.
class Backwards {
 public:
  explicit Backwards(const http::Fields& fields) : begin_(fields.begin()), line_(fields.end()) {}

  std::optional<std::string_view> next() {
    while (!more_) {
      if (line_ == begin_) return std::nullopt;
      --line_;
      more_ = line_->id == Field::kXForwardedFor;
      if (more_) list_ = line_->value;
    }
    const std::size_t comma = list_.rfind(',');
    more_ = comma != std::string_view::npos;
    const std::string_view element = more_ ? list_.substr(comma + 1) : list_;
    if (more_) list_ = list_.substr(0, comma);
    return element;
  }

 private:
  const FieldLine* const begin_;
  const FieldLine* line_;
  std::string_view list_;
  bool more_ = false;  // `list_` holds further elements
};

std::optional<Address> spoken_for(const http::Fields& fields, const Networks& trusted) {
  std::optional<Address> client;
  Backwards list(fields);
  for (int hops = 0; hops < kHopsMax; ++hops) {
    const std::optional<std::string_view> element = list.next();
    const std::optional<Address> address = element ? parse_element(*element) : std::nullopt;
    if (!address) break;
    client = address;
    if (!trusted.contains(*address)) break;
  }
  return client;
}

}  // namespace

std::string_view client_ip(const Downstream& from, const Networks& trusted, ClientIpText& room) {
  const Peer& peer = from.peer();
  if (!peer.trusted || !from.head().fields.has(Field::kXForwardedFor)) return peer.address;
  const std::optional<Address> client = spoken_for(from.head().fields, trusted);
  if (!client) return peer.address;
  const std::string text = client->ip();
  const auto end = std::copy(text.begin(), text.end(), room.begin());
  return {room.data(), static_cast<std::size_t>(end - room.begin())};
}

}  // namespace router::proxy
