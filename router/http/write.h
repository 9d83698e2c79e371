#pragma once

#include <cstdint>
#include <string_view>

#include "router/http/head.h"

/// Pieces of HTTP/1.1 messages as they are written. `Out` is anything with `append(std::string_view)`: a std::string, a buffer.
/// Nothing here allocates. Values come from a checked head or from us: nobody looks for line breaks in them again.
namespace router::http {

inline constexpr std::string_view kLastChunk = "0\r\n";  // the trailer section follows, or kEmptyLine alone
inline constexpr std::string_view kEmptyLine = "\r\n";   // ends a head, a chunk's data, a trailer section

/// The size line of one chunk, in a buffer of its own.
class ChunkHeader {
 public:
  explicit ChunkHeader(std::uint64_t size);
  std::string_view view() const { return {text_ + begin_, sizeof text_ - begin_}; }

 private:
  char text_[18];  // 16 digits, CRLF
  std::size_t begin_;
};

template <class Out>
void append_field(Out& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(std::string_view(": "));
  out.append(value);
  out.append(kEmptyLine);
}

/// A chunk of `size` bytes (> 0: a chunk of none would end the body) begins; its data and kEmptyLine follow.
template <class Out>
void append_chunk_header(Out& out, std::uint64_t size) {
  out.append(ChunkHeader(size).view());
}

}  // namespace router::http
