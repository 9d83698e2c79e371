#include "router/http1/send_queue.h"

#include <sys/uio.h>

#include <utility>

namespace router::http1 {

void SendQueue::append_all(std::initializer_list<std::string_view> pieces) {
  std::size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  if (size == 0) return;
  char* to = extend(size);
  for (const std::string_view piece : pieces) to += piece.copy(to, piece.size());
}

void SendQueue::append_field(std::string_view name, std::string_view value) {
  char* to = extend(name.size() + value.size() + 4);
  to += name.copy(to, name.size());
  *to++ = ':';
  *to++ = ' ';
  to += value.copy(to, value.size());
  *to++ = '\r';
  *to = '\n';
}

void SendQueue::append_view(std::string_view bytes) {
  // One part stays free for owned bytes. If no other part is free, all views so far are copied into one part.
  if (bytes.size() <= kCopied) {
    if (parts_used_ == kParts) keep_rest(0);
    return append(bytes);
  }
  if (parts_used_ + 2 > kParts) keep_rest(0);
  parts_[parts_used_++] = {bytes.data(), 0, bytes.size()};
  size_ += bytes.size();
}

runtime::IoResult SendQueue::flush(tls::Stream& stream) {
  if (empty() && !blocked_) return {runtime::IoState::kDone};
  std::array<iovec, kParts> pieces;
  for (std::size_t i = 0; i < parts_used_; ++i) {
    const char* start = parts_[i].view != nullptr ? parts_[i].view : owned_.data() + parts_[i].offset;
    pieces[i] = {const_cast<char*>(start), parts_[i].size};
  }
  runtime::IoResult result = stream.write(std::span(pieces.data(), parts_used_));
  sent_ += result.bytes;
  blocked_ = result.state == runtime::IoState::kBlocked;
  if (result.state == runtime::IoState::kDone) {
    clear();
  } else if (blocked_) {
    keep_rest(result.bytes);
  }
  return result;
}

void SendQueue::keep_rest(std::size_t taken) {
  runtime::Buffer rest = owned_.same_pool();
  for (std::size_t i = 0; i < parts_used_; ++i) {
    const char* start = parts_[i].view != nullptr ? parts_[i].view : owned_.data() + parts_[i].offset;
    const std::size_t skipped = std::min(taken, parts_[i].size);
    taken -= skipped;
    rest.append({start + skipped, parts_[i].size - skipped});
  }
  owned_ = std::move(rest);
  size_ = owned_.size();
  parts_used_ = 0;
  if (size_ > 0) parts_[parts_used_++] = {nullptr, 0, size_};
}

void SendQueue::clear() {
  owned_.release();
  parts_used_ = 0;
  size_ = 0;
}

}  // namespace router::http1
