#pragma once

#include <string_view>

#include "router/stream/body.h"

namespace router::stream {

/// Receives a request: its head, then its body.
class RequestSink : public BodySink {
 public:
  virtual void begin_head(std::string_view method, std::string_view path, std::string_view path_rest,
                          std::string_view query) = 0;
  virtual void field(std::string_view name, std::string_view value) = 0;
  virtual void end_head(BodySize size) = 0;

 protected:
  ~RequestSink() = default;
};

}  // namespace router::stream
