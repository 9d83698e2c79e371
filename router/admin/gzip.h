#pragma once

#include <zlib.h>

#include <string>
#include <string_view>

namespace router::admin {

/// Whether `Accept-Encoding` (RFC 9110, section 12.5.3; several fields joined by commas) names gzip with a weight above 0.
bool accepts_gzip(std::string_view accept_encoding);

/// Compresses one answer, piece by piece. Holds 270 KB. Level 1 shrinks metrics to a twentieth, in 2 ms per megabyte.
class Gzip {
 public:
  /// Throws std::bad_alloc.
  Gzip();
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip();

  /// Appends to `out` the compressed bytes that are complete; with `last`, all of them. Throws std::bad_alloc.
  void add(std::string_view text, bool last, std::string& out);

 private:
  z_stream stream_{};
};

}  // namespace router::admin
