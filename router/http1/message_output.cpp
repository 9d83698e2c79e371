#include "router/http1/message_output.h"

#include <charconv>

#include "router/base/assert.h"

namespace router::http1 {

void MessageOutput::begin_request(std::string_view method, std::string_view path, std::string_view path_rest,
                                  std::string_view query) {
  queue_.append_all({method, " ", path, path_rest, query, " HTTP/1.1\r\n"});
}

void MessageOutput::begin_response(int status, std::string_view reason_phrase, int minor_version) {
  char digits[8];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, status);
  const std::string_view code(digits, static_cast<std::size_t>(end.ptr - digits));
  queue_.append_all({minor_version == 0 ? "HTTP/1.0 " : "HTTP/1.1 ", code, " ", reason_phrase, "\r\n"});
}

void MessageOutput::field(std::string_view name, std::string_view value) { queue_.append_field(name, value); }

void MessageOutput::end_head(const http::Framing& framing) {
  kind_ = framing.kind;
  ended_ = framing.kind == http::Framing::Kind::kNone;
  body_bytes_ = 0;
  if (framing.kind == http::Framing::Kind::kLength) {
    char digits[24];
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, framing.length);
    field("Content-Length", std::string_view(digits, static_cast<std::size_t>(end.ptr - digits)));
  } else if (framing.kind == http::Framing::Kind::kChunked) {
    field("Transfer-Encoding", "chunked");
  }
  queue_.append("\r\n");
}

void MessageOutput::interim(int status, std::string_view reason_phrase) { begin_response(status, reason_phrase, 1); }
void MessageOutput::end_interim() { queue_.append("\r\n"); }

void MessageOutput::body_piece(std::string_view bytes) {
  if (bytes.empty()) return;
  body_bytes_ += bytes.size();
  if (kind_ != http::Framing::Kind::kChunked) return queue_.append_view(bytes);
  char size_line[24];
  const std::to_chars_result end = std::to_chars(size_line, size_line + 16, bytes.size(), 16);
  end.ptr[0] = '\r';
  end.ptr[1] = '\n';
  queue_.append(std::string_view(size_line, static_cast<std::size_t>(end.ptr + 2 - size_line)));
  queue_.append_view(bytes);
  queue_.append("\r\n");
}

void MessageOutput::body_end(const http::Fields* trailers) {
  ended_ = true;
  if (kind_ != http::Framing::Kind::kChunked) return;
  ROUTER_PLANT(trailers != nullptr && body_bytes_ == 0);
  queue_.append("0\r\n");
  if (trailers != nullptr) {
    for (const http::FieldLine& line : *trailers) field(line.name, line.value);
  }
  queue_.append("\r\n");
}

}  // namespace router::http1
