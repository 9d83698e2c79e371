#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "router/runtime/shard_set.h"
#include "router/runtime/timer_queue.h"

namespace router::runtime {

/// Detects a shard whose event loop hangs: every half second a message goes to each shard and back. Only time that passes while
/// the control thread runs counts, so a process that was stopped as a whole does not count as hanging. The messages need no
/// memory. Control thread; not destroyed while the shards run.
class Pulse final : private Timer {
 public:
  static constexpr std::chrono::milliseconds kEvery{500};
  static constexpr std::chrono::seconds kHangs{5};  // without an answer

  Pulse(Shard& control, ShardSet& shards);
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;
  ~Pulse() override;

  void start() noexcept;
  struct Hanging {
    std::size_t shard = 0;
    Duration since{};
  };
  /// The shards whose event loop has not run for kHangs. The log reports when this begins and when it ends, too.
  std::vector<Hanging> hanging() const;

 private:
  class Beat;
  void expired() override;

  Shard& control_;
  TimePoint looked_{};
  std::vector<std::unique_ptr<Beat>> beats_;
};

}  // namespace router::runtime
