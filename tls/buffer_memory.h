#pragma once

namespace router::tls {

/// From now on the memory of OpenSSL's two record buffers stays with the thread that gives it back. A connection has them only
/// while something waits in them (SSL_MODE_RELEASE_BUFFERS), so each request takes and gives back both; they are too large for
/// what the heap keeps at hand. At most 8 of each size are kept for each thread.
/// Once for the process, before anything else of OpenSSL; false: too late, and nothing has changed. Sanitizers see every
/// buffer.
bool keep_buffer_memory();

}  // namespace router::tls
