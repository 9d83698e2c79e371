#include <absl/strings/str_cat.h>
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "router/http/framing.h"
#include "router/http/head.h"

/// The processor time of HTTP/1.1 for a request: finding and parsing heads, decoding bodies. Compare runs of one machine only.
/// A whole request takes about 13 microseconds, most of them in the kernel.
namespace router::http {
namespace {

/// As curl sends it.
const std::string kSmallRequest =
    "POST /api/v1/endpoint/credit/score HTTP/1.1\r\nHost: models.example:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    "Content-Type: application/json\r\nContent-Length: 1024\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n\r\n";
/// As an SDK behind an ingress sends it.
const std::string kUsualRequest =
    "POST /api/v1/endpoint/credit/score?api-version=2024-01-01 HTTP/1.1\r\nHost: models.example\r\n"
    "X-Request-ID: 6f9619ff8b86d011b42d00c04fc964ff\r\nX-Real-IP: 10.244.0.17\r\nX-Forwarded-For: 203.0.113.9\r\n"
    "X-Forwarded-Host: models.example\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Scheme: https\r\n"
    "X-Scheme: https\r\nContent-Length: 20480\r\nUser-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\nContent-Type: application/json\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n"
    "azureml-model-deployment: blue\r\nx-ms-client-request-id: 7d1c6f9e-0000-4000-8000-2c1f0e5a9b77\r\n"
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
/// As uvicorn answers.
const std::string kResponse =
    "HTTP/1.1 200 OK\r\ndate: Mon, 03 Nov 2025 10:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: 128\r\n"
    "content-type: application/json\r\nx-ms-run-function-failed: False\r\nx-ms-server-version: azmlinfsrv/1.4.0\r\n\r\n";

void count_bytes(benchmark::State& state, std::size_t each) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(each));
}

void ParseRequest(benchmark::State& state, const std::string& bytes) {
  RequestHead head;
  for (auto _ : state) {
    HeadScanner scanner;
    const std::size_t size = scanner.scan(bytes);
    if (!parse_request(std::string_view(bytes).substr(0, size), head)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(request_framing(head));
    benchmark::DoNotOptimize(keeps_alive(head));
  }
  count_bytes(state, bytes.size());
}
BENCHMARK_CAPTURE(ParseRequest, small, kSmallRequest);
BENCHMARK_CAPTURE(ParseRequest, usual, kUsualRequest);

void ParseResponse(benchmark::State& state) {
  ResponseHead head;
  for (auto _ : state) {
    HeadScanner scanner;
    const std::size_t size = scanner.scan(kResponse);
    if (!parse_response(std::string_view(kResponse).substr(0, size), head)) state.SkipWithError("refused");
    benchmark::DoNotOptimize(response_framing(head, Method::kPost));
    benchmark::DoNotOptimize(keeps_alive(head));
  }
  count_bytes(state, kResponse.size());
}
BENCHMARK(ParseResponse);

/// 64 KB in chunks of the given size, from tokens of a language model to files.
void DecodeChunks(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::string body;
  for (std::size_t sent = 0; sent < 64 * 1024; sent += size) {
    absl::StrAppend(&body, absl::Hex(size), "\r\n", std::string(size, 'x'), "\r\n");
  }
  body.append("0\r\n\r\n");
  for (auto _ : state) {
    BodyDecoder decoder({Framing::Kind::kChunked}, Origin::kUpstream);
    std::string_view rest = body;
    while (!decoder.ended()) {
      const Result<BodyDecoder::Step> step = decoder.next(rest);
      if (!step) return state.SkipWithError("refused");
      benchmark::DoNotOptimize(step->bytes.data());
      rest.remove_prefix(step->consumed);
    }
  }
  count_bytes(state, body.size());
}
BENCHMARK(DecodeChunks)->Arg(32)->Arg(1024)->Arg(16 * 1024);

}  // namespace
}  // namespace router::http
