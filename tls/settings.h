#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tls/owned.h"

namespace router::tls {

/// The size of OpenSSL's buffer for reading, in bytes: four full records for one system call. Held only while a record has
/// arrived in part.
constexpr std::size_t kReadBuffer = 4 * (SSL3_RT_MAX_PLAIN_LENGTH + SSL3_RT_MAX_ENCRYPTED_OVERHEAD + SSL3_RT_HEADER_LENGTH);
/// The minimum size of its buffer for writing: one full record. Held only while a record is made.
constexpr std::size_t kWriteBuffer = SSL3_RT_MAX_PLAIN_LENGTH;

/// Applies the settings that all our contexts share, servers' and clients': versions 1.2 and 1.3, Mozilla's "intermediate"
/// ciphers (without DHE) and groups (guidelines 5.7), no compression, no renegotiation, no session cache, and the modes that
/// Session needs.
void apply_settings(SSL_CTX* context);

/// The protocol list in ALPN's format (RFC 7301, section 3.1): each name after its length. Names of 1 to 255 bytes.
std::string alpn_list(const std::vector<std::string>& protocols);

}  // namespace router::tls
