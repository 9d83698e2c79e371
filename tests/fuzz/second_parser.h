#pragma once

#include <http_parser.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/support.h"

/// HTTP/1.1 as another program reads it: Node.js's former parser (Debian's libhttp-parser). Debian builds it in its lax mode
/// (bare line feeds, blanks in names), so it accepts more than most servers: it shows which bytes another server might misread.
namespace router::fuzz {

using FieldList = std::vector<std::pair<std::string, std::string>>;  // name in lower case, value without blanks around it

struct Message {
  std::string method;  // of a request
  std::string target;
  int status = 0;  // of a response
  FieldList fields;
  std::string body;
  FieldList trailers;
};

/// The messages in a sequence of bytes, up to the first mistake or to a message after which the connection ends.
struct Reading {
  std::vector<Message> messages;  // complete ones
  std::size_t used = 0;           // bytes, up to the end of the last complete message
  bool failed = false;            // bytes follow that are not HTTP
};

inline std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

class SecondParser {
 public:
  /// `bodiless`: the responses answer HEAD requests. `ended`: the connection ends after `bytes`.
  static Reading requests(std::string_view bytes) { return SecondParser(HTTP_REQUEST, false).read(bytes, false); }
  static Reading responses(std::string_view bytes, bool bodiless, bool ended) {
    return SecondParser(HTTP_RESPONSE, bodiless).read(bytes, ended);
  }
  /// The parser has a list of methods; HTTP has none.
  static bool knows_method(std::string_view method) {
    for (int number = HTTP_DELETE; number <= HTTP_SOURCE; ++number) {
      if (method == http_method_str(static_cast<http_method>(number))) return true;
    }
    return false;
  }

 private:
  SecondParser(http_parser_type type, bool bodiless) : bodiless_(bodiless) {
    http_parser_init(&parser_, type);
    parser_.data = this;
    http_parser_settings_init(&settings_);
    settings_.on_message_begin = [](http_parser* p) { return self(p).begin(); };
    settings_.on_url = [](http_parser* p, const char* at, std::size_t size) {
      self(p).message_.target.append(at, size);
      return 0;
    };
    settings_.on_header_field = [](http_parser* p, const char* at, std::size_t size) { return self(p).name({at, size}); };
    settings_.on_header_value = [](http_parser* p, const char* at, std::size_t size) { return self(p).value({at, size}); };
    settings_.on_headers_complete = [](http_parser* p) { return self(p).end_head(); };
    settings_.on_body = [](http_parser* p, const char* at, std::size_t size) {
      self(p).message_.body.append(at, size);
      return 0;
    };
    settings_.on_message_complete = [](http_parser* p) { return self(p).end(); };
  }
  SecondParser(const SecondParser&) = delete;
  SecondParser& operator=(const SecondParser&) = delete;
  ~SecondParser() = default;

  static SecondParser& self(http_parser* parser) { return *static_cast<SecondParser*>(parser->data); }

  Reading read(std::string_view bytes, bool ended) {
    std::size_t at = 0;
    while (at < bytes.size() && !over_) {
      at += http_parser_execute(&parser_, &settings_, bytes.data() + at, bytes.size() - at);
      if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK && HTTP_PARSER_ERRNO(&parser_) != HPE_PAUSED) {
        reading_.failed = true;
        return std::move(reading_);
      }
      if (complete_) {
        reading_.used = at;
        complete_ = false;
        http_parser_pause(&parser_, 0);
      }
      if (parser_.upgrade != 0) return std::move(reading_);  // the parser expects another protocol from here on
    }
    if (!over_ && ended) {
      http_parser_execute(&parser_, &settings_, "", 0);
      if (complete_) reading_.used = bytes.size();
      reading_.failed = HTTP_PARSER_ERRNO(&parser_) != HPE_OK && HTTP_PARSER_ERRNO(&parser_) != HPE_PAUSED;
    }
    return std::move(reading_);
  }

  int begin() {
    message_ = {};
    in_trailers_ = in_value_ = false;
    return 0;
  }
  FieldList& list() { return in_trailers_ ? message_.trailers : message_.fields; }
  /// Names and values may arrive in pieces.
  int name(std::string_view piece) {
    if (list().empty() || in_value_) list().emplace_back();
    in_value_ = false;
    list().back().first.append(piece);
    return 0;
  }
  int value(std::string_view piece) {
    if (list().empty()) list().emplace_back();
    in_value_ = true;
    list().back().second.append(piece);
    return 0;
  }
  /// The parser must learn from its user which responses have no body, whatever their fields say (RFC 9112, 6.3).
  int end_head() {
    in_trailers_ = true;
    in_value_ = false;
    const unsigned status = parser_.status_code;
    return parser_.type == HTTP_RESPONSE && (bodiless_ || status < 200 || status == 204 || status == 304) ? 1 : 0;
  }
  int end() {
    if (parser_.type == HTTP_REQUEST) message_.method = http_method_str(static_cast<http_method>(parser_.method));
    if (parser_.type == HTTP_RESPONSE) message_.status = static_cast<int>(parser_.status_code);
    for (FieldList* each : {&message_.fields, &message_.trailers}) {
      for (auto& [name, value] : *each) {
        name = lower_case(std::move(name));
        name.erase(name.find_last_not_of(" \t") +
                   1);  // blanks that the parser leaves, and that a proxy removes (RFC 9112, 5.1)
        value.erase(value.find_last_not_of(" \t") + 1);
      }
    }
    over_ = http_should_keep_alive(&parser_) == 0;
    reading_.messages.push_back(std::move(message_));
    message_ = {};
    complete_ = true;
    http_parser_pause(&parser_, 1);
    return 0;
  }

  http_parser parser_{};
  http_parser_settings settings_{};
  const bool bodiless_;
  bool in_trailers_ = false;
  bool in_value_ = false;
  bool complete_ = false;
  bool over_ = false;  // the connection ends after this message
  Message message_;
  Reading reading_;
};

}  // namespace router::fuzz
