#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "router/base/result.h"
#include "router/runtime/buffer.h"
#include "tls/stream.h"

namespace router::wire {

/// What is to be sent next on a stream: bytes of our own (heads, chunk sizes) and views of bodies, gathered into one write.
/// What the peer does not take is copied and kept, so the queue is bounded by what is appended between two flushes: a relay
/// appends at most one shard scratch (256 KB) and a head, and appends nothing while the queue is blocked. One shard.
class SendQueue {
 public:
  explicit SendQueue(runtime::BufferPool& pool) : owned_(pool) {}

  /// Copies `bytes`.
  void append(std::string_view bytes) { append_all({bytes}); }
  /// Copies them all, one after the other.
  void append_all(std::initializer_list<std::string_view> pieces);
  /// A line of a head, `name: value`. Of its own, because a head has some ten: two pieces cost half of what four do.
  void append_field(std::string_view name, std::string_view value);
  /// Refers to `bytes` until the next flush.
  void append_view(std::string_view bytes);

  bool empty() const { return parts_used_ == 0; }
  /// The peer takes nothing more for now: arm the stream for writing, wait, flush.
  bool blocked() const { return blocked_; }
  std::size_t size() const { return size_; }
  /// Bytes that the stream has taken since the queue was made.
  std::uint64_t sent() const { return sent_; }

  /// Writes what there is. kDone, kBlocked or kFailed.
  runtime::IoResult flush(tls::Stream& stream);
  void clear();

 private:
  struct Part {
    const char* view;  // nullptr: within owned_, at `offset`
    std::size_t offset;
    std::size_t size;
  };
  static constexpr std::size_t kParts = 24;
  static constexpr std::size_t kCopied = 4096;  // smaller views are copied: cheaper than a part of their own

  void keep_rest(std::size_t taken);
  /// Where `bytes` more of our own begin, which the caller writes: in the last part, if that is our own, too.
  char* extend(std::size_t bytes) {
    const std::size_t offset = owned_.size();
    char* to = owned_.extend(bytes);
    size_ += bytes;
    Part* last = parts_used_ > 0 ? &parts_[parts_used_ - 1] : nullptr;
    if (last != nullptr && last->view == nullptr && last->offset + last->size == offset) {
      last->size += bytes;
    } else {
      parts_[parts_used_++] = {nullptr, offset, bytes};
    }
    return to;
  }

  runtime::Buffer owned_;
  std::array<Part, kParts> parts_;
  std::size_t parts_used_ = 0;
  std::size_t size_ = 0;
  std::uint64_t sent_ = 0;
  bool blocked_ = false;
};

}  // namespace router::wire
