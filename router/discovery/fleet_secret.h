#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "router/base/log_deduplicator.h"
#include "router/kubernetes/api_client.h"
#include "router/kubernetes/errands.h"
#include "router/kubernetes/object_watch.h"
#include "router/runtime/task_group.h"

namespace router::discovery {

/// Whether `text` is one line or two of 64 hex digits. The last line may lack its end.
bool is_fleet_keys(std::string_view text);

struct FleetSecretOptions {
  std::string namespace_name;  // the router's own
  std::string name;
  /// How long a router that has never had a key waits before it fills an empty Secret, so that routers that have one can put it
  /// back first.
  std::chrono::milliseconds newcomer_wait{5000};
};

/// The Secret that holds the key of the fleet's links in its member `keys` (is_fleet_keys), and whose first content the routers
/// make (decision 0070): the chart renders it without data.
/// - The Secret has valid keys: they are in use, and told if they are others than before (a rotation by an operator).
/// - It has none, and this router has keys: writes these back at once, because somebody has emptied the Secret.
/// - It has none, and this router never had any: fills it with one random key after `newcomer_wait`.
/// - It has invalid keys, or does not exist: writes nothing. The keys before stay in use, and `trouble` says what is wrong.
/// A write names the version that it is based on, so of several writers one wins, and the watch brings the others its keys. A
/// key is in use only after the watch has shown it. No log line and no error contains content of the Secret. Keys are wiped
/// from this object's memory when they are replaced; copies in buffers of JSON, HTTP and TLS are not. Rights: list, watch and
/// update on that Secret by its name (ObjectWatch). Control thread. After its destruction it calls nothing, and its requests
/// are cancelled.
class FleetSecret final : private runtime::Timer, private kubernetes::Sender {
 public:
  static constexpr const char* kMember = "keys";
  static constexpr std::size_t kTasks = 1 + kubernetes::ObjectWatch::kTasks;  // tasks in the group, at most

  /// `client` and `group` outlive this; the client also outlives the tasks. `changed` is called from the loop with the text of
  /// the keys, at the first keys and at each change; if it throws, again later. It must not destroy this.
  FleetSecret(kubernetes::ApiClient& client, runtime::TaskGroup& group, FleetSecretOptions options,
              std::function<void(const std::string& keys)> changed);
  FleetSecret(const FleetSecret&) = delete;
  FleetSecret& operator=(const FleetSecret&) = delete;
  ~FleetSecret() override;

  bool has_keys() const { return !keys_.empty(); }
  /// What is wrong with the Secret, for an operator; empty: nothing, or it was not read yet.
  const std::string& trouble() const { return trouble_; }
  const kubernetes::ObjectWatch& watch() const { return watch_; }

 private:
  void seen(kubernetes::ObjectState state);
  void take(std::string keys);
  void fill(boost::json::object secret);
  void troubled(std::string what);
  void expired() override;
  std::optional<kubernetes::ApiRequest> request_for(const std::string& name) override;
  Outcome answered(const std::string& name, const kubernetes::ApiAnswer& answer) override;
  std::string subject() const;

  runtime::Shard& control_;
  const FleetSecretOptions options_;
  const std::function<void(const std::string&)> changed_;
  std::string keys_;                            // the last valid ones that `changed_` got; empty: none yet
  std::optional<boost::json::object> lacking_;  // the Secret, as long as it exists without keys
  std::optional<TimePoint> fill_at_;            // not earlier than this a router without keys fills `lacking_`
  bool writes_back_ = false;                    // in the last write; otherwise it made a key
  std::string trouble_;
  LogDeduplicator troubles_;
  LogDeduplicator refusals_;
  kubernetes::Errands errands_;
  kubernetes::ObjectWatch watch_;
};

}  // namespace router::discovery
