#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "router/base/result.h"
#include "router/base/task.h"
#include "router/runtime/address.h"
#include "router/runtime/socket.h"

namespace router::proxy {

/// A PROXY protocol header (HAProxy's proxy-protocol.txt, versions 1 and 2) at the start of some bytes.
struct ProxyHeader {
  std::size_t bytes = 0;                   // its length, as it announces it; of version 2 a part may still be to come
  std::optional<runtime::Address> client;  // nothing: not told
  std::size_t values = 0;                  // how many of them, at the end, are type-length-values (version 2, 2.2); LOCAL: none
  bool local = false;                      // LOCAL: the proxy speaks for itself. Else, without `client`, for somebody unknown
};

/// Follows the type-length-values of a header as they pass. What they say is nobody's business here; but if they do not fit
/// into the header, somebody else reads its end, and the begin of what follows, elsewhere.
class ProxyValues {
 public:
  void take(std::string_view bytes);
  bool complete() const { return head_bytes_ == 0 && left_ == 0; }

 private:
  static constexpr std::size_t kHead = 3;  // type, and length in two bytes
  std::size_t head_bytes_ = 0;             // of the next value, so far
  std::size_t length_ = 0;
  std::size_t left_ = 0;  // of this value
};

/// bytes == 0: more input is needed. Fails with bad_request if this is no PROXY header; at most 107 bytes are looked at.
Result<ProxyHeader> parse_proxy_header(std::string_view input);

/// Reads the header off a new connection, and not a byte more, until `deadline`, or until `closing`, which may come nearer
/// meanwhile (whoever moves it wakes). What it says beyond the addresses (up to 64 KB) is dropped unread, but must be
/// well-formed. Suspends.
Task<Result<ProxyHeader>> read_proxy_header(runtime::Socket& socket, runtime::Wakeup& wakeup, Deadline deadline,
                                            const Deadline& closing);

}  // namespace router::proxy
