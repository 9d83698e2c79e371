#include "router/client/client.h"

#include "tests/unit/client/server.h"

namespace router::client::test {
namespace {

constexpr std::size_t kBodyMax = 1 << 20;

class ClientTest : public ServerTest {
 protected:
  ClientOptions options() const {
    ClientOptions to;
    to.host = "127.0.0.1";
    to.port = listener.address().port();
    return to;
  }
  auto start(Request request) {
    if (client == nullptr) client = std::make_unique<Client>(shard, resolver, options());
    return shard.start(client->open(*cancellation, std::move(request)));
  }
  static Request get(const std::string& target) {
    Request request;
    request.target = target;
    return request;
  }
  using Opened = TestShard::Started<Outcome<std::unique_ptr<Exchange>>>;
  std::string body_of(const Opened& opened) {
    std::string body;
    const auto reading = shard.start((*opened.peek())->read_all(*cancellation, body, kBodyMax, kNever));
    end(reading);
    EXPECT_TRUE(reading.peek().has_value());
    return body;
  }

  runtime::Resolver resolver{shard};
  std::unique_ptr<Client> client;
};

TEST_F(ClientTest, AsksManyTimesOnOneConnection) {
  Request request = get("/a?b=c");
  request.fields = {{"Accept", "text/plain"}};
  auto opened = start(request);
  const Descriptor server = accept();
  const std::string authority = listener.address().text();
  for (int i = 0; i < 3; ++i) {
    if (i > 0) opened = start(request);
    EXPECT_EQ(request_at(server), "GET /a?b=c HTTP/1.1\r\nHost: " + authority + "\r\nAccept: text/plain\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    end(opened);
    EXPECT_EQ((*opened.peek())->status(), 200);
    EXPECT_EQ(body_of(opened), "hello");
  }
  EXPECT_FALSE(is_asked_for_a_connection());
}

TEST_F(ClientTest, SendsABodyWithItsLength) {
  Request request = get("/");
  request.method = "POST";
  request.body = "{}\r\n\r\n";
  const auto opened = start(std::move(request));
  const Descriptor server = accept();
  EXPECT_TRUE(request_at(server).ends_with("\r\nContent-Length: 6\r\n\r\n{}\r\n\r\n"));
}

TEST_F(ClientTest, SkipsInterimAnswersAndNoMoreThanABound) {
  auto opened = start(get("/"));
  Descriptor server = accept();
  server.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
  end(opened);
  EXPECT_EQ((*opened.peek())->status(), 204);
  EXPECT_EQ(body_of(opened), "");
  opened = start(get("/"));
  for (int i = 0; i < 100; ++i) server.send("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(error_kind(opened), ErrorKind::kInterimOnly);
}

TEST_F(ClientTest, RefusesWhatIsNotHttp) {
  for (const char* answer :
       {"SSH-2.0-server\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    const auto opened = start(get("/"));
    accept().send(answer);
    EXPECT_EQ(error_kind(opened), ErrorKind::kInvalid) << answer;
    EXPECT_EQ(status_of(opened.peek().error()).message(), "it does not answer in valid HTTP/1.1");
  }
  const auto opened = start(get("/"));
  accept().send("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'));
  EXPECT_EQ(error_kind(opened), ErrorKind::kTooLarge);
}

TEST_F(ClientTest, GivesUpWhereAnAnswerDoesNotComeInTime) {
  const auto silent = start(get("/"));
  Descriptor server = accept();
  request_at(server);
  shard.advance(seconds(30));
  EXPECT_EQ(error_kind(silent), ErrorKind::kTimedOut);
  EXPECT_EQ(silent.peek().error().stage, Stage::kHead);

  Request hurried = get("/");
  hurried.deadline = shard.now() + seconds(2);
  const auto late = start(hurried);
  server = accept();
  server.send("HTTP/1.1 200 OK\r\n");
  shard.advance(seconds(2));
  EXPECT_EQ(error_kind(late), ErrorKind::kTimedOut) << "a part of a head is not an answer";
}

TEST_F(ClientTest, BoundsABodyThatTrickles) {
  const auto opened = start(get("/"));
  const Descriptor server = accept();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  end(opened);
  std::string body;
  const auto reading = shard.start((*opened.peek())->read_all(*cancellation, body, kBodyMax, shard.now() + seconds(3)));
  for (std::size_t i = 1; i <= 2; ++i) {
    server.send("x");
    ASSERT_TRUE(turn_until(shard, [&] { return body.size() == i; }));
    shard.advance(seconds(1));
  }
  EXPECT_FALSE(reading.done());
  shard.advance(seconds(1));
  EXPECT_EQ(error_kind(reading), ErrorKind::kTimedOut);
  EXPECT_EQ(reading.peek().error().stage, Stage::kBody);
}

TEST_F(ClientTest, RefusesABodyThatIsTooLarge) {
  const auto opened = start(get("/"));
  accept().send("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + std::string(2000, 'x'));
  end(opened);
  std::string body;
  const auto reading = shard.start((*opened.peek())->read_all(*cancellation, body, 1999, kNever));
  EXPECT_EQ(error_kind(reading), ErrorKind::kTooLarge);
  EXPECT_EQ(status_of(reading.peek().error()).message(), "its answer is larger than 1999 bytes");
}

TEST_F(ClientTest, EndsWhenItIsCancelled) {
  const auto opened = start(get("/"));
  const Descriptor server = accept();
  request_at(server);
  cancellation->cancel();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(error_kind(opened), ErrorKind::kCancelled) << "the cancellation takes precedence over an answer that has arrived";
  EXPECT_TRUE(turn_until(shard, [&] { return server.at_end(); }));
}

TEST_F(ClientTest, DoesNotUseAConnectionThatHasEndedOrRestedTooLong) {
  auto opened = start(get("/"));
  Descriptor server = accept();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  end(opened);
  body_of(opened);
  server.close();
  opened = start(get("/"));
  server = accept();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  end(opened);
  body_of(opened);
  shard.advance(seconds(31));
  opened = start(get("/"));
  EXPECT_TRUE(accept());
}

TEST_F(ClientTest, AsksAgainOnlyForWhatMayBeAskedTwice) {
  for (const char* method : {"GET", "POST"}) {
    auto opened = start(get("/"));
    Descriptor server = accept();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    end(opened);
    body_of(opened);
    Request again = get("/again");
    again.method = method;
    opened = start(again);
    request_at(server);
    server.close();  // at the moment when the client uses the connection again
    if (again.method == "GET") {
      accept().send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      end(opened);
      EXPECT_TRUE(opened.peek().has_value());
      body_of(opened);
    } else {
      EXPECT_EQ(error_kind(opened), ErrorKind::kFailed) << "the server may have executed the request";
    }
  }
}

TEST_F(ClientTest, ClosesAConnectionWhoseBodyWasNotRead) {
  {
    auto opened = start(get("/"));
    const Descriptor server = accept();
    request_at(server);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome");
    end(opened);
    std::unique_ptr<Exchange> exchange = *opened.get();
    exchange.reset();
    EXPECT_TRUE(turn_until(shard, [&] { return server.at_end(); }));
  }
  start(get("/"));
  EXPECT_TRUE(accept());
}

}  // namespace
}  // namespace router::client::test
