#pragma once

#include <boost/intrusive/list.hpp>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "router/base/assert.h"
#include "router/runtime/contain.h"
#include "router/runtime/shard_set.h"
#include "router/runtime/waker.h"

namespace router::runtime {

/// An immutable value that the control thread builds and every shard reads without a lock or an atomic operation. `publish`
/// sends it to each shard's event loop. An exchange takes a Snapshot, which does not change. When the last snapshot of a shard
/// is destroyed, the shard's reference goes back to the control thread, so that large tables are freed there.
template <class T>
class Published {
  struct Holder;

 public:
  /// One shard's reference to the value; copied and destroyed on that shard only.
  class Snapshot {
   public:
    Snapshot() = default;
    Snapshot(const Snapshot& other) noexcept : holder_(other.holder_) { take(); }
    Snapshot(Snapshot&& other) noexcept : holder_(std::exchange(other.holder_, nullptr)) {}
    Snapshot& operator=(Snapshot other) noexcept {
      std::swap(holder_, other.holder_);
      return *this;
    }
    ~Snapshot() { drop(); }

    explicit operator bool() const { return holder_ != nullptr; }
    const T& operator*() const { return *holder_->value; }
    const T* operator->() const { return holder_->value.get(); }

   private:
    friend class Published;
    explicit Snapshot(Holder* holder) noexcept : holder_(holder) { take(); }
    void take() noexcept {
      if (holder_ != nullptr) ++holder_->references;
    }
    void drop() noexcept {
      if (holder_ == nullptr || --holder_->references > 0) return;
      holder_->control.send(*holder_);
    }
    Holder* holder_ = nullptr;
  };

  /// A wait for the next value: `waker` is woken once, when the value has arrived on the shard of `wait_for_next`. May be
  /// destroyed before that, on that shard.
  class Arrival : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
   public:
    explicit Arrival(Waker& waker) : waker_(waker) {}
    Arrival(const Arrival&) = delete;
    Arrival& operator=(const Arrival&) = delete;

   private:
    friend class Published;
    Waker& waker_;
  };

  Published(Shard& control, ShardSet& shards) : control_(control), shards_(shards), views_(shards.size()) {}

  /// A value, with all memory that its publication needs.
  class Prepared {
   private:
    friend class Published;
    std::shared_ptr<const T> value_;
    std::vector<std::unique_ptr<Holder>> holders_;  // one for each shard
  };
  /// Control thread. If it throws std::bad_alloc, nothing has changed.
  Prepared prepare(std::shared_ptr<const T> value) {
    Prepared prepared;
    prepared.holders_.reserve(shards_.size());
    for (View& view : views_) prepared.holders_.push_back(std::make_unique<Holder>(value, control_, view));
    prepared.value_ = std::move(value);
    return prepared;
  }
  /// Control thread. Each shard takes the value from its event loop, in the order of publication.
  void publish(Prepared prepared) noexcept {
    newest_ = std::move(prepared.value_);
    for (std::size_t index = 0; index < shards_.size(); ++index) shards_[index].send(std::move(prepared.holders_[index]));
  }
  void publish(std::shared_ptr<const T> value) { publish(prepare(std::move(value))); }

  /// After the shards have stopped: returns all references to the control thread.
  void clear() noexcept {
    for (View& view : views_) view.snapshot = {};
    newest_.reset();
  }

  /// The newest snapshot of `shard`. Before the shards run, or on the shard itself.
  const Snapshot& on(const Shard& shard) const {
    ROUTER_ASSERT(shard.is_here());
    return views_[shard.index()].snapshot;
  }
  /// On the shard: wakes `arrival` when the next value has arrived here. Does nothing if it waits already.
  void wait_for_next(const Shard& shard, Arrival& arrival) const {
    ROUTER_ASSERT(shard.is_here());
    if (!arrival.is_linked()) views_[shard.index()].awaited.push_back(arrival);
  }
  /// Control thread: the value that was published last.
  const std::shared_ptr<const T>& newest() const { return newest_; }

 private:
  using Arrivals = boost::intrusive::list<Arrival, boost::intrusive::constant_time_size<false>>;
  struct alignas(64) View {
    void take(Holder& holder) {
      snapshot = Snapshot(&holder);
      Arrivals told;
      told.swap(awaited);
      while (!told.empty()) {
        Waker& waker = told.front().waker_;
        told.pop_front();
        try {
          waker.wake();
        } catch (const std::exception& error) {
          contain(error);
        }
      }
    }

    Snapshot snapshot;
    mutable Arrivals awaited;
  };
  /// One shard's reference to the value: first a message to the shard, then shared by the shard's snapshots, at last a message
  /// back to the control thread, which destroys it.
  struct Holder final : Message {
    Holder(std::shared_ptr<const T> what, Shard& back_to, View& into) : value(std::move(what)), control(back_to), view(&into) {}

    void run() override {
      if (View* into = std::exchange(view, nullptr)) {
        into->take(*this);
      } else {
        delete this;
      }
    }
    void dropped() noexcept override { delete this; }

    const std::shared_ptr<const T> value;
    Shard& control;
    View* view;                  // nullptr after the value has arrived
    std::size_t references = 0;  // snapshots; not atomic, since only one shard uses it
  };

  Shard& control_;
  ShardSet& shards_;
  std::vector<View> views_;
  std::shared_ptr<const T> newest_;
};

}  // namespace router::runtime
