#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tls/owned.h"

namespace router::tls {

/// Bytes of OpenSSL's buffer for reading: four full records a system call. Held only while a record has arrived in part.
constexpr std::size_t kReadBuffer = 4 * (SSL3_RT_MAX_PLAIN_LENGTH + SSL3_RT_MAX_ENCRYPTED_OVERHEAD + SSL3_RT_HEADER_LENGTH);
/// And of its buffer for writing, at least: one full record. Held only while a record is made.
constexpr std::size_t kWriteBuffer = SSL3_RT_MAX_PLAIN_LENGTH;

/// What every context of ours has in common, servers' and clients': versions 1.2 and 1.3, Mozilla's "intermediate" ciphers and
/// groups (guidelines 5.7), no compression, no renegotiation, no cache of sessions, and how Session reads and writes.
void apply_settings(SSL_CTX* context);

/// The protocol list as ALPN writes it (RFC 7301, section 3.1): each name behind its length. Names of 1 to 255 bytes.
std::string alpn_list(const std::vector<std::string>& protocols);

}  // namespace router::tls
