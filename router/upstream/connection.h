#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "router/base/frame_cache.h"
#include "router/dispatch/replica.h"
#include "router/runtime/inbox.h"
#include "router/runtime/wakeup.h"
#include "router/upstream/closing_habit.h"
#include "router/wire/message_input.h"
#include "router/wire/message_output.h"
#include "tls/stream.h"

namespace router::upstream {

class Connection;
class Replica;

/// Where a connection rests: in a slot of a limited replica's pod, or in its shard's pool of a replica without limit. Either
/// may be gone by the time that the connection ends.
struct IdleLocation {
  std::weak_ptr<dispatch::PodSlots> pod;  // with `slot` and `cargo`, as what it lies there
  dispatch::Slot* slot = nullptr;         // nullptr: the pool
  const dispatch::Cargo* cargo = nullptr;
  std::weak_ptr<Replica> replica;  // the pool's

  /// Takes the connection out, if it still lies there; that may destroy it. On its shard.
  void drop(Connection& connection) const;
};

/// What must be known of a connection that goes on living on another shard.
struct ConnectionPast {
  TimePoint opened{};
  TimePoint answered{};      // the last answer's end; none yet: zero
  bool after_error = false;  // that answer was a 5xx
};

/// Whether a connection at rest can serve a request.
enum class Fitness {
  kFit,
  kTooYoung,    // its replica is not known to keep connections, and might be about to close this one: watch it
  kAfterError,  // a server that had an exception may be about to close it
  kUntrusted,   // its replica closes silently
  kSpent,       // it has ended, or is being closed
};

/// One connection to a replica, used by one exchange at a time; between two of them it watches for the pod closing it. One
/// shard.
class Connection final : private runtime::Waker, private runtime::Timer, private runtime::Message {
 public:
  Connection(runtime::Shard& shard, tls::Stream stream, std::shared_ptr<ClosingHabits> habits, ConnectionPast past);
  ~Connection() override;

  runtime::Shard& shard() { return shard_; }
  tls::Stream& stream() { return stream_; }
  wire::MessageInput& input() { return input_; }
  wire::MessageOutput& output() { return output_; }
  const ConnectionPast& past() const { return past_; }
  bool reused() const { return past_.answered != TimePoint{}; }

  /// From now on readiness wakes `waker`: an exchange begins, or somebody watches the connection.
  void take(runtime::Waker& waker);
  /// An exchange ended with an answer of that status.
  void answered(int status);
  /// The connection stays open, for `at_most`, or until the pod ends it; then it is dropped from `location`. Throws
  /// std::bad_alloc; then nothing has changed.
  void rest(Duration at_most, IdleLocation location);
  /// Whether it may serve a request now. What this finds out about the replica's habit is noted.
  Fitness fitness();
  /// Open, not closing, and nothing unexpected has arrived.
  bool alive() { return !closing_ && look() == Sign::kNone; }
  /// Until when it is too young, or suspect after an error.
  TimePoint young_until() const { return past_.answered + ClosingHabit::kYoung; }
  /// It broke under a request, before a byte of the answer.
  void note_broken();

  /// If it rests, it is closed there, and dropped from its place when the pod has closed its side, too.
  void close_if_resting();
  /// Ends our side: the pod is to close its own. No request any more.
  void begin_close();
  bool closing() const { return closing_; }
  /// After begin_close: drops what has arrived. kBlocked: `arm_read` and come again; kMoved: there may be more at hand; kEnded:
  /// the pod has closed.
  wire::Progress await_close();

  /// Gives up the socket, plaintext or closing, so that another shard may take it over; -1 if there is none. The connection is
  /// spent.
  int detach();

  /// Any thread: `connection` ends on its own shard. Needs no memory.
  static void end_at_home(std::shared_ptr<Connection> connection) noexcept;

 private:
  enum class Sign { kNone, kEnd, kBytes };

  void wake() override;
  void expired() override;
  void run() override { going_home_.reset(); }  // ends here, unless somebody else has it, too
  void dropped() noexcept override { going_home_.reset(); }
  /// What has arrived while it rests.
  Sign look();
  void close_in_place();
  void end();

  runtime::Shard& shard_;
  tls::Stream stream_;
  wire::MessageInput input_;
  wire::MessageOutput output_;
  const std::shared_ptr<ClosingHabits> habits_;
  ClosingHabit& habit_;
  ConnectionPast past_;
  bool closing_ = false;
  std::optional<IdleLocation> location_;  // set while it rests
  Deadline rests_until_ = kNever;
  std::shared_ptr<Connection> going_home_;  // itself, on its way to its own shard to end there
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
  runtime::Shard& owner() const { return connection_->shard(); }
  /// Any thread that holds its slot, which may be given back at once: on its own shard the connection is closed, unless a
  /// request has it by then. Throws std::bad_alloc.
  void close_soon() const;
  /// On its shard only.
  Connection& connection() { return *connection_; }
  std::shared_ptr<Connection> take() { return std::move(connection_); }
  /// Whether it was opened as that transport says. Deployments that share a pod may speak to it in different ways.
  bool speaks(const std::shared_ptr<const Transport>& transport) const { return transport_ == transport; }

 private:
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const Transport> transport_;
};

}  // namespace router::upstream
