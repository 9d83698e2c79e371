#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <memory>

#include "router/runtime/shard.h"

namespace router::admin {

/// Schedules the answers of one listener that are made in pieces. Each turn of control's loop makes one piece, in the order in
/// which the answers became ready. So control does its other work between two pieces, however many answers there are. Control
/// thread.
class PieceScheduler : public std::enable_shared_from_this<PieceScheduler> {
  struct Tag;
  using Hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>>;

 public:
  /// Makes one answer. Counts towards `max` from `try_enter` until it leaves or is destroyed.
  class Maker : public Hook {
   public:
    Maker() = default;
    Maker(const Maker&) = delete;
    Maker& operator=(const Maker&) = delete;
    virtual ~Maker() { leave(); }

   protected:
    /// Makes one piece. Afterwards it is ready again, or has left, or waits until its peer has read what was written. If it
    /// throws, it is cut.
    virtual void make_piece() = 0;
    /// Ends the answer and leaves: the peer does not read and another answer needs the room, or memory is short.
    virtual void cut() = 0;
    /// May destroy this, if it was ready and nothing else holds it.
    void leave();

   private:
    friend class PieceScheduler;
    enum class State { kOutside, kReady, kWaiting };
    std::shared_ptr<PieceScheduler> scheduler_;
    std::shared_ptr<Maker> kept_;  // while it is ready: it may be the only reference
    State state_ = State::kOutside;
    TimePoint since_{};
  };

  PieceScheduler(runtime::Shard& control, std::size_t max) : control_(control), max_(max) {}

  /// False: `max` answers are under way. If a peer has read nothing for kPatience, the answer that has waited longest is cut.
  bool try_enter(Maker& maker);
  /// Puts `maker` into the queue for its next piece.
  void ready(const std::shared_ptr<Maker>& maker);

  std::size_t under_way() const { return ready_.size() + waiting_.size(); }
  static constexpr std::chrono::seconds kPatience{1};

 private:
  using List = boost::intrusive::list<Maker, boost::intrusive::base_hook<Hook>>;

  void move(Maker& maker, Maker::State state);
  void come_soon();
  void make_next_piece();

  runtime::Shard& control_;
  const std::size_t max_;
  List ready_;
  List waiting_;        // the longest wait first
  bool comes_ = false;  // `make_next_piece` was posted
};

}  // namespace router::admin
