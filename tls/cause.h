#pragma once

#include <openssl/ssl.h>

namespace router::tls {

/// Why the last call on `ssl` failed, for the log: a literal of ours, nothing that the peer sent. Looks at this thread's queue
/// of errors. `shaken`: the handshake was complete.
const char* cause_of_failure(const SSL* ssl, bool shaken);

}  // namespace router::tls
