#pragma once

#include <absl/status/status.h>

#include <boost/system/result.hpp>
#include <cstdint>
#include <string>

namespace router::client {

/// What an exchange was doing when it failed, in this order.
enum class Stage : std::uint8_t { kLookUp, kOpen, kConnect, kHandshake, kRequest, kHead, kBody };

enum class ErrorKind : std::uint8_t {
  kFailed,       // refused, broken off; `cause` or `detail` says more, `system_error` perhaps
  kTimedOut,     // the deadline has passed
  kCancelled,    // it is not wanted any more
  kInvalid,      // the server does not speak HTTP/1.1
  kInterimOnly,  // more interim answers than are waited for
  kTooLarge,     // the head, or the body
};

/// Why an exchange as a client has failed. Nothing in it is secret; `cause` is a literal, `detail` may name what was looked up.
struct Error {
  Stage stage = Stage::kOpen;
  ErrorKind kind = ErrorKind::kFailed;
  const char* cause = "";
  int system_error = 0;  // errno, or 0
  std::string detail;

  /// The server had accepted the connection.
  bool connected() const { return stage > Stage::kConnect; }
  /// The deadline or the cancellation, and nothing that the server did.
  bool gave_up() const { return kind == ErrorKind::kTimedOut || kind == ErrorKind::kCancelled; }
};

template <class T>
using Outcome = boost::system::result<T, Error>;

/// Found by boost::system::result when `.value()` is asked of an error, which is our bug.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

/// In words that follow the name of the server (`it cannot be reached: Connection refused`): kUnavailable (refused, broken),
/// kDeadlineExceeded, kCancelled, kDataLoss (no HTTP) or kResourceExhausted (the body is too large).
absl::Status status_of(const Error& error);

}  // namespace router::client
