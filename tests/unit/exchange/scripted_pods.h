#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "router/upstream/exchange.h"

namespace router::test {

/// One connection to a pod, which the test moves. It has settings for the pod's behaviour, and records what happens on it. It
/// wakes its exchange only where the exchange has armed a wake-up.
class PodConnection {
 public:
  // --- the pod's behaviour; a setting that is made before the exchange has the connection holds from the first byte on ---
  bool reused = false;
  upstream::Unseen unseen = upstream::Unseen::kNo;
  bool says_close = false;
  bool deaf = false;     // does not close its side when the router does
  bool unheard = false;  // events wake the exchange, but the loop does not run: the test runs it

  void take_nothing() { takes_ = false; }
  void take_all();
  using FieldList = std::vector<std::pair<std::string, std::string>>;
  void begin_answer(int status, FieldList fields = {});
  void interim();
  void send(std::string_view bytes);
  void end_answer();
  void answer(int status, std::string_view body = "", FieldList fields = {});
  /// It ends with a FIN before a byte of the answer; a router knows then that its pod has seen nothing.
  void ends_in_order() {
    reused = true;
    unseen = upstream::Unseen::kProved;
    breaks();
  }
  /// The connection breaks: the exchange's reads and writes fail.
  void breaks(Failure failure = Failure::upstream(Reason::kUpstreamReset, "the pod closed the connection"));
  /// The pod reads nothing more. The answer that it has sent can still be read.
  void refuse_more() { refuses_more_ = true; }
  void close();
  /// Reading the pod's answer throws, as a bug of the router would.
  void plant_exception();

  // --- what has happened ---
  std::string path;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string field(std::string_view name) const {
    for (const auto& [each, value] : fields) {
      if (each == name) return value;
    }
    return "";
  }
  std::string body;      // the bytes that have reached the pod
  bool has_all = false;  // the pod has the whole request
  bool rests = false;    // the exchange is over, and the connection may be used again
  bool closing = false;  // the router has begun to close it
  bool closed = false;   // the exchange has released it, and it cannot be used again
  dispatch::ReplicaReport::Outcome outcome = dispatch::ReplicaReport::Outcome::kNone;  // as reported with the slot
  /// Heads that it has sent and the exchange has not passed over.
  std::size_t heads_left() const { return heads_.size(); }
  /// The exchange has armed a wake-up on it.
  bool awaited() const { return read_armed_ || write_armed_; }

 private:
  friend class ScriptedExchange;
  struct Head {
    int status = 0;
    FieldList fields;
  };
  void keep(int status, FieldList fields, std::string_view bytes);
  void notify(bool& armed);

  runtime::Wakeup* wakeup_ = nullptr;
  bool takes_ = true;
  bool refuses_more_ = false;
  bool broken_ = false;
  bool planted_ = false;
  Failure failure_;
  std::deque<Head> heads_;
  std::string answer_;
  bool answer_ended_ = false;
  bool read_armed_ = false;
  bool write_armed_ = false;
};

/// Replaces `upstream::open` in this binary while the object lives. No socket is made.
class ScriptedPods {
 public:
  explicit ScriptedPods(runtime::Shard& shard);
  ScriptedPods(const ScriptedPods&) = delete;
  ScriptedPods& operator=(const ScriptedPods&) = delete;
  ~ScriptedPods();

  enum class Opening {
    kConnects,
    kRefused,   // ECONNREFUSED
    kFails,     // any other failure of the pod
    kShortage,  // a shortage of this machine
    kHangs,     // until `let_in`, or until the connect timeout
    kFetches,   // the same; who waits no longer leaves the slot to another shard, as for a connection that is there
  };
  /// Plans the results of the next openings, in this order. All later ones connect.
  void plan(Opening opening) { plans_.push_back({opening, nullptr}); }
  /// Plans a connection for the next opening.
  std::shared_ptr<PodConnection> plan_connection();
  /// Lets the openings that hang connect.
  void let_in();
  /// Slots that were left to another shard: the test gives them back.
  std::vector<dispatch::HeldSlot> left;

  /// An attempt to open a connection.
  struct Tried {
    std::string replica;
    upstream::OpenOptions options;
    dispatch::StockEntry* slot;
  };
  std::vector<Tried> tried;
  std::vector<std::shared_ptr<PodConnection>> connections;
  /// The newest connection; before the first one, a connection that no exchange uses.
  PodConnection& last();
  /// Number of connections that an exchange holds now.
  int in_use = 0;

 private:
  friend Task<Result<std::unique_ptr<upstream::UpstreamExchange>>> open_scripted(dispatch::HeldSlot& held_slot,
                                                                                 upstream::OpenOptions options,
                                                                                 runtime::Wakeup& wakeup,
                                                                                 stream::Cancellation& cancellation);
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
