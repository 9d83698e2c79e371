#include "router/proxy/drain_answer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string_view>

#include "router/http/framing.h"
#include "router/http1/message_input.h"
#include "tests/support/test_shard.h"
#include "tests/support/wire.h"

namespace router::proxy {
namespace {

using namespace std::chrono_literals;

class Drain final : public stream::Cancellation {
 public:
  bool over = false;
  Result<void> still_wanted() override { return Failure::downstream(Reason::kClientClosed, "the client left"); }
  Result<void> may_take_slot() const override {
    if (over) return Failure::internal(Reason::kDraining, "the drain's grace is over");
    return {};
  }
  Deadline ask_again(TimePoint) const override { return kNever; }
};

/// The pod's side over a wire. It has what an answer needs, and no slot.
class Answering final : public upstream::UpstreamExchange {
 public:
  explicit Answering(runtime::Shard& shard, runtime::Wakeup& wakeup)
      : UpstreamExchange(false, true), pod(shard), input_(shard, Origin::kUpstream) {
    pod.stream.socket().set_waker(&wakeup);
  }
  test::Wire pod;

  Result<const http::ResponseHead*> response_head() override {
    if (parsed_) return &head_;
    const Result<std::string_view> bytes = input_.head(pod.stream, 65536);
    if (!bytes) return bytes.error();
    if (bytes->empty()) return nullptr;
    if (const Result<void> parsed = http::parse_response(*bytes, head_); !parsed) return parsed.error();
    parsed_ = true;
    if (head_.status >= 200) input_.begin_body(*http::response_framing(head_, http::Method::kPost));
    return &head_;
  }
  void skip_interim() override {
    input_.skip_head();
    parsed_ = false;
  }
  Result<stream::Progress> read_body(stream::BodySink& sink) override { return input_.read_body(pod.stream, sink); }
  void arm_read() override { pod.stream.arm_read(); }

  // The tests call none of these.
  void begin_head(std::string_view, std::string_view, std::string_view, std::string_view) override {}
  void field(std::string_view, std::string_view) override {}
  void end_head(stream::BodySize) override {}
  void body_piece(std::string_view) override {}
  void body_end(const http::Fields*) override {}
  Result<void> flush() override { return {}; }
  bool blocked() const override { return false; }
  bool request_sent() const override { return true; }
  stream::BodySize response_size() const override { return {}; }
  void arm_write() override {}
  upstream::Unseen ended_unseen() const override { return upstream::Unseen::kNo; }
  upstream::Leaving leaving() const override { return upstream::Leaving::kReusable; }
  stream::Progress leave(upstream::Leaving) override { return stream::Progress::kEnded; }

 private:
  http1::MessageInput input_;
  http::ResponseHead head_;
  bool parsed_ = false;
};

class DrainAnswerTest : public ::testing::Test {
 protected:
  DrainAnswerTest() {
    deployment.request_timeout = 5s;
    deployment.stream_idle_timeout = 60s;
  }
  void begin() { draining = shard.start(drain_answer(exchange, deployment, wakeup, cancellation)); }
  void pod_sends(std::string_view bytes) {
    exchange.pod.far.send(bytes);
    shard.poll();
    shard.advance(0s);
  }
  Reason reason() {
    EXPECT_TRUE(draining.done());
    if (!draining.done()) return Reason::kNone;
    const Result<void> drained = draining.get();
    return drained ? Reason::kNone : drained.error().reason;
  }

  test::TestShard shard;
  runtime::Wakeup wakeup{shard};
  Drain cancellation;
  Answering exchange{shard, wakeup};
  model::Deployment deployment;
  test::TestShard::Started<Result<void>> draining;
};

constexpr std::string_view kAnswerHead = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";

TEST_F(DrainAnswerTest, ReadsTheAnswerToItsEnd) {
  begin();
  pod_sends(kAnswerHead);
  pod_sends("ab");
  EXPECT_FALSE(draining.done());
  pod_sends("cd");
  EXPECT_EQ(reason(), Reason::kNone);
}

TEST_F(DrainAnswerTest, WaitsTheRequestTimeoutForTheHead) {
  begin();
  shard.advance(4999ms);
  EXPECT_FALSE(draining.done());
  shard.advance(1ms);
  EXPECT_EQ(reason(), Reason::kUpstreamTimeout);
}

TEST_F(DrainAnswerTest, IsNotProlongedByInterimResponses) {
  begin();
  for (int second = 0; second < 5; ++second) {
    EXPECT_FALSE(draining.done());
    pod_sends("HTTP/1.1 103 Early Hints\r\n\r\n");
    shard.advance(1s);
  }
  EXPECT_EQ(reason(), Reason::kUpstreamTimeout);
}

TEST_F(DrainAnswerTest, LetsOthersHaveTheirTurnBetweenInterimResponses) {
  exchange.pod.far.send("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 204 C\r\n\r\n");
  begin();
  EXPECT_FALSE(draining.done());
  shard.advance(1ms);
  EXPECT_FALSE(draining.done());
  shard.advance(1ms);
  EXPECT_EQ(reason(), Reason::kNone);
}

TEST_F(DrainAnswerTest, WaitsTheIdleTimeoutBetweenTwoPieces) {
  begin();
  pod_sends(kAnswerHead);
  for (const char* piece : {"a", "b", "c"}) {
    shard.advance(59s);
    pod_sends(piece);
    EXPECT_FALSE(draining.done());
  }
  shard.advance(59'999ms);
  EXPECT_FALSE(draining.done());
  shard.advance(1ms);
  EXPECT_EQ(reason(), Reason::kUpstreamTimeout);
}

TEST_F(DrainAnswerTest, FailsWhenThePodLeavesBeforeTheHead) {
  begin();
  exchange.pod.far.close();
  shard.poll();
  EXPECT_EQ(reason(), Reason::kUpstreamReset);
}

TEST_F(DrainAnswerTest, FailsWhenThePodLeavesInTheBody) {
  begin();
  pod_sends(kAnswerHead);
  exchange.pod.far.close();
  shard.poll();
  EXPECT_EQ(reason(), Reason::kUpstreamReset);
}

TEST_F(DrainAnswerTest, EndsWithTheDrainsGraceAtEachState) {
  for (const std::string_view sent : {std::string_view(), kAnswerHead}) {
    exchange.pod.far.send(sent);
    begin();
    shard.poll();
    EXPECT_FALSE(draining.done());
    cancellation.over = true;
    wakeup.wake();
    shard.poll();
    EXPECT_EQ(reason(), Reason::kDraining);
    cancellation.over = false;
  }
}

}  // namespace
}  // namespace router::proxy
