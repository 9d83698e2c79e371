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
  std::size_t under_way_max = 4;            // requests at a time
  std::chrono::milliseconds spacing{1000};  // between the beginnings of two requests of one errand, at least
};

/// Who has errands: short requests to the API server that nobody waits for, each known by a name. Control thread.
class Sender {
 public:
  enum class Outcome { kDone, kAgain };  // kAgain: later, after a pause that doubles from kAgainFirst to kAgainMost

  /// The errand's turn has come: what is to be sent now; nothing, if it is not needed any more. Whatever has changed since it
  /// was asked for is in it, so many changes make one request.
  virtual std::optional<ApiRequest> request_for(const std::string& name) = 0;
  /// How the server answered. What says nothing about the errand itself does not come here but is tried again: a server that
  /// cannot be reached, 401, 429 and 5xx.
  virtual Outcome answered(const std::string& name, const ApiAnswer& answer) = 0;

 protected:
  ~Sender() = default;
};

/// Runs errands: a few at a time, those that have waited longest first, each of them with some space between its requests. When
/// the server has no answer for us all wait, as BackOff has it or as the server asks (at most kRetryAfterMax). Each of these
/// troubles is told in the log once until something works again. An exception, also of a Sender, ends nothing: what it has
/// interrupted is tried again.
/// Bounds: one entry for each name that waits or was sent within the last `spacing`; who asks bounds the names.
/// Control thread. When destroyed it calls nothing any more, and its requests end.
class Errands {
 public:
  static constexpr std::chrono::seconds kRequestMax{10};
  static constexpr std::chrono::seconds kAgainFirst{1};
  static constexpr std::chrono::seconds kAgainMost{60};
  static constexpr std::chrono::seconds kRetryAfterMax{30};

  /// `client` and `group` (which has room for `under_way_max` more) outlive this; the client also the tasks in the group.
  /// `may_send` is asked before each request: while it says no, what is due is forgotten.
  Errands(ApiClient& client, runtime::TaskGroup& group, ErrandsOptions options, std::function<bool()> may_send);
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;
  ~Errands();

  /// Soon `sender` is asked for what to send under that name; asking again before that changes nothing. Calls nothing from
  /// within. `sender` outlives this.
  void ask(Sender& sender, const std::string& name);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace router::kubernetes
