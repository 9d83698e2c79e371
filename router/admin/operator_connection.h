#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/admin/gzip.h"
#include "router/admin/operator_connections.h"
#include "router/admin/operator_server.h"
#include "router/admin/own_host.h"
#include "router/admin/piece_scheduler.h"
#include "router/runtime/timer_queue.h"

namespace router::admin {

/// One connection of an operator: reads requests and answers them, one after the other. Its pending handlers keep it alive.
/// Control thread.
class OperatorConnection : public std::enable_shared_from_this<OperatorConnection>,
                           private OperatorConnections::Holder,
                           private PieceScheduler::Maker,
                           private runtime::Timer {
 public:
  /// What the connections of a listener share.
  struct Served {
    Served(runtime::Shard& control, OperatorServerOptions how, std::vector<OperatorRoute> what)
        : options(std::move(how)),
          routes(std::move(what)),
          own_host(options.address),
          scheduler(std::make_shared<PieceScheduler>(control, options.scrapes_max)) {}
    const OperatorServerOptions options;
    const std::vector<OperatorRoute> routes;
    const OwnHost own_host;
    const std::shared_ptr<PieceScheduler> scheduler;
  };
  /// Takes over `descriptor`.
  OperatorConnection(runtime::Shard& control, std::shared_ptr<const Served> served,
                     std::shared_ptr<OperatorConnections> connections, int descriptor, int family);

  void start();

 private:
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  /// An answer that is made in pieces. Its head has been written.
  struct InPieces {
    Pieces source;
    std::optional<Gzip> gzip;  // none: not compressed
    bool chunked = false;      // false: it ends with the connection (HTTP/1.0)
    bool keep_alive = false;
    bool ended = false;
    std::string text;  // the current piece
    std::string out;   // the bytes to be written
  };

  void close() override;
  void end_after_next_answer() override { ends_ = true; }
  bool has_arrived() const override;

  void wait_for_request(TimePoint end);
  void read_head();
  void read_body();
  void on_read(const boost::system::error_code& error);
  void refuse(const boost::system::error_code& error);
  void respond();
  std::optional<Response> refuse_web_page() const;
  void write(Response response, const std::string& allow, bool keep_alive, bool head);
  void write_in_pieces(Response response, bool keep_alive, bool head);
  void make_piece() override;
  void cut() override { close(); }
  void write_piece();
  void on_piece_written(const boost::system::error_code& error);
  std::shared_ptr<PieceScheduler::Maker> as_maker() { return {shared_from_this(), this}; }
  void on_written(const boost::system::error_code& error, bool keep_alive);
  void wait_for_the_end();
  void expired() override { close(); }

  runtime::Shard& control_;
  const std::shared_ptr<const Served> served_;
  Socket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  Deadline head_end_ = kNever;  // of the first request: counts from accept, not from its first byte
  bool ends_ = false;
  std::unique_ptr<InPieces> in_pieces_;
};

}  // namespace router::admin
