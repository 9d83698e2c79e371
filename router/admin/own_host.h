#pragma once

#include <string>
#include <string_view>

namespace router::admin {

/// What a request may call the `admin` listener in `Host`. A web page whose own name is made to lead here (DNS rebinding)
/// reaches the listener from the operator's browser, and the browser takes both for one origin; but it cannot choose what
/// `Host` says.
///
/// A TCP listener answers to `localhost`, any loopback address, and the host of its configured address; one that listens on
/// every address (`0.0.0.0`, `::`) to any IP address, too, since rebinding needs a name. Ports are not compared: `kubectl
/// port-forward` has its own. Nobody comes to a Unix socket through a browser: it answers to anything.
class OwnHost {
 public:
  /// `address` is that of the listener: `host:port`, `[v6]:port` or `unix:/path`.
  explicit OwnHost(std::string_view address);

  /// `host` is the whole value of the field, with its port or without.
  bool is(std::string_view host) const;

 private:
  std::string configured_;  // in lower case; an IP address as the kernel writes it; empty: a Unix socket
  bool every_address_ = false;
};

/// Whether `origin` (RFC 6454, section 7) is a page that came from here: `http://` and what the request has in `Host`.
bool is_own_origin(std::string_view origin, std::string_view host);

}  // namespace router::admin
