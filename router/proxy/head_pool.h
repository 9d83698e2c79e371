#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "router/http/head.h"

namespace router::proxy {

/// Keeps the unused request heads of one shard (5 KB each, for 128 fields), so that a connection without a request holds none.
/// One shard.
class HeadPool {
 public:
  static constexpr std::size_t kKept = 64;

  HeadPool() { kept_.reserve(kKept); }

  /// An empty head: every text is empty, whatever an earlier request has stored.
  std::unique_ptr<http::RequestHead> take() {
    if (kept_.empty()) return std::make_unique<http::RequestHead>();
    std::unique_ptr<http::RequestHead> head = std::move(kept_.back());
    kept_.pop_back();
    forget(*head);
    return head;
  }
  void give(std::unique_ptr<http::RequestHead> head) noexcept {
    if (head != nullptr && kept_.size() < kKept) kept_.push_back(std::move(head));
  }

  static void forget(http::RequestHead& head) {
    head.method = http::Method::kOther;
    head.method_text = head.target = head.path = head.query = head.authority = {};
    head.minor_version = 1;
    head.fields.clear();
  }

 private:
  std::vector<std::unique_ptr<http::RequestHead>> kept_;
};

}  // namespace router::proxy
