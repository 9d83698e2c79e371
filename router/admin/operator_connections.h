#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <memory>
#include <utility>

namespace router::admin {

/// The open connections of one operators' listener, by what they wait for, those that have waited longest first. Beyond the
/// limit the one that has waited longest for its head makes room: an honest client sends its head at once, so what is oldest in
/// a flood belongs to the flood. Those whose bytes have arrived and are not read yet are spared. If none waits for a head, the
/// one whose request or answer has taken longest makes room. Control thread.
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
    /// The kernel has bytes of the peer that were not read yet.
    virtual bool has_arrived() const = 0;

   protected:
    /// It waits for this from now on, as the last of them; kNothing: it has no place any more.
    void wait_for(Wait what);

   private:
    const std::shared_ptr<OperatorConnections> connections_;  // outlives its holder
    Wait waits_for_ = Wait::kNothing;
  };

  OperatorConnections() = default;
  OperatorConnections(const OperatorConnections&) = delete;
  OperatorConnections& operator=(const OperatorConnections&) = delete;

  std::size_t taken() const { return heads_.size() + rests_.size(); }
  /// Also those that are closed and whose handlers have not run yet.
  std::size_t alive() const { return alive_; }
  /// Closes connections until at most `max` have a place.
  void keep_at_most(std::size_t max);
  /// Closes one; nothing if there is none.
  void make_room();
  void end_each_after_its_next_answer();

 private:
  /// How many are asked, each with a system call, whether they keep us waiting.
  static constexpr int kLooksMax = 8;
  using List = boost::intrusive::list<Holder>;

  List heads_;
  List rests_;
  std::size_t alive_ = 0;
};

}  // namespace router::admin
