#pragma once

#include <openssl/ssl.h>

namespace router::tls {

/// Why the last call on `ssl` failed, for the log: a literal, without anything that the peer sent. Reads OpenSSL's error queue
/// of this thread. `shaken`: the handshake was complete.
const char* cause_of_failure(const SSL* ssl, bool shaken);

}  // namespace router::tls
