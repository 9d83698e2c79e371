#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

#include "router/base/task.h"
#include "router/runtime/cancellation.h"

namespace router::discovery {

/// Limits the number of concurrent probes, so that thousands of replicas that are probed together (at the start, or because
/// all of them hang) do not use up the descriptors that clients need. First come first served. Control thread.
class ProbeLimit {
 public:
  static constexpr std::size_t kAtOnce = 256;

  explicit ProbeLimit(std::size_t at_once = kAtOnce) : at_once_(at_once) {}
  ProbeLimit(const ProbeLimit&) = delete;
  ProbeLimit& operator=(const ProbeLimit&) = delete;

  /// The permission to send a probe, given back when it is destroyed. Move-only; the limit must outlive it.
  class Permit {
   public:
    Permit() = default;
    explicit Permit(ProbeLimit& limit) : limit_(&limit) {}
    Permit(Permit&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(limit_, other.limit_);
      return *this;
    }
    ~Permit() {
      if (limit_ != nullptr) limit_->pass_on();
    }
    explicit operator bool() const { return limit_ != nullptr; }

   private:
    ProbeLimit* limit_ = nullptr;
  };

  /// Suspends until a permit is free, or until it is cancelled; then the permit may be empty.
  Task<Permit> acquire(std::shared_ptr<runtime::CancelSource> cancellation);

  std::size_t running() const { return running_; }
  std::size_t waiting() const { return waiting_.size(); }

 private:
  /// A probe that waits. It is also the message that wakes the probe when it has a permit.
  struct Waiting final : runtime::Message {
    explicit Waiting(std::shared_ptr<runtime::CancelSource> whom) : cancellation(std::move(whom)) {}
    void run() override { cancellation->wakeup().wake(); }
    void dropped() noexcept override {}
    const std::shared_ptr<runtime::CancelSource> cancellation;
    bool granted = false;
  };
  void pass_on() noexcept;

  const std::size_t at_once_;
  std::size_t running_ = 0;
  std::deque<Waiting*> waiting_;
};

}  // namespace router::discovery
