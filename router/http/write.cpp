#include "router/http/write.h"

#include "router/http/characters.h"

namespace router::http {

ChunkHeader::ChunkHeader(std::uint64_t size) : begin_(sizeof text_ - kEmptyLine.size()) {
  text_[begin_] = '\r';
  text_[begin_ + 1] = '\n';
  do {
    text_[--begin_] = "0123456789abcdef"[size & 0xf];
    size >>= 4;
  } while (size > 0);
}

bool forwarded::needs_quotes(std::string_view text) { return !consists_of(text, kToken); }
bool forwarded::is_ipv6(std::string_view peer) { return peer.find(':') != std::string_view::npos; }

}  // namespace router::http
