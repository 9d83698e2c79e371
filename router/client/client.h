#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "router/client/connect.h"
#include "router/client/connection.h"

namespace router::client {

/// The server of a client, and what is waited for at most.
struct ClientOptions {
  std::string host;  // a name or an address, an IPv6 address without brackets
  std::uint16_t port = 0;
  std::string server_name;  // in its certificate
  /// Asked before each connection: what TLS it is to have; empty or nullptr: plaintext.
  std::function<std::shared_ptr<tls::ClientContext>()> tls;
  std::chrono::seconds connect_max{5};  // look-up, TCP and TLS
  std::chrono::seconds head_wait{30};   // from the request until the answer's head
  std::size_t resting_max = 4;          // connections that are kept for later exchanges
  std::chrono::seconds rest_max{30};    // then they are not used any more
  ConnectOptions connect{std::chrono::seconds(30)};
};

struct Request {
  std::string method = "GET";
  std::string target;                                       // path and query
  std::vector<std::pair<std::string, std::string>> fields;  // beside Host and those of the body's size
  std::string body;                                         // empty: none
  Deadline deadline = kNever;                               // until the answer's head, beside the client's own bounds
};

class Client;

/// A request that was sent and whose answer's head has come: its body is read as it arrives. Its end gives the connection back
/// if the body was read to its end, and closes it otherwise. The client outlives it.
class Exchange {
 public:
  Exchange(Client& client, std::unique_ptr<Connection> connection, const http::ResponseHead& head)
      : client_(client), connection_(std::move(connection)), head_(head), status_(head.status) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  int status() const { return status_; }
  /// Until the body is read.
  const http::ResponseHead& head() const { return head_; }
  /// Appends what has arrived of the body, at least one byte unless it is complete.
  Task<Outcome<Body>> read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);
  /// All of the body. Fails with kTooLarge beyond `bytes_max`.
  Task<Outcome<void>> read_all(runtime::Cancellation& cancellation, std::string& into, std::size_t bytes_max,
                               Deadline deadline);

 private:
  Client& client_;
  std::unique_ptr<Connection> connection_;  // nullptr: given back or broken
  const http::ResponseHead& head_;          // of the connection
  const int status_;
};

/// A client of one server over HTTP/1.1 and TLS, whose connections are kept open and used again. It knows nothing of what is
/// asked. Control thread. Several coroutines may use it at once; it outlives their exchanges.
class Client {
 public:
  /// `resolver` outlives the client.
  Client(runtime::Shard& control, runtime::Resolver& resolver, ClientOptions options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Sends `request` and waits for the answer's head. A GET is tried again if a connection that had rested turns out to have
  /// ended: the server may have ended it at the moment when it was used again.
  Task<Outcome<std::unique_ptr<Exchange>>> open(runtime::Cancellation& cancellation, Request request);

  const std::string& authority() const { return authority_; }
  /// At which it was reached for last; empty: not yet.
  const std::vector<runtime::Address>& addresses() const { return addresses_; }
  runtime::Shard& shard() { return shard_; }

 private:
  friend class Exchange;
  Task<Outcome<std::unique_ptr<Connection>>> connect(runtime::Cancellation& cancellation, Deadline deadline);
  /// One that rests and can still be used, or nullptr.
  std::unique_ptr<Connection> take_resting(runtime::Cancellation& cancellation);
  void give_back(std::unique_ptr<Connection> connection);
  void write(const Request& request, wire::MessageOutput& output) const;

  runtime::Shard& shard_;
  runtime::Resolver& resolver_;
  const ClientOptions options_;
  const std::string authority_;
  std::vector<runtime::Address> addresses_;
  std::vector<std::unique_ptr<Connection>> resting_;
};

}  // namespace router::client
