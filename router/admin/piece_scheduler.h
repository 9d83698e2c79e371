#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <memory>

#include "router/runtime/shard.h"

namespace router::admin {

/// The answers of one listener that are made in pieces. One piece is made in a turn of control's loop, whoever's it is, first
/// come first served: between two pieces control does its other work, however many ask. Control thread.
class PieceScheduler : public std::enable_shared_from_this<PieceScheduler> {
  struct Tag;
  using Hook = boost::intrusive::list_base_hook<boost::intrusive::tag<Tag>>;

 public:
  /// Whose answer it is. Has a place from `try_enter` until it leaves or is destroyed.
  class Maker : public Hook {
   public:
    Maker() = default;
    Maker(const Maker&) = delete;
    Maker& operator=(const Maker&) = delete;
    virtual ~Maker() { leave(); }

   protected:
    /// Its turn. Afterwards it is ready again, or has left, or waits for its peer to take what it has written. If it throws, it
    /// is cut.
    virtual void make_piece() = 0;
    /// Its peer does not read, and another one needs the place; or memory is short. Leaves.
    virtual void cut() = 0;
    /// May destroy this, if it was ready and nobody else holds it.
    void leave();

   private:
    friend class PieceScheduler;
    enum class State { kOutside, kReady, kWaiting };
    std::shared_ptr<PieceScheduler> scheduler_;
    std::shared_ptr<Maker> kept_;  // while it is ready: nothing else need hold it
    State state_ = State::kOutside;
    TimePoint since_{};
  };

  PieceScheduler(runtime::Shard& control, std::size_t max) : control_(control), max_(max) {}

  /// False: `max` have a place already. One whose peer has taken nothing for kPatience makes room, the longest first.
  bool try_enter(Maker& maker);
  /// It wants to make its next piece.
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
  List waiting_;        // the one that has waited longest first
  bool comes_ = false;  // a turn was posted
};

}  // namespace router::admin
