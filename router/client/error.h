#pragma once

#include <absl/status/status.h>

#include <boost/system/result.hpp>
#include <cstdint>
#include <string>

namespace router::client {

/// The step at which an exchange failed. The values are in order of time.
enum class Stage : std::uint8_t { kLookUp, kOpen, kConnect, kHandshake, kRequest, kHead, kBody };

enum class ErrorKind : std::uint8_t {
  kFailed,       // refused or cut off; `cause` or `detail` says more, perhaps also `system_error`
  kTimedOut,     // the deadline has passed
  kCancelled,    // the caller has cancelled it
  kInvalid,      // the server does not answer in valid HTTP/1.1
  kInterimOnly,  // more interim responses than allowed
  kTooLarge,     // the head, or the body
};

/// Why an exchange of the client failed. Contains no secret. `cause` is a literal; `detail` may contain the name that was
/// looked up.
struct Error {
  Stage stage = Stage::kOpen;
  ErrorKind kind = ErrorKind::kFailed;
  const char* cause = "";
  int system_error = 0;  // errno, or 0
  std::string detail;

  /// Whether the server had accepted the connection.
  bool connected() const { return stage > Stage::kConnect; }
  /// Whether the deadline or the cancellation ended the exchange, not the server.
  bool gave_up() const { return kind == ErrorKind::kTimedOut || kind == ErrorKind::kCancelled; }
};

template <class T>
using Outcome = boost::system::result<T, Error>;

/// boost::system::result calls this when `.value()` is called on an error, which is our bug.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

/// A status whose text follows the name of the server (`it cannot be reached: Connection refused`): kUnavailable (refused, cut
/// off), kDeadlineExceeded, kCancelled, kDataLoss (no valid HTTP) or kResourceExhausted (the body is too large).
absl::Status status_of(const Error& error);

}  // namespace router::client
