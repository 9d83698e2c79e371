#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "router/metrics/cells.h"
#include "router/proxy/view.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"
#include "router/wire/request_sink.h"

namespace router::proxy {

class Mirrors;

/// A request for a mirrored deployment, collected beside the live exchange (contract, section 8). Once it is complete it is on
/// its way by itself; dropped before that, it is not sent. Counted once, whatever becomes of it.
class MirrorCopy final : public wire::RequestSink {
 public:
  static constexpr std::size_t kBytesMax = 1'000'000;  // of one copy, head and body

  /// `view` keeps the deployment alive.
  MirrorCopy(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment, http::Method method);
  MirrorCopy(const MirrorCopy&) = delete;
  MirrorCopy& operator=(const MirrorCopy&) = delete;
  ~MirrorCopy();

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query) override;
  void field(std::string_view name, std::string_view value) override;
  void end_head(wire::BodySize size) override;
  void body_piece(std::string_view bytes) override;
  /// Trailers are not copied: what was collected has a length.
  void body_end(const http::Fields* trailers) override;
  /// The body is sent again from its beginning.
  void restart_body();

  /// Sends a complete copy, soon: from the loop, since the live exchange has not been flushed yet.
  static void send(std::unique_ptr<MirrorCopy> copy);

  /// Still to be sent: nothing has spoken against it.
  bool wanted() const { return result_ == metrics::MirrorResult::kIncomplete; }
  bool complete() const { return complete_; }

 private:
  friend class Mirrors;
  bool reserve(std::size_t bytes);
  bool make_room(std::size_t body_bytes);
  void give_up(metrics::MirrorResult result);
  void write_to(wire::RequestSink& sink) const;

  struct Span {
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  Span keep(std::string_view text);
  std::string_view text(Span span) const { return std::string_view(head_).substr(span.begin, span.size); }

  Mirrors& mirrors_;
  const Views::Snapshot view_;
  const model::Deployment& deployment_;
  const http::Method method_;
  metrics::MirrorResult result_ = metrics::MirrorResult::kIncomplete;
  bool complete_ = false;
  bool has_body_ = false;
  std::size_t reserved_ = 0;
  std::string head_;  // all texts of the head, one behind the other
  std::array<Span, 4> start_{};
  std::vector<std::pair<Span, Span>> fields_;
  std::string body_;
  std::size_t body_room_ = 0;
};

/// The copies of one shard: how much memory they take, and those that are being sent. Each takes a slot only if one is free and
/// nobody waits there, under its deployment's timeouts; its answer is read and dropped.
class Mirrors {
 public:
  static constexpr std::size_t kProcessBytesMax = 64'000'000;  // contract, section 8; each shard has an equal share
  static constexpr std::size_t kSendingMax = 10'000;           // no more than there can be copies of some size

  Mirrors(runtime::Shard& shard, std::size_t shards, metrics::ShardCells& cells);

  /// Ends all of them, for good. They are nobody's requests.
  void stop();
  std::size_t sending() const { return sending_.running(); }

 private:
  friend class MirrorCopy;
  void send(std::unique_ptr<MirrorCopy> copy);
  Task<void> deliver(std::unique_ptr<MirrorCopy> copy);
  Task<metrics::MirrorResult> exchange(const MirrorCopy& copy, runtime::Wakeup& wakeup);

  runtime::Shard& shard_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  metrics::ShardCells& cells_;
  bool stopped_ = false;
  std::unordered_set<runtime::Wakeup*> wakeups_;
  runtime::TaskGroup sending_;
};

/// Gives each piece of a body to both.
class Tee final : public wire::BodySink {
 public:
  Tee(wire::BodySink& first, wire::BodySink& second) : first_(first), second_(second) {}
  void body_piece(std::string_view bytes) override {
    first_.body_piece(bytes);
    second_.body_piece(bytes);
  }
  void body_end(const http::Fields* trailers) override {
    first_.body_end(trailers);
    second_.body_end(trailers);
  }

 private:
  wire::BodySink& first_;
  wire::BodySink& second_;
};

}  // namespace router::proxy
