#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "router/base/assert.h"
#include "router/runtime/shard_set.h"

namespace router::runtime {

/// An immutable value built by the control thread and read by every shard without a lock or an atomic operation.
/// `publish` hands it to each shard's loop; an exchange takes a Snapshot, which stays what it was. When the last snapshot of a
/// shard is gone, the value's reference goes back to the control thread, so that large tables are freed there.
template <class T>
class Published {
  struct Holder {
    std::shared_ptr<const T> value;
    Shard* control;
    std::size_t references = 0;  // of one shard: plain
  };

 public:
  /// One shard's view of the value; copied and dropped on that shard only.
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
      Shard* control = holder_->control;
      control->post([holder = std::unique_ptr<Holder>(holder_)] {});
    }
    Holder* holder_ = nullptr;
  };

  Published(Shard& control, ShardSet& shards) : control_(control), shards_(shards), views_(shards.size()) {}

  /// Control thread. Each shard takes the value up from its loop, in order of publication.
  void publish(std::shared_ptr<const T> value) {
    newest_ = value;
    for (std::size_t index = 0; index < shards_.size(); ++index) {
      auto holder = std::make_unique<Holder>(Holder{value, &control_});
      shards_[index].post(
          [this, index, holder = std::move(holder)]() mutable { views_[index].snapshot = Snapshot(holder.release()); });
    }
  }

  /// Before the shards run, or on the shard itself.
  const Snapshot& on(const Shard& shard) const { return views_[shard.index()].snapshot; }
  /// Control thread: what was published last.
  const std::shared_ptr<const T>& newest() const { return newest_; }

 private:
  struct alignas(64) View {
    Snapshot snapshot;
  };
  Shard& control_;
  ShardSet& shards_;
  std::vector<View> views_;
  std::shared_ptr<const T> newest_;
};

}  // namespace router::runtime
