#include "router/proxy/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "router/base/assert.h"
#include "router/runtime/wakeup.h"

namespace router::proxy {
namespace {

constexpr std::size_t kLineMax = 107;        // version 1, with its CRLF
constexpr std::size_t kLookedAt = kLineMax;  // of version 2 only the first 52 bytes are used
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

Failure malformed() {
  return Failure::downstream(Reason::kBadRequest, "the connection does not begin with a PROXY protocol header");
}

Failure too_late() { return Failure::downstream(Reason::kClientTimeout, "the PROXY protocol header did not arrive in time"); }

/// Takes the next word, up to a single space or the end. False if the word is empty.
bool next_word(std::string_view& line, std::string_view& word) {
  const std::size_t space = line.find(' ');
  word = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return !word.empty();
}

/// A decimal number without leading zeros, 0 to 65535.
bool parse_port(std::string_view text, std::uint16_t& into) {
  if (text.starts_with('0') && text.size() > 1) return false;
  const std::from_chars_result parsed = std::from_chars(text.data(), text.data() + text.size(), into);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

std::optional<runtime::Address> parse_address(std::string_view text, std::uint16_t port, int family) {
  if (text.starts_with('[')) return std::nullopt;
  const std::optional<runtime::Address> address = runtime::Address::parse(text, port);
  return address && address->family() == family ? address : std::nullopt;
}

/// Parses `SOURCE DESTINATION PORT PORT`: both addresses of that family, single spaces between the words, and nothing else.
std::optional<runtime::Address> parse_addresses(std::string_view line, int family) {
  std::array<std::string_view, 4> words;
  if (line.ends_with(' ')) return std::nullopt;
  for (std::string_view& word : words) {
    if (!next_word(line, word)) return std::nullopt;
  }
  if (!line.empty()) return std::nullopt;
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
  if (!parse_port(words[2], source) || !parse_port(words[3], destination)) return std::nullopt;
  if (!parse_address(words[1], destination, family)) return std::nullopt;
  return parse_address(words[0], source, family);
}

Result<ProxyHeader> parse_version1(std::string_view input) {
  constexpr std::string_view kTcp4Line = "PROXY TCP4 ";
  constexpr std::string_view kTcp6Line = "PROXY TCP6 ";
  constexpr std::string_view kUnknownLine = "PROXY UNKNOWN";
  const std::size_t end = input.find("\r\n");
  if (end == std::string_view::npos) {
    if (input.size() >= kLineMax) return malformed();
    return ProxyHeader{};
  }
  if (end + 2 > kLineMax) return malformed();
  const std::string_view line = input.substr(0, end);
  ProxyHeader header{end + 2, std::nullopt};
  if (line == kUnknownLine || line.starts_with("PROXY UNKNOWN ")) return header;  // the rest of the line is ignored
  const bool is_v4 = line.starts_with(kTcp4Line);
  if (!is_v4 && !line.starts_with(kTcp6Line)) return malformed();
  header.client = parse_addresses(line.substr(kTcp4Line.size()), is_v4 ? AF_INET : AF_INET6);
  if (!header.client) return malformed();
  return header;
}

constexpr unsigned char kTcp4 = 0x11;
constexpr unsigned char kTcp6 = 0x21;

/// The size of the addresses of a family and protocol in version 2; nothing if the specification has no such pair.
std::optional<std::size_t> address_bytes(unsigned char family) {
  switch (family) {
    case 0x00: return 0;  // unspecified
    case kTcp4:
    case 0x12: return 12;  // UDP over IPv4
    case kTcp6:
    case 0x22: return 36;  // UDP over IPv6
    case 0x31:
    case 0x32: return 216;  // Unix sockets
    default: return std::nullopt;
  }
}

Result<ProxyHeader> parse_version2(std::string_view input) {
  constexpr std::size_t kFixed = 16;
  if (input.size() < kFixed) return ProxyHeader{};
  const auto byte = [&input](std::size_t index) { return static_cast<unsigned char>(input[index]); };
  const std::size_t length = static_cast<std::size_t>(byte(14)) << 8 | byte(15);
  if (byte(12) >> 4 != 2 || (byte(12) & 15) > 1) return malformed();
  ProxyHeader header{kFixed + length, std::nullopt};
  header.local = (byte(12) & 15) == 0;  // a health check of the proxy itself
  // "must [...] discard the protocol block including the family which is ignored": so the start of the values is not known.
  if (header.local) return header;
  const std::optional<std::size_t> needed = address_bytes(byte(13));
  ROUTER_PLANT(byte(13) == 0x21 && length == 35);
  if (!needed || length < *needed) return malformed();
  header.values = length - *needed;
  if (byte(13) != kTcp4 && byte(13) != kTcp6) return header;  // no IP address of a client over TCP
  if (input.size() < kFixed + *needed) return ProxyHeader{};
  const char* addresses = input.data() + kFixed;
  if (byte(13) == kTcp4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, addresses, 4);
    std::memcpy(&v4.sin_port, addresses + 8, 2);
    header.client = runtime::Address::from(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, addresses, 16);
    std::memcpy(&v6.sin6_port, addresses + 32, 2);
    header.client = runtime::Address::from(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  }
  return header;
}

/// Makes the socket readable only after more than the bytes that were peeked at: bytes left in the socket would wake the
/// coroutine again and again.
void wake_after(const runtime::Socket& socket, std::size_t bytes) {
  const int low_water = static_cast<int>(bytes);
  ::setsockopt(socket.descriptor(), SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof low_water);
}

/// Reads the header from the socket in pieces and drops it. A header of version 2 may have 64 KB of values, which are not used
/// but must be well-formed.
Task<Result<void>> take(runtime::Socket& socket, const ProxyHeader& header, runtime::Wakeup& wakeup, Deadline deadline,
                        const Deadline& closing) {
  ProxyValues values;
  std::size_t bytes = header.bytes;
  while (bytes > 0) {
    const std::span<char> scratch = wakeup.shard().scratch();
    const runtime::IoResult got = socket.read(scratch.first(std::min(bytes, scratch.size())));
    if (got.moved()) {
      const std::size_t before = bytes > header.values ? std::min(bytes - header.values, got.bytes) : 0;
      values.take({scratch.data() + before, got.bytes - before});
      bytes -= got.bytes;
      continue;
    }
    if (got.state != runtime::IoState::kBlocked) co_return malformed();
    socket.arm_read();
    const bool woken = co_await wakeup.wait(std::min(deadline, closing));
    if (!woken) co_return too_late();
  }
  if (!values.complete()) co_return malformed();
  co_return boost::system::in_place_value;
}

}  // namespace

void ProxyValues::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t skipped = std::min(left_, bytes.size());
    left_ -= skipped;
    bytes.remove_prefix(skipped);
    if (bytes.empty()) return;
    if (head_bytes_ > 0) length_ = length_ << 8 | static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (++head_bytes_ < kHead) continue;
    left_ = length_;
    head_bytes_ = length_ = 0;
  }
}

