#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "router/fleet_link/life.h"
#include "router/runtime/address.h"

namespace router::fleet_link {

/// The accepted connections of which nobody knows yet who they are. When there are too many, the source that has most of them
/// loses its oldest: a source that opens many takes room only from itself, and one that opens few always gets in. A source is
/// an IPv4 address or an IPv6 network of 64 bits. One shard; made by std::make_shared.
class Strangers : public std::enable_shared_from_this<Strangers> {
 public:
  explicit Strangers(std::size_t max) : max_(max) {}
  Strangers(const Strangers&) = delete;
  Strangers& operator=(const Strangers&) = delete;

  struct Stranger {
    std::string source;
    std::shared_ptr<Life> life;
    bool evicted = false;  // cancelled; its coroutine has not ended yet
  };
  /// Counts a connection as a stranger while it lives. Move-only.
  class Stay {
   public:
    Stay() = default;
    Stay(std::shared_ptr<Strangers> all, std::list<Stranger>::iterator place) : all_(std::move(all)), place_(place) {}
    Stay(Stay&& other) noexcept : all_(std::move(other.all_)), place_(other.place_) {}
    Stay& operator=(Stay&& other) noexcept;
    ~Stay() { leave(); }
    /// The connection is known now, or has ended.
    void leave() noexcept;

   private:
    std::shared_ptr<Strangers> all_;
    std::list<Stranger>::iterator place_;
  };

  /// Lets a connection in, and cancels `life` of another one if there are too many.
  Stay admit(const runtime::Address& from, std::shared_ptr<Life> life);

  std::size_t size() const { return size_; }
  /// Connections that were cancelled to make room.
  std::uint64_t evicted() const { return evicted_; }

 private:
  void make_room();

  const std::size_t max_;
  std::list<Stranger> all_;  // the oldest first
  std::size_t size_ = 0;     // those that were not evicted
  std::uint64_t evicted_ = 0;
};

}  // namespace router::fleet_link
