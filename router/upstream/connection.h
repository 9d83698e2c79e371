#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "router/dispatch/replica.h"
#include "router/runtime/wakeup.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::upstream {

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
  /// An exchange ended and the connection stays open, for `at_most`. When that is over, or when the pod ends it, `ended` is run
  /// from the loop; it must drop this connection.
  void rest(Duration at_most, std::function<void()> ended);
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
  std::function<void()> ended_;  // set while it rests
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
