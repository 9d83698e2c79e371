#include "router/proxy/heads.h"

#include <gtest/gtest.h>

#include <string>

namespace router::proxy {
namespace {

using BodyKind = wire::BodySize::Kind;

/// Takes the head of an answer, for a request of `method`; nothing else happens to it.
class HeadTaker final : public Downstream {
 public:
  explicit HeadTaker(http::Method method) { request_.method = method; }

  std::string lines;
  wire::BodySize size;

  void begin_head(int status, std::string_view) override { lines = std::to_string(status) + "\n"; }
  void field(std::string_view name, std::string_view value) override {
    lines.append(name).append(": ").append(value).append("\n");
  }
  void end_head(wire::BodySize ended) override { size = ended; }

  const http::RequestHead& head() const override { return request_; }
  const Peer& peer() const override { return peer_; }
  wire::BodySize request_size() const override { return {}; }
  Result<wire::Progress> read_body(wire::BodySink&) override { return wire::Progress::kEnded; }
  bool request_received() const override { return true; }
  std::uint64_t request_bytes() const override { return 0; }
  Result<Arrived> body_arrived() override { return Arrived{0, true}; }
  void send_continue() override {}
  bool owes_first_byte() const override { return false; }
  void keep_request() override {}
  bool rewind_request() override { return false; }
  wire::Progress drop_request() override { return wire::Progress::kEnded; }
  void interim(const http::ResponseHead&) override {}
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
  Result<void> flush() override { return {}; }
  bool blocked() const override { return false; }
  bool responded() const override { return true; }
  std::uint64_t response_bytes() const override { return 0; }
  std::uint64_t bytes_taken() const override { return 0; }
  void close_after() override {}
  void reset() override {}
  void arm_read() override {}
  void arm_write() override {}
  Result<void> still_wanted() override { return {}; }
  Result<void> may_take_slot() const override { return {}; }
  Result<void> within_grace() const override { return {}; }
  Deadline ask_again(TimePoint) const override { return kNever; }

 private:
  http::RequestHead request_;
  Peer peer_;
};

/// Writes the head of an answer with `status` that has no body and, if `length` is not empty, speaks of one all the same.
HeadTaker write(config::StatusProfile profile, int status, std::string_view length = {},
                http::Method method = http::Method::kPost) {
  model::Endpoint endpoint;
  endpoint.status_profile = profile;
  model::Deployment deployment;
  deployment.name = "blue";
  http::ResponseHead head;
  head.status = status;
  if (!length.empty()) head.fields.add({"Content-Length", length, http::Field::kContentLength});
  model::Route route;
  route.endpoint = &endpoint;
  route.deployment = &deployment;
  HeadTaker taker(method);
  write_response_head(taker, head, {}, route, RequestIds{});
  return taker;
}

bool has_length(const HeadTaker& taker) { return taker.lines.find("Content-Length") != std::string::npos; }

TEST(WriteResponseHead, SaysThatThe424InThePlaceOfAStatusWithoutBodyIsEmpty) {
  for (const int status : {204, 304}) {
    const HeadTaker taker = write(config::StatusProfile::kManaged, status, "5");
    EXPECT_TRUE(taker.lines.starts_with("424\n"));
    EXPECT_FALSE(has_length(taker)) << "the pod's length speaks of a body that never comes";
    EXPECT_EQ(taker.size.kind, BodyKind::kLength);
    EXPECT_EQ(taker.size.length, 0U);
  }
}

TEST(WriteResponseHead, LetsAHeadTellTheLengthThatItsGetWouldHave) {
  const HeadTaker taker = write(config::StatusProfile::kManaged, 500, "5", http::Method::kHead);
  EXPECT_TRUE(has_length(taker));
  EXPECT_EQ(taker.size.kind, BodyKind::kNone);
}

TEST(WriteResponseHead, TakesTheLengthFromA204AndLeavesItToA304) {
  EXPECT_FALSE(has_length(write(config::StatusProfile::kKubernetes, 204, "5")));
  EXPECT_TRUE(has_length(write(config::StatusProfile::kKubernetes, 304, "5")));
}

}  // namespace
}  // namespace router::proxy
