#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "router/http/framing.h"
#include "router/http1/body_size.h"
#include "router/http1/message_input.h"
#include "router/http1/message_output.h"
#include "router/upstream/exchange.h"
#include "tests/fuzz/support.h"
#include "tests/support/served_shard.h"
#include "tests/support/wire.h"
#include "tls/stream.h"

/// Both sides of a proxied exchange for fuzz targets, without a network: connections are socket pairs, and the clock stands
/// still.
namespace router::fuzz {

/// A connection whose other end the fuzz target holds.
class Wire {
 public:
  explicit Wire(runtime::Shard& shard) : wire_(shard) {}

  tls::Stream& stream() { return wire_.stream; }
  /// Sets the bytes that will arrive, `cut` at a time (0: all at once), followed by the end of the connection.
  void feed(std::string_view bytes, std::size_t cut) {
    coming_ = bytes;
    cut_ = cut == 0 ? std::max<std::size_t>(bytes.size(), 1) : cut;
  }
  /// Delivers the next bytes, or the end of the connection. The reader must not wait for anything after the end.
  void go_on() {
    require(!ended_);
    const std::string_view piece = coming_.substr(0, cut_);
    coming_.remove_prefix(piece.size());
    if (piece.empty()) {
      ended_ = true;
      ::shutdown(wire_.far.get(), SHUT_WR);
    } else {
      require(::send(wire_.far.get(), piece.data(), piece.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(piece.size()));
    }
  }
  bool ended() const { return ended_; }
  /// All bytes that the router's side has sent so far.
  const std::string& sent() {
    sent_ += wire_.far.received();
    return sent_;
  }
  std::string take_sent() {
    sent();
    return std::exchange(sent_, {});
  }

 private:
  test::Wire wire_;
  std::string_view coming_;
  std::size_t cut_ = 1;
  bool ended_ = false;
  std::string sent_;
};

/// One shard with its server for the whole process. It is never destroyed.
struct World : test::ServedShard {
  World() { publish(); }
  static World& get() {
    static auto* const world = new World;
    return *world;
  }
};

/// The replica's side without a replica. Requests are written to a Wire in HTTP/1.1, and answers are read from it.
class MemoryExchange final : public upstream::UpstreamExchange {
 public:
  MemoryExchange(runtime::Shard& shard, http::Method method)
      : UpstreamExchange(false, true),
        wire_(shard),
        input_(shard, Origin::kUpstream),
        output_(shard.buffers()),
        method_(method) {}

  Wire& wire() { return wire_; }

  void begin_head(std::string_view method, std::string_view path, std::string_view path_rest, std::string_view query) override {
    output_.begin_request(method, path, path_rest, query);
  }
  void field(std::string_view name, std::string_view value) override { output_.field(name, value); }
  void end_head(stream::BodySize size) override { output_.end_head(http1::framing_of(size)); }
  void body_piece(std::string_view bytes) override { output_.body_piece(bytes); }
  void body_end(const http::Fields* trailers) override { output_.body_end(trailers); }
  Result<void> flush() override {
    require(output_.queue().flush(wire_.stream()).state == runtime::IoState::kDone);
    wire_.sent();
    return {};
  }
  bool blocked() const override { return output_.queue().blocked(); }
  bool request_sent() const override { return output_.body_ended() && output_.queue().empty(); }

  Result<const http::ResponseHead*> response_head() override {
    if (head_parsed_) return &head_;
    const Result<std::string_view> bytes = input_.head(wire_.stream(), kHeadBytesMax);
    if (!bytes) return bytes.error();
    if (bytes->empty()) return nullptr;
    if (const Result<void> parsed = http::parse_response(*bytes, head_); !parsed) return parsed.error();
    if (head_.status == 101) return Failure::upstream(Reason::kUpstreamInvalidResponse, "switched protocols");
    const Result<http::Framing> framing = http::response_framing(head_, method_);
    if (!framing) return framing.error();
    head_parsed_ = true;
    if (head_.status >= 200) input_.begin_body(*framing);
    return &head_;
  }
  void skip_interim() override {
    input_.skip_head();
    head_parsed_ = false;
  }
  stream::BodySize response_size() const override {
    const http::Framing& framing = input_.framing();
    if (framing.kind == http::Framing::Kind::kNone) return {};
    if (framing.kind == http::Framing::Kind::kLength) return {stream::BodySize::Kind::kLength, framing.length};
    return {stream::BodySize::Kind::kUnknown};
  }
  Result<stream::Progress> read_body(stream::BodySink& sink) override { return input_.read_body(wire_.stream(), sink); }

  // The tests need no slot and no connection of its own, so these do nothing.
  upstream::Unseen ended_unseen() const override { return upstream::Unseen::kNo; }
  void arm_read() override {}
  void arm_write() override {}
  upstream::Leaving leaving() const override { return upstream::Leaving::kClose; }
  stream::Progress leave(upstream::Leaving) override { return stream::Progress::kEnded; }

 private:
  static constexpr std::size_t kHeadBytesMax = 64 * 1024;

  Wire wire_;
  http1::MessageInput input_;
  http1::MessageOutput output_;
  const http::Method method_;
  bool head_parsed_ = false;
  http::ResponseHead head_;
};

}  // namespace router::fuzz