Result<ProxyHeader> parse_proxy_header(std::string_view input) {
  constexpr std::string_view kWord = "PROXY ";
  if (input.substr(0, kWord.size()) == kWord.substr(0, input.size())) {
    return input.size() < kWord.size() ? Result<ProxyHeader>(ProxyHeader{}) : parse_version1(input);
  }
  if (input.substr(0, kSignature.size()) == kSignature.substr(0, input.size())) return parse_version2(input);
  return malformed();
}

Task<Result<ProxyHeader>> read_proxy_header(runtime::Socket& socket, runtime::Wakeup& wakeup, Deadline deadline,
                                            const Deadline& closing) {
  std::array<char, kLookedAt> bytes;
  bool ended = false;  // the peer has closed its side; the bytes are parsed once more
  for (std::size_t seen = 0;;) {
    // Peek first and read when the header is complete: the bytes behind it belong to TLS or HTTP.
    const runtime::IoResult got = socket.peek(bytes);
    if (!got.moved() && got.state != runtime::IoState::kBlocked) co_return malformed();
    const std::size_t arrived = got.bytes;
    if (arrived > seen) {
      seen = arrived;
      const Result<ProxyHeader> header = parse_proxy_header({bytes.data(), arrived});
      if (!header) co_return header.error();
      if (header->bytes > 0) {
        wake_after(socket, 1);
        const Result<void> taken = co_await take(socket, *header, wakeup, deadline, closing);
        if (!taken) co_return taken.error();
        co_return header;
      }
    } else if (ended) {
      co_return malformed();
    } else if (seen > 0 && socket.peer_has_ended()) {
      // The end of the stream would wake the coroutine again and again. It may have arrived with the last bytes: look once
      // more.
      ended = true;
      continue;
    }
    wake_after(socket, seen + 1);
    socket.arm_read();
    const bool woken = co_await wakeup.wait(std::min(deadline, closing));
    if (!woken) co_return too_late();
  }
}

}  // namespace router::proxy
