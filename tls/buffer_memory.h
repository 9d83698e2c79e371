#pragma once

namespace router::tls {

/// From now on each thread keeps the memory of OpenSSL's two record buffers that are freed on it. A connection has these
/// buffers only while they contain data (SSL_MODE_RELEASE_BUFFERS), so each request allocates and frees both, and they are too
/// large for the blocks that the heap caches. At most 8 of each size are kept for each thread.
/// Called once in the process, before anything else of OpenSSL. False: too late, and nothing has changed. Sanitizer builds keep
/// nothing, so that each buffer is checked.
bool keep_buffer_memory();

}  // namespace router::tls
