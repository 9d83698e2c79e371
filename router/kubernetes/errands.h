#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "router/kubernetes/api_client.h"
#include "router/runtime/task_group.h"

namespace router::kubernetes {

struct ErrandsOptions {
  std::size_t under_way_max = 4;            // concurrent requests
  std::chrono::milliseconds spacing{1000};  // minimum time between the starts of two requests of one errand
};

/// The interface of a component that has errands: short background requests to the API server, identified by a name. Control
/// thread.
class Sender {
 public:
  enum class Outcome { kDone, kAgain };  // kAgain: send it again after a pause, which doubles from kAgainFirst to kAgainMost

  /// Returns the request to send now, or nothing if it is not needed any more. The request is built from the state at this
  /// moment, so several changes result in one request.
  virtual std::optional<ApiRequest> request_for(const std::string& name) = 0;
  /// Handles the server's answer. Not called if the server cannot be reached or answers with 401, 429 or 5xx: then the errand
  /// is tried again.
  virtual Outcome answered(const std::string& name, const ApiAnswer& answer) = 0;
  /// Called instead of `answered` before the errand is tried again. `why` is one line, without secrets. The server may have
  /// carried out the request. Not called if an exception has interrupted it.
  virtual void unanswered(const std::string& name, const std::string& why) {
    static_cast<void>(name);
    static_cast<void>(why);
  }

 protected:
  ~Sender() = default;
};

/// Runs errands: at most `under_way_max` at a time, the longest waiting first, and each at most once per `spacing`. If the
/// server cannot be reached or answers with 401, 429 or 5xx, all errands pause for the time that BackOff or the field
/// Retry-After says (at most kRetryAfterMax). Each such failure is logged once until a request succeeds. After an exception,
/// also one of a Sender, the interrupted errand is tried again.
/// Bounds: one entry for each name that waits, is under way or was sent within the last `spacing`; the callers bound the names.
/// Control thread. After its destruction it calls nothing, and its requests are cancelled.
class Errands {
 public:
  static constexpr std::chrono::seconds kRequestMax{10};
  static constexpr std::chrono::seconds kAgainFirst{1};
  static constexpr std::chrono::seconds kAgainMost{60};
  static constexpr std::chrono::seconds kRetryAfterMax{30};

  /// `client` and `group` (with room for `under_way_max` more tasks) outlive this; the client also outlives the tasks.
  /// `may_send` is called before each request; while it returns false, errands that are due are dropped.
  Errands(ApiClient& client, runtime::TaskGroup& group, ErrandsOptions options, std::function<bool()> may_send);
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;
  ~Errands();

  /// Schedules the errand: `sender.request_for(name)` is called later from the loop, never from inside this call. Another call
  /// before that has no effect. `sender` outlives this.
  void ask(Sender& sender, const std::string& name);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace router::kubernetes
