#pragma once

#include <absl/strings/match.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// What a request of the load benchmark demands of the replica: the numbers in its query (`?size=1000&work_us=50000`).
struct Order {
  bool post = false;
  std::uint64_t size = 200;   // bytes of the answer's body
  std::uint64_t events = 0;   // > 0: so many server-sent events instead of `size`
  std::uint64_t gap_us = 0;   // between two events
  std::uint64_t work_us = 0;  // > 0: keeps the replica's one worker busy so long, one request after the other
  std::uint64_t id = 0;       // for the record of requests with `work_us`
  bool at_once() const { return events == 0 && work_us == 0; }
};

/// Reads the requests of a connection: HTTP/1.1 with keep-alive and pipelining, bodies by Content-Length or chunked (RFC 9112,
/// sections 6 and 7). Does not validate the framing: the proxy is trusted.
class RequestReader {
 public:
  static constexpr std::size_t kHeadMax = 65536;  // bytes of a head, a chunk's size line or a trailer line

  /// Reads what has arrived and appends the complete requests. False: this is not HTTP, or larger than allowed.
  bool feed(std::string_view bytes, std::vector<Order>& ended) {
    if (!rest_.empty()) bytes = rest_.append(bytes);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
      const std::size_t step = advance(bytes.substr(taken), ended);
      if (failed_) return false;
      if (step == 0) break;
      taken += step;
    }
    std::string left(bytes.substr(taken));
    rest_ = std::move(left);
    return rest_.size() <= kHeadMax;
  }

 private:
  enum class State { kHead, kBody, kChunkSize, kChunk, kTrailers };

  std::size_t advance(std::string_view bytes, std::vector<Order>& ended) {
    switch (state_) {
      case State::kHead: return head(bytes, ended);
      case State::kBody: return data(bytes, State::kHead, ended);
      case State::kChunkSize: return chunk_size(bytes);
      case State::kChunk: return data(bytes, State::kChunkSize, ended);
      case State::kTrailers: return trailer(bytes, ended);
    }
    std::abort();
  }

  void end_request(std::vector<Order>& ended) {
    state_ = State::kHead;
    ended.push_back(order_);
  }

  static void read_number(std::string_view query, std::string_view name, std::uint64_t& into) {
    const std::size_t at = query.find(name);
    if (at != std::string_view::npos) std::from_chars(query.data() + at + name.size(), query.data() + query.size(), into);
  }

  void read_order(std::string_view request_line) {
    order_ = Order{};
    order_.post = request_line.starts_with("POST ");
    const std::size_t query_at = request_line.find('?');
    if (query_at == std::string_view::npos) return;
    const std::string_view query = request_line.substr(query_at);
    read_number(query, "size=", order_.size);
    read_number(query, "events=", order_.events);
    read_number(query, "gap_us=", order_.gap_us);
    read_number(query, "work_us=", order_.work_us);
    read_number(query, "id=", order_.id);
  }

  std::size_t head(std::string_view bytes, std::vector<Order>& ended) {
    const std::size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) return 0;
    const std::string_view text = bytes.substr(0, end + 2);
    const std::size_t first_line = text.find("\r\n");
    read_order(text.substr(0, first_line));
    left_ = 0;
    bool chunked = false;
    for (std::size_t line = first_line + 2; line < text.size(); line = text.find("\r\n", line) + 2) {
      const std::string_view field = text.substr(line, text.find("\r\n", line) - line);
      if (absl::StartsWithIgnoreCase({field.data(), field.size()}, "content-length:")) {
        std::string_view value = field.substr(15);
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        if (std::from_chars(value.data(), value.data() + value.size(), left_).ec != std::errc()) failed_ = true;
      } else if (absl::StartsWithIgnoreCase({field.data(), field.size()}, "transfer-encoding:")) {
        chunked = true;
      }
    }
    if (chunked) {
      state_ = State::kChunkSize;
    } else if (left_ > 0) {
      state_ = State::kBody;
    } else {
      end_request(ended);
    }
    return end + 4;
  }

  std::size_t data(std::string_view bytes, State next, std::vector<Order>& ended) {
    const std::size_t taken = std::min<std::uint64_t>(left_, bytes.size());
    left_ -= taken;
    if (left_ == 0) {
      if (next == State::kHead) {
        end_request(ended);
      } else {
        state_ = next;
      }
    }
    return taken;
  }

  std::size_t chunk_size(std::string_view bytes) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos) return 0;
    std::uint64_t size = 0;
    if (std::from_chars(bytes.data(), bytes.data() + end, size, 16).ec != std::errc()) failed_ = true;
    left_ = size + 2;  // with the line end after the data
    state_ = size == 0 ? State::kTrailers : State::kChunk;
    return end + 2;
  }

  std::size_t trailer(std::string_view bytes, std::vector<Order>& ended) {
    const std::size_t end = bytes.find("\r\n");
    if (end == std::string_view::npos) return 0;
    if (end == 0) end_request(ended);
    return end + 2;
  }

  State state_ = State::kHead;
  bool failed_ = false;
  Order order_;
  std::uint64_t left_ = 0;  // bytes of the body, or of the chunk with its line end
  std::string rest_;        // an incomplete head or line
};

}  // namespace bench
