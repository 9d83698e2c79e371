#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "router/runtime/shard_set.h"
#include "router/runtime/timer_queue.h"

namespace router::runtime {

/// Notices a shard that no longer turns its loop: every half second a message goes to each shard and back. Only time that
/// control itself has seen pass counts, so a process that was stopped as a whole is not taken for one that hangs. Needs no
/// memory once it is made. Control thread; not destroyed while the shards run.
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
  /// Those that have not turned for kHangs. Told in the log, too, when it begins and when it is over.
  std::vector<Hanging> hanging() const;

 private:
  class Beat;
  void expired() override;

  Shard& control_;
  TimePoint looked_{};
  std::vector<std::unique_ptr<Beat>> beats_;
};

}  // namespace router::runtime
