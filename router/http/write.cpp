#include "router/http/write.h"

namespace router::http {

ChunkHeader::ChunkHeader(std::uint64_t size) : begin_(sizeof text_ - kEmptyLine.size()) {
  text_[begin_] = '\r';
  text_[begin_ + 1] = '\n';
  do {
    text_[--begin_] = "0123456789abcdef"[size & 0xf];
    size >>= 4;
  } while (size > 0);
}

}  // namespace router::http
