#pragma once

#include <absl/functional/function_ref.h>

#include <array>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "router/dispatch/namespace_home.h"
#include "router/dispatch/request_queue.h"
#include "router/metrics/cells.h"
#include "router/proxy/view.h"
#include "router/runtime/shard.h"
#include "router/runtime/task_group.h"
#include "router/runtime/wakeup.h"
#include "router/stream/request_sink.h"

namespace router::proxy {

class Mirrors;

/// A copy of a request for a mirrored deployment, collected during the live exchange (contract, section 8). A complete copy is
/// sent independently of the exchange; a copy that is destroyed before that is not sent. Each copy is counted once. The
/// functions that the live exchange calls throw nothing: a copy that finds no memory is dropped, and the exchange continues.
class MirrorCopy final : public stream::RequestSink, public boost::intrusive::list_base_hook<> {
 public:
  static constexpr std::size_t kBytesMax = 1'000'000;  // of one copy, head and body

  /// `view` keeps the deployment alive; `write_head` writes the head of the request. Null if the copy is not to be sent after
  /// all.
  static std::unique_ptr<MirrorCopy> begin(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment,
                                           http::Method method,
                                           absl::FunctionRef<void(stream::RequestSink&)> write_head) noexcept;
  MirrorCopy(Mirrors& mirrors, Views::Snapshot view, const model::Deployment& deployment, http::Method method);
  MirrorCopy(const MirrorCopy&) = delete;
  MirrorCopy& operator=(const MirrorCopy&) = delete;
  ~MirrorCopy();

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest,
                  std::string_view query) noexcept override;
  void field(std::string_view name, std::string_view value) noexcept override;
  void end_head(stream::BodySize size) noexcept override;
  void body_piece(std::string_view bytes) noexcept override;
  /// Trailers are not copied: the copy is sent with a Content-Length.
  void body_end(const http::Fields* trailers) noexcept override;
  /// The live exchange sends the body again from its beginning: drops the body collected so far.
  void restart_body() noexcept;

  /// Where the deployment was at home when the head was written: `dispatch::NamespaceHome::kHere`, or the index of a peer.
  void is_for(std::int32_t home) { home_ = home; }

  /// Sends a complete copy from the event loop, later: the live exchange has not been flushed yet.
  static void send(std::unique_ptr<MirrorCopy> copy) noexcept;

  /// The copy was not given up.
  bool wanted() const { return result_ == metrics::MirrorResult::kIncomplete; }
  bool complete() const { return complete_; }

 private:
  friend class Mirrors;
  bool reserve(std::size_t bytes);
  bool make_room(std::size_t body_bytes);
  void give_up(metrics::MirrorResult result) noexcept;
  template <class Step>
  void while_memory_lasts(Step step) noexcept;
  void write_to(stream::RequestSink& sink) const;

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
  std::int32_t home_ = dispatch::NamespaceHome::kHere;
  metrics::MirrorResult result_ = metrics::MirrorResult::kIncomplete;
  bool complete_ = false;
  bool has_body_ = false;
  std::size_t reserved_ = 0;
  std::string head_;  // all texts of the head, concatenated
  std::array<Span, 4> start_{};
  std::vector<std::pair<Span, Span>> fields_;
  std::string body_;
  std::size_t body_room_ = 0;
};

/// The copies of one shard: their memory, those that are complete, and those that are being sent. A copy is sent only if a slot
/// is free and no exchange waits for it, under its deployment's timeouts. Its answer is read and dropped. One shard.
class Mirrors {
 public:
  static constexpr std::size_t kProcessBytesMax = 64'000'000;  // contract, section 8; each shard has an equal share
  static constexpr std::size_t kSendingMax = 10'000;  // for copies so small that the limit of memory does not bound them
  static constexpr std::size_t kSentOnMax = 64;       // at the same time, to other routers: each uses a connection

  Mirrors(runtime::Shard& shard, std::size_t shards, metrics::ShardCells& cells);
  Mirrors(const Mirrors&) = delete;
  Mirrors& operator=(const Mirrors&) = delete;
  /// Destroys the copies that are complete and were not sent.
  ~Mirrors();

  /// Ends all copies, and drops later ones. No client waits for them.
  void stop() noexcept;
  std::size_t sending() const { return sending_.running(); }

 private:
  friend class MirrorCopy;
  using AutoUnlink = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
  /// Registers a wakeup that `stop` wakes.
  class Enlisted : public boost::intrusive::list_base_hook<AutoUnlink> {
   public:
    Enlisted(Mirrors& mirrors, runtime::Wakeup& to_wake) : wakeup(to_wake) { mirrors.enlisted_.push_back(*this); }
    Enlisted(const Enlisted&) = delete;
    Enlisted& operator=(const Enlisted&) = delete;

    runtime::Wakeup& wakeup;
  };
  /// Sends the complete copies from the event loop.
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
  /// A copy that another router serves holds a slot of that peer, which has no limit.
  static upstream::Peer* peer_of(const MirrorCopy& copy);
  dispatch::HeldSlot slot_for(const MirrorCopy& copy);
  Task<metrics::MirrorResult> exchange(const MirrorCopy& copy, dispatch::HeldSlot slot, runtime::Wakeup& wakeup);

  runtime::Shard& shard_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  metrics::ShardCells& cells_;
  bool stopped_ = false;
  std::size_t sent_on_ = 0;                      // copies that other routers have now
  boost::intrusive::list<MirrorCopy> complete_;  // owned by this object
  Departure departure_{*this};
  boost::intrusive::list<Enlisted, boost::intrusive::constant_time_size<false>> enlisted_;  // woken by `stop`
  runtime::TaskGroup sending_;
};

/// Passes each piece of a body to two sinks.
class Tee final : public stream::BodySink {
 public:
  Tee(stream::BodySink& first, stream::BodySink& second) : first_(first), second_(second) {}
  void body_piece(std::string_view bytes) override {
    first_.body_piece(bytes);
    second_.body_piece(bytes);
  }
  void body_end(const http::Fields* trailers) override {
    first_.body_end(trailers);
    second_.body_end(trailers);
  }

 private:
  stream::BodySink& first_;
  stream::BodySink& second_;
};

}  // namespace router::proxy
