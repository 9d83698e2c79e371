#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace router::tls {

/// Why the last call on `ssl` failed, for the log: a literal, without anything that the peer sent. Reads OpenSSL's error queue
/// of this thread. `shaken`: the handshake was complete.
const char* cause_of_failure(const SSL* ssl, bool shaken);

/// Empties the thread's queue of OpenSSL's errors, which SSL_get_error reads: it must be empty before each call of OpenSSL. To
/// look whether it is costs a tenth of clearing its 16 places, and it nearly always is.
inline void forget_errors() noexcept {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

}  // namespace router::tls
