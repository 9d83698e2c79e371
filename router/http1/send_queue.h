#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string_view>

#include "router/base/result.h"
#include "router/runtime/buffer.h"
#include "tls/stream.h"

namespace router::http1 {

/// The bytes to send next on a stream: owned bytes (heads, chunk sizes) and views of bodies, gathered into one write. Bytes
/// that the socket does not take are copied and kept, so the size is bounded by what is appended between two flushes: a relay
/// appends at most one scratch buffer of the shard (256 KB) and a head, and nothing while the queue is blocked. One shard.
class SendQueue {
 public:
  explicit SendQueue(runtime::BufferPool& pool) : owned_(pool) {}

  /// Copies `bytes`.
  void append(std::string_view bytes) { append_all({bytes}); }
  /// Copies all `pieces`, in order.
  void append_all(std::initializer_list<std::string_view> pieces);
  /// Copies one line of a head, `name: value`. A head has about ten, and this costs half of `append_all` with four pieces.
  void append_field(std::string_view name, std::string_view value);
  /// Refers to `bytes` until the next flush.
  void append_view(std::string_view bytes);

  bool empty() const { return parts_used_ == 0; }
  /// Whether the socket takes nothing more for now: arm the stream for writing, wait, flush.
  bool blocked() const { return blocked_; }
  std::size_t size() const { return size_; }
  /// Bytes that the stream has taken since the queue was created.
  std::uint64_t sent() const { return sent_; }

  /// Writes the content. Returns kDone, kBlocked or kFailed.
  runtime::IoResult flush(tls::Stream& stream);
  void clear();

 private:
  struct Part {
    const char* view;  // nullptr: within owned_, at `offset`
    std::size_t offset;
    std::size_t size;
  };
  static constexpr std::size_t kParts = 24;
  static constexpr std::size_t kCopied = 4096;  // views up to this size are copied: cheaper than a part of their own

  void keep_rest(std::size_t taken);
  /// Adds `bytes` owned bytes, to the last part if that is owned too. The caller writes them at the returned address.
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

}  // namespace router::http1
