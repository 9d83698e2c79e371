#pragma once

#include <stdexcept>
#include <string>

#include "router/http/framing.h"
#include "router/http/head.h"

namespace router::test {

/// A parsed request head that owns its bytes.
class Request {
 public:
  explicit Request(std::string bytes) : bytes_(std::move(bytes)) {
    if (const Result<void> parsed = http::parse_request(bytes_, head_); !parsed) throw std::runtime_error(parsed.error().cause);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  const http::RequestHead& head() const { return head_; }

 private:
  std::string bytes_;
  http::RequestHead head_;
};

inline std::string request_text(const std::string& method, const std::string& target, const std::string& fields = "") {
  return method + " " + target + " HTTP/1.1\r\nHost: router.example\r\n" + fields + "\r\n";
}

}  // namespace router::test
