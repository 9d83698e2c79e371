#pragma once

#include <string>
#include <string_view>

namespace router::admin {

/// The values of `Host` that the `admin` listener accepts. By DNS rebinding a web page can make its own name resolve to this
/// address. It then reaches the listener from the operator's browser, which takes both for one origin. But it cannot choose
/// what `Host` says.
///
/// A TCP listener accepts `localhost`, any loopback address and the host of its configured address. A listener on every
/// address (`0.0.0.0`, `::`) accepts any IP address, too, since rebinding needs a name. Ports are not compared, since `kubectl
/// port-forward` has its own. A browser cannot reach a Unix socket, so there any value is accepted.
class OwnHost {
 public:
  /// `address` is that of the listener: `host:port`, `[v6]:port` or `unix:/path`.
  explicit OwnHost(std::string_view address);

  /// `host` is the value of the field, with or without its port.
  bool is(std::string_view host) const;

 private:
  std::string configured_;  // in lower case; an IP address as the kernel writes it; empty: a Unix socket
  bool every_address_ = false;
};

/// Whether `origin` (RFC 6454, section 7) is this listener itself: `http://` and the request's `Host`.
bool is_own_origin(std::string_view origin, std::string_view host);

}  // namespace router::admin
