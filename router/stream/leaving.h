#pragma once

namespace router::stream {

/// How an exchange leaves a connection.
enum class Leaving {
  kReusable,  // another exchange may use it
  kClose,     // it carries no further exchange: what was sent arrives, then it is closed in order
  kReset,     // it is dropped at once
};

}  // namespace router::stream
