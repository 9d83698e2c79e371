#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace router::dispatch {

/// What a slot keeps between two leases: its one connection. Known here only as something that must end on its own shard.
class Cargo {
 public:
  virtual ~Cargo() = default;  // any thread: closes what it holds on its own shard
  /// The shard on which it may be used at once.
  virtual std::size_t shard() const = 0;
};

/// One unit of a limited replica's concurrency. `cargo` belongs to whoever holds the slot's lease, and to the line while nobody
/// does.
struct Slot {
  std::unique_ptr<Cargo> cargo;
};

/// A live replica as the line sees it; upstream derives its own, with address and TLS, from it. Everything mutable here belongs
/// to the Line's mutex.
class Replica {
 public:
  explicit Replica(std::string name, std::size_t slots) : name_(std::move(name)), slots_max_(slots) {}
  virtual ~Replica() = default;
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;
  const std::string& name() const { return name_; }  // host:port, for logs and /status

 private:
  friend class Line;
  const std::string name_;
  std::size_t slots_max_;  // 0 = unlimited
  // … the implementer's: in use, ready, slots, place in the buckets
};

}  // namespace router::dispatch
