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

/// A PROXY protocol header (HAProxy's proxy-protocol.txt, versions 1 and 2) at the beginning of a connection.
struct ProxyHeader {
  std::size_t bytes = 0;                   // the header's announced length; of version 2 a part may not have arrived
  std::optional<runtime::Address> client;  // nothing: the header has no address
  std::size_t values = 0;                  // bytes of type-length-values at its end (version 2, 2.2); LOCAL: 0
  bool local = false;                      // LOCAL: the proxy's own connection. False without `client`: unknown
};

/// Checks the type-length-values of a header as they pass. Their contents are not used. But if they do not fit into the header,
/// another parser might find the end of the header elsewhere.
class ProxyValues {
 public:
  void take(std::string_view bytes);
  bool complete() const { return head_bytes_ == 0 && left_ == 0; }

 private:
  static constexpr std::size_t kHead = 3;  // type, and length in two bytes
  std::size_t head_bytes_ = 0;             // bytes of the next value's head so far
  std::size_t length_ = 0;
  std::size_t left_ = 0;  // bytes left of this value
};

/// Parses the header at the beginning of `input`. bytes == 0: more input is needed. Fails with bad_request if this is no PROXY
/// header. Reads at most 107 bytes.
Result<ProxyHeader> parse_proxy_header(std::string_view input);

/// Reads the header from a new connection, and no byte more. Waits until `deadline` or `closing`; the code that moves `closing`
/// nearer meanwhile must wake `wakeup`. The part after the addresses (up to 64 KB) is dropped, but must be well-formed.
/// Suspends.
Task<Result<ProxyHeader>> read_proxy_header(runtime::Socket& socket, runtime::Wakeup& wakeup, Deadline deadline,
                                            const Deadline& closing);

}  // namespace router::proxy
