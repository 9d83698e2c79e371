#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "router/admin/operator_server.h"
#include "router/runtime/timer_queue.h"

namespace router::admin {

/// One connection of an operator: reads a request, answers it, and so on. Lives in its pending handlers. Control thread.
class OperatorConnection : public std::enable_shared_from_this<OperatorConnection>, private runtime::Timer {
 public:
  using Routes = std::shared_ptr<const std::vector<OperatorRoute>>;
  /// Takes over `descriptor`; `ended` is called from the destructor.
  OperatorConnection(runtime::Shard& control, const OperatorServerOptions& options, Routes routes, int descriptor, int family,
                     std::function<void(OperatorConnection*)> ended);
  ~OperatorConnection() override;

  void start() { read(); }
  void close();
  void end_after_next_answer() { ends_ = true; }

 private:
  using Socket =
      boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void read();
  void on_read(const boost::system::error_code& error);
  void refuse(const boost::system::error_code& error);
  void respond();
  void write(Response response, const std::string& allow, bool keep_alive, bool head);
  void on_written(const boost::system::error_code& error, bool keep_alive);
  void wait_for_the_end();
  void expired() override { close(); }

  runtime::Shard& control_;
  const std::chrono::seconds timeout_;
  const std::size_t bytes_max_;
  const Routes routes_;
  const std::function<void(OperatorConnection*)> ended_;
  Socket socket_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  bool ends_ = false;
};

}  // namespace router::admin
