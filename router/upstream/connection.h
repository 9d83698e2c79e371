#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "router/base/frame_cache.h"
#include "router/dispatch/replica.h"
#include "router/runtime/wakeup.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::upstream {

class Connection;
class Replica;

/// Where a connection rests: in a slot of a limited replica's pod, or in its shard's pool of a replica without limit. Either
/// may be gone by the time that the connection ends.
struct RestingPlace {
  std::weak_ptr<dispatch::PodSlots> pod;  // with `slot` and `cargo`, as what it lies there
  dispatch::Slot* slot = nullptr;         // nullptr: the pool
  const dispatch::Cargo* cargo = nullptr;
  std::weak_ptr<Replica> replica;  // the pool's

  /// Takes the connection out, if it still lies there; that may destroy it. On its shard.
  void drop(Connection& connection) const;
};

/// One connection to a replica, used by one exchange at a time; between two of them it watches for the pod closing it. One
/// shard.
class Connection final : private runtime::Waker, private runtime::Timer {
 public:
  /// `exchanges`: that it has served already, on another shard.
  Connection(runtime::Shard& shard, tls::Stream stream, std::uint64_t exchanges = 0);
  ~Connection() override;

  runtime::Shard& shard() { return shard_; }
  tls::Stream& stream() { return stream_; }
  wire::MessageInput& input() { return input_; }
  wire::MessageOutput& output() { return output_; }
  bool reused() const { return exchanges_ > 0; }

  /// An exchange begins: readiness wakes `waker`.
  void take(runtime::Waker& waker);
  /// An exchange ended and the connection stays open, for `at_most`. When that is over, or when the pod ends it, it is dropped
  /// from `place`.
  void rest(Duration at_most, RestingPlace place);
  /// Whether it may be used now: resting, open, and nothing unexpected arrived.
  bool usable();
  /// Gives up the socket so that another shard may take it over; -1 if it cannot be moved (TLS, or ended). The connection is
  /// spent.
  int detach();

 private:
  void wake() override;
  void expired() override;
  void end();

  runtime::Shard& shard_;
  tls::Stream stream_;
  wire::MessageInput input_;
  wire::MessageOutput output_;
  std::optional<RestingPlace> place_;  // set while it rests
  Deadline rests_until_ = kNever;
  std::uint64_t exchanges_ = 0;
};

struct Transport;

/// A connection at rest in a slot. May be destroyed on any thread: the connection ends on its own shard.
class RestingConnection final : public dispatch::Cargo {
 public:
  RestingConnection(std::shared_ptr<Connection> connection, std::shared_ptr<const Transport> transport)
      : connection_(std::move(connection)), transport_(std::move(transport)) {}
  ~RestingConnection() override;
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }
  std::size_t shard() const override;
  /// On its shard only.
  std::shared_ptr<Connection> take() { return std::move(connection_); }
  runtime::Shard& home() const { return connection_->shard(); }
  /// Whether it was opened as that transport says. Deployments that share a pod may speak to it in different ways.
  bool speaks(const std::shared_ptr<const Transport>& transport) const { return transport_ == transport; }

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const Transport> transport_;
};

}  // namespace router::upstream
