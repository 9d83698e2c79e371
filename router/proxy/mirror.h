#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
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
/// its way by itself; dropped before that, it is not sent. Counted once, whatever becomes of it. What the live exchange calls
/// throws nothing: a copy that finds no memory is given up, and the exchange goes on.
class MirrorCopy final : public wire::RequestSink, public boost::intrusive::list_base_hook<> {
 public:
  static constexpr std::size_t kBytesMax = 1'000'000;  // of one copy, head and body

  /// `view` keeps the deployment alive; `write_head` writes the head of the request. Null if it is not to be sent after all.
  static std::unique_ptr<MirrorCopy> begin(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment,
                                           http::Method method,
                                           absl::FunctionRef<void(wire::RequestSink&)> write_head) noexcept;
  MirrorCopy(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment, http::Method method);
  MirrorCopy(const MirrorCopy&) = delete;
  MirrorCopy& operator=(const MirrorCopy&) = delete;
  ~MirrorCopy();

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest,
                  std::string_view query) noexcept override;
  void field(std::string_view name, std::string_view value) noexcept override;
  void end_head(wire::BodySize size) noexcept override;
  void body_piece(std::string_view bytes) noexcept override;
  /// Trailers are not copied: what was collected has a length.
  void body_end(const http::Fields* trailers) noexcept override;
  /// The body is sent again from its beginning.
  void restart_body() noexcept;

  /// Sends a complete copy, soon: from the loop, since the live exchange has not been flushed yet.
  static void send(std::unique_ptr<MirrorCopy> copy) noexcept;

  /// Still to be sent: nothing has spoken against it.
  bool wanted() const { return result_ == metrics::MirrorResult::kIncomplete; }
  bool complete() const { return complete_; }

 private:
  friend class Mirrors;
  bool reserve(std::size_t bytes);
  bool make_room(std::size_t body_bytes);
  void give_up(metrics::MirrorResult result) noexcept;
  template <class Step>
  void while_memory_lasts(Step step) noexcept;
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

/// The copies of one shard: how much memory they take, those that are complete, and those that are being sent. Each takes a
/// slot only if one is free and nobody waits there, under its deployment's timeouts; its answer is read and dropped.
class Mirrors {
 public:
  static constexpr std::size_t kProcessBytesMax = 64'000'000;  // contract, section 8; each shard has an equal share
  static constexpr std::size_t kSendingMax = 10'000;           // no more than there can be copies of some size

  Mirrors(runtime::Shard& shard, std::size_t shards, metrics::ShardCells& cells);
  Mirrors(const Mirrors&) = delete;
  Mirrors& operator=(const Mirrors&) = delete;
  /// With the copies that are complete and have not left.
  ~Mirrors();

  /// Ends all of them, for good. They are nobody's requests.
  void stop() noexcept;
  std::size_t sending() const { return sending_.running(); }

 private:
  friend class MirrorCopy;
  using AutoUnlink = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
  /// Keeps a wakeup where the end of all mirroring finds it.
  class Enlisted : public boost::intrusive::list_base_hook<AutoUnlink> {
   public:
    Enlisted(Mirrors& mirrors, runtime::Wakeup& to_wake) : wakeup(to_wake) { mirrors.enlisted_.push_back(*this); }
    Enlisted(const Enlisted&) = delete;
    Enlisted& operator=(const Enlisted&) = delete;

    runtime::Wakeup& wakeup;
  };
  /// Sends from the loop what is complete.
  class Departure final : public runtime::Message {
   public:
    explicit Departure(Mirrors& mirrors) : mirrors_(mirrors) {}

   private:
    void run() override { mirrors_.send_complete(); }
    void dropped() noexcept override {}
    Mirrors& mirrors_;
  };

  void send(std::unique_ptr<MirrorCopy> copy) noexcept;
  void send_complete() noexcept;
  Task<void> deliver(std::unique_ptr<MirrorCopy> copy);
  Task<metrics::MirrorResult> exchange(const MirrorCopy& copy, runtime::Wakeup& wakeup);

  runtime::Shard& shard_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  metrics::ShardCells& cells_;
  bool stopped_ = false;
  boost::intrusive::list<MirrorCopy> complete_;  // owned
  Departure departure_{*this};
  boost::intrusive::list<Enlisted, boost::intrusive::constant_time_size<false>> enlisted_;  // to be woken by the end
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
