#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/head.h"

/// Pieces of HTTP/1.1 messages as they are written. `Out` is anything with `append(std::string_view)`: a std::string, a buffer.
/// Nothing here allocates. Values come from a checked head or from us: nobody looks for line breaks in them again.
namespace router::http {

inline constexpr std::string_view kLastChunk = "0\r\n";  // the trailer section follows, or kEmptyLine alone
inline constexpr std::string_view kEmptyLine = "\r\n";   // ends a head, a chunk's data, a trailer section

/// The size line of one chunk, in a buffer of its own.
class ChunkHeader {
 public:
  explicit ChunkHeader(std::uint64_t size);
  std::string_view view() const { return {text_ + begin_, sizeof text_ - begin_}; }

 private:
  char text_[18];  // 16 digits, CRLF
  std::size_t begin_;
};

template <class Out>
void append_field(Out& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(std::string_view(": "));
  out.append(value);
  out.append(kEmptyLine);
}

/// A chunk of `size` bytes (> 0: a chunk of none would end the body) begins; its data and kEmptyLine follow.
template <class Out>
void append_chunk_header(Out& out, std::uint64_t size) {
  out.append(ChunkHeader(size).view());
}

/// The hop from the peer to us, as the forwarded fields tell of it.
struct ForwardedHop {
  std::string_view peer;    // IP address of who sent the request, as text without brackets
  std::string_view scheme;  // `http` or `https`: how it came to us
  std::string_view host;    // authority of the request; empty: left out
  bool trusted = false;     // the peer may speak of hops before it: `trusted_proxies`
};

namespace forwarded {

/// A node or host that Forwarded must put in quotes: one with a port or of IPv6 (RFC 7239, 6).
bool needs_quotes(std::string_view text);
bool is_ipv6(std::string_view peer);

/// Begins the list `name`: what a trusted peer said of the hops before it, in its order; nothing of an untrusted one.
template <class Out>
void begin_list(Out& out, const Fields& fields, Field id, std::string_view name, bool trusted) {
  out.append(name);
  out.append(std::string_view(": "));
  if (!trusted || !fields.has(id)) return;
  for (const FieldLine& line : fields) {
    if (line.id != id || line.value.empty()) continue;
    out.append(line.value);
    out.append(std::string_view(", "));
  }
}

template <class Out>
void append_element(Out& out, const ForwardedHop& hop) {
  const bool ipv6 = is_ipv6(hop.peer);
  out.append(std::string_view(ipv6 ? "for=\"[" : "for="));
  out.append(hop.peer);
  out.append(std::string_view(ipv6 ? "]\"" : ""));
  if (!hop.host.empty()) {
    const std::string_view quote = needs_quotes(hop.host) ? "\"" : "";
    out.append(std::string_view(";host="));
    out.append(quote);
    out.append(hop.host);
    out.append(quote);
  }
  out.append(std::string_view(";proto="));
  out.append(hop.scheme);
}

}  // namespace forwarded

/// X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239) for the next hop (contract, section 3). What `fields`, the
/// request's, say of them is replaced if the peer is not trusted, and appended to if it is. The caller leaves out the
/// originals.
template <class Out>
void append_forwarded(Out& out, const Fields& fields, const ForwardedHop& hop) {
  forwarded::begin_list(out, fields, Field::kXForwardedFor, "X-Forwarded-For", hop.trusted);
  out.append(hop.peer);
  out.append(kEmptyLine);
  forwarded::begin_list(out, fields, Field::kXForwardedProto, "X-Forwarded-Proto", hop.trusted);
  out.append(hop.scheme);
  out.append(kEmptyLine);
  if (!hop.host.empty()) {
    forwarded::begin_list(out, fields, Field::kXForwardedHost, "X-Forwarded-Host", hop.trusted);
    out.append(hop.host);
    out.append(kEmptyLine);
  }
  forwarded::begin_list(out, fields, Field::kForwarded, "Forwarded", hop.trusted);
  forwarded::append_element(out, hop);
  out.append(kEmptyLine);
}

}  // namespace router::http
