#include <atomic>
#include <thread>

#include "tests/unit/tls/peers.h"

namespace router::tls::test {
namespace {

/// A client that connects again with the session of its last connection.
class Returning {
 public:
  explicit Returning(int version) : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_max_proto_version(context_.get(), version);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(context_.get(), this);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto& self = *static_cast<Returning*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self.session_.reset(session);
      ++self.tickets;
      return 1;
    });
  }

  /// Connects to `server`. Returns whether both sides report that they have resumed an earlier session.
  bool resumes(ServerContext& server, const char* name = "localhost") {
    TestShard shard;
    const auto ends = socket_pair();
    Stream stream(runtime::Socket(shard, ends[0]), server);
    RawPeer peer(ends[1], context_.get(), false);
    SSL_set_tlsext_host_name(peer.ssl(), name);
    if (session_) SSL_set_session(peer.ssl(), session_.get());
    const IoResult result = shake(stream, peer);
    EXPECT_EQ(result.state, IoState::kDone) << result.cause;
    peer.read();  // consumes the ticket
    // OpenSSL reports a ticket of TLS 1.2 only once, and not its replacement.
    if (SSL_version(peer.ssl()) == TLS1_2_VERSION) session_.reset(SSL_get1_session(peer.ssl()));
    EXPECT_EQ(SSL_session_reused(peer.ssl()) == 1, stream.resumed());
    SSL_shutdown(peer.ssl());
    return stream.resumed();
  }

  int tickets = 0;

 private:
  Owned<SSL_CTX> context_;
  Owned<SSL_SESSION> session_;
};

