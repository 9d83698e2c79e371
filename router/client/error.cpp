#include "router/client/error.h"

#include <stdexcept>
#include <string_view>
#include <system_error>

namespace router::client {
namespace {

std::string failure_text(const Error& error) {
  std::string text;
  switch (error.stage) {
    case Stage::kLookUp: text = error.detail.empty() ? error.cause : "its name cannot be resolved: " + error.detail; break;
    case Stage::kOpen: text = "no connection can be opened"; break;
    case Stage::kConnect: text = "it cannot be reached"; break;
    case Stage::kHandshake:
    case Stage::kRequest:
    case Stage::kHead:
    case Stage::kBody: text = error.cause; break;
  }
  if (error.system_error != 0) text += ": " + std::system_category().message(error.system_error);
  return text;
}

const char* timeout_text(Stage stage) {
  switch (stage) {
    case Stage::kLookUp: return "its name cannot be resolved in time";
    case Stage::kOpen:
    case Stage::kConnect:
    case Stage::kHandshake: return "it does not answer in time when a connection is opened";
    case Stage::kRequest: return "it does not take the request in time";
    case Stage::kHead: return "it does not answer in time";
    case Stage::kBody: return "its answer does not end in time";
  }
  return "";
}

}  // namespace

void throw_exception_from_error(const Error& error, const boost::source_location&) { throw std::logic_error(error.cause); }

absl::Status status_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kFailed: return absl::UnavailableError(failure_text(error));
    case ErrorKind::kTimedOut: return absl::DeadlineExceededError(timeout_text(error.stage));
    case ErrorKind::kCancelled: return absl::CancelledError("the request was cancelled");
    case ErrorKind::kTooLarge:
      if (error.stage == Stage::kBody) return absl::ResourceExhaustedError("its answer is larger than " + error.detail);
      break;
    case ErrorKind::kInvalid:
    case ErrorKind::kInterimOnly: break;
  }
  return absl::DataLossError("it does not answer in valid HTTP/1.1");
}

}  // namespace router::client
