#pragma once

#include <string>
#include <vector>

#include "tls/owned.h"

namespace router::tls {

/// What every context of ours has in common, servers' and clients': versions 1.2 and 1.3, Mozilla's "intermediate" ciphers and
/// groups (guidelines 5.7), no compression, no renegotiation, no cache of sessions, and how Session reads and writes.
void apply_settings(SSL_CTX* context);

/// The protocol list as ALPN writes it (RFC 7301, section 3.1): each name behind its length. Names of 1 to 255 bytes.
std::string alpn_list(const std::vector<std::string>& protocols);

}  // namespace router::tls
