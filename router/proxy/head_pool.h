#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "router/http/head.h"

namespace router::proxy {

/// Where the request heads of one shard lie (5 KB each, for 128 fields) while no request needs them: a connection that asks for
/// nothing holds none. One shard.
class HeadPool {
 public:
  static constexpr std::size_t kKept = 64;

  HeadPool() { kept_.reserve(kKept); }

  /// A head of which nothing is known: every text is empty, whoever had it before.
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