class Resumption : public ::testing::TestWithParam<int> {
 protected:
  Returning client_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Versions, Resumption, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) { return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13"; });

TEST_P(Resumption, WorksOnEveryShardWithOneTicketAConnection) {
  ServerOptions options;
  options.certificates = {files(localhost())};
  const auto shards = ServerContext::make(options, ticket_keys(), 2).value();
  EXPECT_FALSE(client_.resumes(*shards[0]));
  EXPECT_EQ(client_.tickets, 1);
  EXPECT_TRUE(client_.resumes(*shards[1]));
  EXPECT_TRUE(client_.resumes(*shards[0]));
  // A ticket of TLS 1.3 is used once, so each connection brings the next one. A ticket of 1.2 is kept.
  EXPECT_EQ(client_.tickets, GetParam() == TLS1_2_VERSION ? 1 : 3);
}

TEST_P(Resumption, SurvivesAReloadWithTheSameKeys) {
  const auto keys = ticket_keys();
  EXPECT_FALSE(client_.resumes(*server_context({localhost()}, {}, keys)));
  EXPECT_TRUE(client_.resumes(*server_context({localhost()}, {}, keys)));
  EXPECT_FALSE(client_.resumes(*server_context({localhost()}, {}, ticket_keys()))) << "other keys";
}

TEST_P(Resumption, WorksWhereSniChoosesAnotherCertificate) {
  CertificateRequest request;
  request.names = {"other.example"};
  const CertificatePaths other = authority().issue(request);
  const auto keys = ticket_keys();
  EXPECT_FALSE(client_.resumes(*server_context({localhost(), other}, {}, keys), "other.example"));
  EXPECT_TRUE(client_.resumes(*server_context({localhost(), other}, {}, keys), "other.example"));
}

TEST_P(Resumption, AcceptsTheTwoKeysBeforeTheNewest) {
  const auto keys = ticket_keys();
  const auto context = server_context({localhost()}, {}, keys);
  client_.resumes(*context);
  keys->rotate();
  keys->rotate();
  EXPECT_TRUE(client_.resumes(*context));
  keys->rotate();
  keys->rotate();
  EXPECT_TRUE(client_.resumes(*context)) << "the new ticket was encrypted with the newest key at that time";
  keys->rotate();
  keys->rotate();
  keys->rotate();
  EXPECT_FALSE(client_.resumes(*context)) << "three rotations later the key is gone";
}

TEST_P(Resumption, WorksBetweenRoutersThatShareKeyFiles) {
  const std::string old_key = authority().write_file(std::string(80, 'a'));
  const std::string new_key = authority().write_file(std::string(79, 'b') + '\n');
  EXPECT_FALSE(client_.resumes(*server_context({localhost()}, {}, ticket_keys({old_key}))));
  EXPECT_TRUE(client_.resumes(*server_context({localhost()}, {}, ticket_keys({new_key, old_key}))));
  EXPECT_TRUE(client_.resumes(*server_context({localhost()}, {}, ticket_keys({new_key}))))
      << "the key of the first file encrypts";
}

TEST_P(Resumption, KeepsKeysFromFilesWhenTheOthersRotate) {
  const auto keys = ticket_keys({authority().write_file(std::string(80, 'c'))});
  const auto context = server_context({localhost()}, {}, keys);
  client_.resumes(*context);
  for (int i = 0; i < 5; ++i) keys->rotate();
  EXPECT_TRUE(client_.resumes(*context));
}

TEST_P(Resumption, GoesOnWhenAReloadAddsAKeyAndEndsWhenItsOwnIsGone) {
  const std::string first = authority().write_file(std::string(80, 'd'));
  const std::string second = authority().write_file(std::string(80, 'e'));
  const auto keys = ticket_keys({first});
  const auto context = server_context({localhost()}, {}, keys);  // the contexts of running listeners stay
  client_.resumes(*context);
  keys->replace_by(*ticket_keys({second, first}));
  EXPECT_TRUE(client_.resumes(*context)) << "the key is still among the files";
  keys->replace_by(*ticket_keys({second}));
  EXPECT_TRUE(client_.resumes(*context)) << "the last ticket was encrypted with the first key";
  keys->replace_by(*ticket_keys({first}));
  EXPECT_FALSE(client_.resumes(*context)) << "its key is gone";
}

TEST_P(Resumption, GoesOnWhenAReloadFindsRandomKeysAgain) {
  const auto keys = ticket_keys();
  const auto context = server_context({localhost()}, {}, keys);
  client_.resumes(*context);
  keys->replace_by(*ticket_keys());
  EXPECT_TRUE(client_.resumes(*context));
  keys->replace_by(*ticket_keys({authority().write_file(std::string(80, 'f'))}));
  EXPECT_FALSE(client_.resumes(*context)) << "random keys were replaced by those of files";
  keys->replace_by(*ticket_keys());
  EXPECT_FALSE(client_.resumes(*context)) << "the keys of files were replaced by random ones";
  keys->rotate();
  EXPECT_TRUE(client_.resumes(*context)) << "random keys rotate again";
}

TEST(TicketKeyFiles, AreRefusedAllAtOnceEachByItsPlace) {
  const std::string good = authority().write_file(std::string(80, 'a'));
  const std::string bad = authority().write_file("short");
  std::vector<FileMistake> mistakes;
  EXPECT_FALSE(TicketKeys::make({bad, good, "/no/such/key"}, &mistakes).ok());
  ASSERT_EQ(mistakes.size(), 2u);
  EXPECT_EQ(mistakes[0].index, 0u);
  EXPECT_EQ(mistakes[0].role, FileMistake::Role::kTicketKey);
  EXPECT_EQ(mistakes[0].text, bad + ": a ticket key is 80 random bytes (openssl rand 80)");
  EXPECT_EQ(mistakes[1].index, 2u);
  EXPECT_EQ(mistakes[1].text, "/no/such/key: cannot be read: No such file or directory");
  mistakes.clear();
  EXPECT_FALSE(TicketKeys::make(std::vector<std::string>(17, good), &mistakes).ok());
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_EQ(mistakes[0].text, good + ": more than 16 ticket keys");
}

TEST(TicketKeyFiles, AreRefusedWhenNot80Bytes) {
  const std::string file = authority().write_file(std::string(48, 'a'));
  const auto made = TicketKeys::make({file});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().message(), file + ": a ticket key is 80 random bytes (openssl rand 80)");
  EXPECT_FALSE(TicketKeys::make({"/no/such/key"}).ok());
}

TEST(TicketKeys, MayRotateAndBeReplacedWhileShardsUseThem) {
  const auto keys = ticket_keys();
  ServerOptions options;
  options.certificates = {files(localhost())};
  const auto shards = ServerContext::make(options, keys, 2).value();
  std::atomic<bool> ended = false;
  std::vector<std::thread> threads;
  for (const auto& context : shards) {
    threads.emplace_back([&ended, context] {
      Returning client(TLS1_3_VERSION);
      for (int i = 0; i < 40; ++i) client.resumes(*context);
      ended = true;
    });
  }
  const auto from_file = ticket_keys({authority().write_file(std::string(80, 'a'))});
  const auto random = ticket_keys();
  while (!ended) {
    keys->rotate();
    keys->replace_by(*from_file);
    keys->replace_by(*random);
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace router::tls::test
