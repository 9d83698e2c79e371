#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/upstream/exchange.h"

namespace router::test {

/// One connection to a pod, as the test moves it: first how it behaves, then what has happened on it. It wakes its exchange
/// only where the exchange has asked to be woken.
class PodConnection {
 public:
  // --- how it behaves; what is said before the exchange has it holds from its first byte on ---
  bool reused = false;
  upstream::Unseen unseen = upstream::Unseen::kNo;
  bool says_close = false;
  bool deaf = false;     // does not close its side when it is asked to
  bool unheard = false;  // what it causes on the shard's loop is not run yet: the test does so

  void take_nothing() { takes_ = false; }
  void take_all();
  void begin_answer(int status);
  void interim();
  void send(std::string_view bytes);
  void end_answer();
  void answer(int status, std::string_view body = "");
  /// The connection breaks: what the exchange reads fails, and what it writes, too.
  void breaks(Failure failure = Failure::upstream(Reason::kUpstreamReset, "the pod closed the connection"));
  /// It reads nothing more; what it has answered can still be read.
  void refuse_more() { refuses_more_ = true; }
  void close();
  /// Whoever reads its answer meets a bug of ours.
  void plant_exception();

  // --- what has happened ---
  std::string path;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;        // that has reached it
  bool has_all = false;    // of the request
  bool rests = false;      // the exchange is over, and the connection may be used again
  bool closing = false;    // it was asked to close
  bool closed = false;     // the exchange let it go, not to be used again
  bool passed_on = false;  // its slot serves another attempt
  dispatch::ReplicaReport::Outcome outcome = dispatch::ReplicaReport::Outcome::kNone;  // as it was given back with the slot
  /// The exchange has asked to be woken by it.
  bool awaited() const { return read_armed_ || write_armed_; }

 private:
  friend class ScriptedExchange;
  void keep(int status, std::string_view bytes);
  void notify(bool& armed);

  runtime::Wakeup* wakeup_ = nullptr;
  bool takes_ = true;
  bool refuses_more_ = false;
  bool broken_ = false;
  bool planted_ = false;
  Failure failure_;
  std::deque<int> heads_;  // statuses
  std::string answer_;
  bool answer_ended_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

/// What `upstream::open` comes to, in this binary, which has none but this: no socket is made. While it lives.
class ScriptedPods {
 public:
  explicit ScriptedPods(runtime::Shard& shard);
  ScriptedPods(const ScriptedPods&) = delete;
  ScriptedPods& operator=(const ScriptedPods&) = delete;
  ~ScriptedPods();

  enum class Opening {
    kConnects,
    kRefused,   // ECONNREFUSED
    kFails,     // any other failure of the pod's
    kShortage,  // of this machine
    kHangs,     // until `let_in`, or the connect timeout
  };
  /// The next openings, in their order; after that all connect.
  void plan(Opening opening) { plans_.push_back({opening, nullptr}); }
  /// The next opening finds this connection.
  std::shared_ptr<PodConnection> plan_connection();
  /// Ends the waiting of those that hang.
  void let_in();

  /// Each opening that was tried.
  struct Tried {
    std::string replica;
    upstream::OpenOptions options;
    dispatch::Slot* slot;
  };
  std::vector<Tried> tried;
  std::vector<std::shared_ptr<PodConnection>> connections;
  /// The newest; one that nobody uses, if there is none.
  PodConnection& last();
  /// Connections that an exchange has now.
  int in_use = 0;

 private:
  friend Task<Result<std::unique_ptr<upstream::UpstreamExchange>>> open_scripted(dispatch::HeldSlot& held_slot,
                                                                                 upstream::OpenOptions options,
                                                                                 runtime::Wakeup& wakeup,
                                                                                 wire::Cancellation& cancellation);
  struct Plan {
    Opening opening = Opening::kConnects;
    std::shared_ptr<PodConnection> connection;
  };
  Plan next();

  runtime::Shard& shard_;
  std::deque<Plan> plans_;
  bool let_in_ = false;
  std::vector<runtime::Wakeup*> hanging_;
  PodConnection nobodys_;
};

}  // namespace router::test
