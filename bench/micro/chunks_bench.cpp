#include <absl/strings/str_cat.h>
#include <benchmark/benchmark.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <string>
#include <string_view>

#include "bench/micro/measured.h"
#include "router/http/framing.h"

/// A chunked body of 64 KB, decoded without a copy: Beast's parser at the level at which the router uses it for heads, and
/// BodyDecoder (docs/decisions/0065). The same in both: all bytes are at hand; the caller is told of each run of body bytes.
/// Beast's parser reads a head of three lines first: it cannot begin with a body. BodyDecoder also checks chunk extensions and
/// keeps trailers, of which there are none here. The argument is the size of a chunk: tokens of a language model, then files.
namespace router {
namespace {

namespace beast_http = boost::beast::http;
using boost::system::error_code;
using string_view = boost::beast::string_view;

constexpr std::size_t kBodyBytes = 64 * 1024;

std::string chunks_of(std::size_t size) {
  std::string body;
  for (std::size_t sent = 0; sent < kBodyBytes; sent += size) {
    absl::StrAppend(&body, absl::Hex(size), "\r\n", std::string(size, 'x'), "\r\n");
  }
  return body.append("0\r\n\r\n");
}

class BeastChunks final : public beast_http::basic_parser<false> {
 public:
  std::size_t body_bytes() const { return body_bytes_; }

 private:
  void on_request_impl(beast_http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(beast_http::field, string_view, string_view, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view bytes, error_code&) override { return bytes.size(); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code&) override {
    benchmark::DoNotOptimize(bytes.data());
    body_bytes_ += bytes.size();
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}

  std::size_t body_bytes_ = 0;
};

void DecodeBeast(benchmark::State& state) {
  const std::string message = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n" +
                              chunks_of(static_cast<std::size_t>(state.range(0)));
  const bench::Measured measured(state);
  for (auto _ : state) {
    BeastChunks parser;
    parser.eager(true);
    std::string_view rest = message;
    error_code error;
    while (!parser.is_done() && !error) rest.remove_prefix(parser.put(boost::asio::buffer(rest), error));
    if (error || parser.body_bytes() != kBodyBytes) return state.SkipWithError("refused");
  }
}
BENCHMARK(DecodeBeast)->Name("DecodeBody/beast_parser")->Arg(32)->Arg(1024)->Arg(16 * 1024);

void DecodeOwn(benchmark::State& state) {
  const std::string body = chunks_of(static_cast<std::size_t>(state.range(0)));
  const bench::Measured measured(state);
  for (auto _ : state) {
    http::BodyDecoder decoder({http::Framing::Kind::kChunked}, Origin::kUpstream);
    std::string_view rest = body;
    std::size_t body_bytes = 0;
    while (!decoder.ended()) {
      const Result<http::BodyDecoder::Step> step = decoder.next(rest);
      if (!step) return state.SkipWithError("refused");
      benchmark::DoNotOptimize(step->bytes.data());
      body_bytes += step->bytes.size();
      rest.remove_prefix(step->consumed);
    }
    if (body_bytes != kBodyBytes) return state.SkipWithError("other bytes");
  }
}
BENCHMARK(DecodeOwn)->Name("DecodeBody/router_body_decoder")->Arg(32)->Arg(1024)->Arg(16 * 1024);

}  // namespace
}  // namespace router
