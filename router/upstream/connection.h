#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "router/base/frame_cache.h"
#include "router/dispatch/loose_connections.h"
#include "router/dispatch/replica.h"
#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "router/runtime/inbox.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/closing_habit.h"
#include "tls/stream.h"

namespace router::upstream {

class Connection;
class Replica;

/// Where an idle connection is kept: in a slot of its pod, or, for a replica without limit, in the replica's pool of its shard.
/// Pod or replica may be destroyed before the connection ends.
struct IdleLocation {
  std::weak_ptr<dispatch::PodSlots> pod;  // owner of `entry`, which contains `stocked`
  dispatch::StockEntry* entry = nullptr;  // nullptr: in the pool
  const dispatch::StockedConnection* stocked = nullptr;
  std::weak_ptr<Replica> replica;  // owner of the pool

  /// Removes the connection if it is still there, which may destroy it. On its shard.
  void drop(Connection& connection) const;
};

/// The history of a connection, which it keeps when it moves to another shard.
struct ConnectionPast {
  TimePoint opened{};
  TimePoint answered{};      // end of the last answer; zero: none yet
  bool after_error = false;  // the last answer was a 5xx
};

/// Whether an idle connection can serve a request.
enum class Fitness {
  kFit,
  kTooYoung,    // its replica is not known to keep connections and may be about to close this one: watch it
  kAfterError,  // its last answer was a 5xx: the server may be about to close it
  kUntrusted,   // its replica closes silently
  kSpent,       // it has ended, or is being closed
};

/// One connection to a replica, used by one exchange at a time. While it is idle, it watches for the pod's close. One shard.
class Connection final : private runtime::Waker, private runtime::Timer, private runtime::Message {
 public:
  Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<ClosingHabits> habits, ConnectionPast past);
  ~Connection() override;

  runtime::Shard& shard() { return shard_; }
  tls::Stream& stream() { return stream_; }
  http1::MessageInput& input() { return input_; }
  http1::MessageOutput& output() { return output_; }
  const ConnectionPast& past() const { return past_; }
  bool reused() const { return past_.answered != TimePoint{}; }

  /// Ends the idle time: from now on readiness wakes `waker`, of an exchange or of a coroutine that watches the connection.
  void take(runtime::Waker& waker);
  /// Records that an exchange ended with an answer of this status.
  void answered(int status);
  /// Makes the connection idle, for `at_most` or until the pod ends it; then it is removed from `location`. Throws
  /// std::bad_alloc; then nothing has changed.
  void rest(Duration at_most, IdleLocation location);
  /// Whether it may serve a request now. Records what this check shows about the replica's habit.
  Fitness fitness();
  /// Whether it is open, not closing, and no unexpected bytes have arrived.
  bool alive() { return !closing_ && look() == Sign::kNone; }
  /// The end of the time after an answer in which it is too young, or suspect after a 5xx.
  TimePoint young_until() const { return past_.answered + ClosingHabit::kYoung; }
  /// Records that it ended without an announcement: while idle, or during a request before a byte of the answer.
  void note_broken();

  /// If it is idle: ends it, and removes it from its location; in a slot, once the pod has closed too.
  void close_if_resting();
  /// Shuts down the router's side; the pod should close its side. No request may follow.
  void begin_close();
  bool closing() const { return closing_; }
  /// After `begin_close`: drops what has arrived. kBlocked: call `arm_read`, wait, call again; kMoved: call again; kEnded: the
  /// pod has closed.
  stream::Progress await_close();

  /// Gives up the socket, so that another shard may take it over; -1 if it has ended, or is TLS and not closing. The connection
  /// cannot be used after that.
  int detach();

  /// Counts it until it is closed or taken. On its shard, or, once it was retired from its slot, on any thread.
  void count(dispatch::LooseConnection loose) noexcept { loose_ = std::move(loose); }

  /// Releases `connection` on its own shard. Any thread. Allocates nothing.
  static void end_at_home(std::shared_ptr<Connection> connection) noexcept;

 private:
  enum class Sign { kNone, kEnd, kBytes };

  void wake() override;
  void expired() override;
  void run() override { going_home_.reset(); }  // destroys it, unless another owner exists
  void dropped() noexcept override { going_home_.reset(); }
  /// What has arrived while it is idle.
  Sign look();
  void close_in_place();
  void end();

  runtime::Shard& shard_;
  tls::Stream stream_;
  http1::MessageInput input_;
  http1::MessageOutput output_;
  const std::shared_ptr<ClosingHabits> habits_;
  ClosingHabit& habit_;
  ConnectionPast past_;
  bool closing_ = false;
  std::optional<IdleLocation> location_;  // set while it is idle
  Deadline rests_until_ = kNever;
  dispatch::LooseConnection loose_;
  std::shared_ptr<Connection> going_home_;  // owns this while its message to its own shard is under way
};

struct Transport;

/// An idle connection in a slot. May be destroyed on any thread: the connection ends on its own shard.
class RestingConnection final : public dispatch::StockedConnection {
 public:
  RestingConnection(std::shared_ptr<Connection> connection, std::shared_ptr<const Transport> transport)
      : connection_(std::move(connection)), transport_(std::move(transport)) {}
  ~RestingConnection() override;
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }
  std::size_t shard() const override;
  void retired(dispatch::LooseConnection loose) noexcept override { connection_->count(std::move(loose)); }
  runtime::Shard& owner() const { return connection_->shard(); }
  /// Any thread that holds its slot, which may be given back at once: the connection's shard closes it, unless an exchange uses
  /// it by then. Throws std::bad_alloc.
  void close_soon() const;
  /// Only on its shard.
  Connection& connection() { return *connection_; }
  std::shared_ptr<Connection> take() { return std::move(connection_); }
  /// Whether it was opened with `transport`. Deployments that share a pod may connect to it in different ways.
  bool speaks(const std::shared_ptr<const Transport>& transport) const { return transport_ == transport; }

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const Transport> transport_;
};

}  // namespace router::upstream
