#pragma once

#include <memory>

#include "router/base/frame_cache.h"
#include "router/http1/body_size.h"
#include "router/upstream/connection.h"
#include "router/upstream/exchange.h"

namespace router::upstream {

/// An exchange over HTTP/1.1: one connection, one request at a time (RFC 9112).
class Http1Exchange final : public UpstreamExchange {
 public:
  /// `held_slot` outlives the exchange. `waited`: what `waited()` returns.
  Http1Exchange(const dispatch::HeldSlot& held_slot, std::shared_ptr<Connection> connection, bool waited, http::Method method,
                runtime::Wakeup& wakeup);
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query) override;
  void field(std::string_view name, std::string_view value) override { connection_->output().field(name, value); }
  void end_head(stream::BodySize size) override { connection_->output().end_head(http1::framing_of(size)); }
  void body_piece(std::string_view bytes) override { connection_->output().body_piece(bytes); }
  void body_end(const http::Fields* trailers) override { connection_->output().body_end(trailers); }
  Result<void> flush() override;
  bool blocked() const override { return connection_->output().queue().blocked(); }
  bool request_sent() const override;

  Result<const http::ResponseHead*> response_head() override;
  void skip_interim() override;
  stream::BodySize response_size() const override { return http1::size_of(connection_->input().framing()); }
  Result<stream::Progress> read_body(stream::BodySink& sink) override {
    return connection_->input().read_body(connection_->stream(), sink);
  }

  Unseen ended_unseen() const override;
  void arm_read() override { connection_->stream().arm_read(); }
  void arm_write() override { connection_->stream().arm_write(); }
  Leaving leaving() const override;
  stream::Progress leave(Leaving how) override;

 private:
  Unseen ended_unannounced() const;
  void finish();
  stream::Progress close();
  void rest();
  void rest_in_pool();
  /// Records that a reused connection has ended without a byte of the answer.
  void note_broken();

  static constexpr std::size_t kHeadBytesMax = 64 * 1024;

  const dispatch::HeldSlot& held_slot_;
  std::shared_ptr<Connection> connection_;
  runtime::Wakeup& wakeup_;
  const http::Method method_;
  const std::uint64_t sent_before_;  // bytes that earlier exchanges sent on this connection
  bool heard_ = false;               // a head has arrived, possibly an interim one
  bool broken_ = false;
  bool head_parsed_ = false;
  bool keeps_alive_ = false;
  http::ResponseHead head_;
};

}  // namespace router::upstream
