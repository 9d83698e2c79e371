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

/// The server that a client uses, and the limits of its waits.
struct ClientOptions {
  std::string host;  // a name or an IP address; IPv6 without brackets
  std::uint16_t port = 0;
  std::string server_name;  // the name that its certificate must have
  /// Called before each connection is opened; returns its TLS context. An empty function or nullptr means plaintext.
  std::function<std::shared_ptr<tls::ClientContext>()> tls;
  std::chrono::seconds connect_max{5};  // for look-up, TCP and TLS together
  std::chrono::seconds head_wait{30};   // from the request to the head of the response
  std::size_t resting_max = 4;          // idle connections that are kept
  std::chrono::seconds rest_max{30};    // a connection that is idle for longer is not used again
  ConnectOptions connect{std::chrono::seconds(30)};
};

struct Request {
  std::string method = "GET";
  std::string target;                                       // path and query
  std::vector<std::pair<std::string, std::string>> fields;  // without Host and the fields of the body's size
  std::string body;                                         // empty: none
  Deadline deadline = kNever;                               // for the head of the response, besides the client's limits
};

class Client;

/// A request that was sent, and its response, whose head has arrived; the body is read as it arrives. The connection goes back
/// to the client when the body is complete. Destroying the exchange before that closes the connection. The client outlives it.
class Exchange {
 public:
  Exchange(Client& client, std::unique_ptr<Connection> connection, const http::ResponseHead& head)
      : client_(client), connection_(std::move(connection)), head_(head), status_(head.status) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  int status() const { return status_; }
  /// Valid until the body is complete.
  const http::ResponseHead& head() const { return head_; }
  /// Waits for bytes of the body and appends them: at least one, unless the body is complete.
  Task<Outcome<Body>> read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline);
  /// Appends the whole body. Fails with kTooLarge if `into` becomes larger than `bytes_max`.
  Task<Outcome<void>> read_all(runtime::Cancellation& cancellation, std::string& into, std::size_t bytes_max,
                               Deadline deadline);

 private:
  Client& client_;
  std::unique_ptr<Connection> connection_;  // nullptr: given back or closed
  const http::ResponseHead& head_;          // a member of the connection
  const int status_;
};

/// An HTTP/1.1 client of one server, over TLS or plaintext. It keeps connections open and uses them again, and does not
/// interpret what is sent. Control thread. Several coroutines may use it at the same time; it outlives their exchanges.
class Client {
 public:
  /// `resolver` outlives the client.
  Client(runtime::Shard& control, runtime::Resolver& resolver, ClientOptions options);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Sends `request` and waits for the head of the response. If a kept connection turns out to be closed, a GET is sent again:
  /// the server may have closed the connection while the request was on its way.
  Task<Outcome<std::unique_ptr<Exchange>>> open(runtime::Cancellation& cancellation, Request request);

  const std::string& authority() const { return authority_; }
  /// The addresses that the last look-up of the server returned; empty: there was none yet.
  const std::vector<runtime::Address>& addresses() const { return addresses_; }
  runtime::Shard& shard() { return shard_; }

 private:
  friend class Exchange;
  Task<Outcome<std::unique_ptr<Connection>>> connect(runtime::Cancellation& cancellation, Deadline deadline);
  /// An idle connection that can still be used, or nullptr.
  std::unique_ptr<Connection> take_resting(runtime::Cancellation& cancellation);
  void give_back(std::unique_ptr<Connection> connection);
  void write(const Request& request, http1::MessageOutput& output) const;

  runtime::Shard& shard_;
  runtime::Resolver& resolver_;
  const ClientOptions options_;
  const std::string authority_;
  std::vector<runtime::Address> addresses_;
  std::vector<std::unique_ptr<Connection>> resting_;
};

}  // namespace router::client
