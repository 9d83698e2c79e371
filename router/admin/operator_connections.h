#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <memory>
#include <utility>

namespace router::admin {

/// The open connections of one operators' listener, by what they wait for, the longest wait first. Beyond the limit, the
/// connection that has waited longest for its head is closed: an honest client sends its head at once, so the oldest of a
/// flood belong to the flood. A connection whose bytes have arrived and are not read yet is spared. If none waits for a head,
/// the one whose request or answer has taken longest is closed. Control thread.
class OperatorConnections {
 public:
  enum class Wait { kNothing, kHead, kRest };

  class Holder : public boost::intrusive::list_base_hook<> {
   public:
    explicit Holder(std::shared_ptr<OperatorConnections> connections) : connections_(std::move(connections)) {
      ++connections_->alive_;
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    virtual ~Holder();

    virtual void close() = 0;
    virtual void end_after_next_answer() = 0;
    /// Whether the kernel has bytes of the peer that were not read yet.
    virtual bool has_arrived() const = 0;

   protected:
    /// From now on the connection waits for `what`, as the last of its list; kNothing: it is in no list.
    void wait_for(Wait what);

   private:
    const std::shared_ptr<OperatorConnections> connections_;  // shared: outlives its holders
    Wait waits_for_ = Wait::kNothing;
  };

  OperatorConnections() = default;
  OperatorConnections(const OperatorConnections&) = delete;
  OperatorConnections& operator=(const OperatorConnections&) = delete;

  std::size_t taken() const { return heads_.size() + rests_.size(); }
  /// Includes closed connections whose handlers have not run yet.
  std::size_t alive() const { return alive_; }
  /// Closes connections until at most `max` are in a list.
  void keep_at_most(std::size_t max);
  /// Closes one connection, if there is any.
  void make_room();
  void end_each_after_its_next_answer();

 private:
  /// How many connections are checked for arrived bytes; each check is a system call.
  static constexpr int kLooksMax = 8;
  using List = boost::intrusive::list<Holder>;

  List heads_;
  List rests_;
  std::size_t alive_ = 0;
};

}  // namespace router::admin
