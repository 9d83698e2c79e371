#include "router/proxy/holding.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "router/base/text.h"
#include "router/proxy/exchange.h"

namespace router::proxy {
namespace {

std::size_t bytes_of(const http::RequestHead& head) {
  constexpr std::size_t kLine = 4;  // colon, blank, CR, LF
  std::size_t bytes = head.method_text.size() + head.target.size() + kLine;
  for (const http::FieldLine& line : head.fields) bytes += line.name.size() + line.value.size() + kLine;
  return bytes;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// `wait=10`, `wait="10"`, with or without parameters. Nothing if it is another preference, or no number.
std::optional<std::chrono::seconds> wait_of(std::string_view preference) {
  constexpr std::chrono::seconds kLongest = std::chrono::hours(24);
  preference = trimmed(preference.substr(0, preference.find(';')));
  const std::size_t equals = preference.find('=');
  if (equals == std::string_view::npos || !equals_ignoring_case(trimmed(preference.substr(0, equals)), "wait")) return {};
  std::string_view number = trimmed(preference.substr(equals + 1));
  if (number.size() > 1 && number.front() == '"' && number.back() == '"') number = number.substr(1, number.size() - 2);
  std::uint64_t seconds = 0;
  const char* end = number.data() + number.size();
  const std::from_chars_result read = std::from_chars(number.data(), end, seconds);
  if (read.ptr != end || number.empty()) return {};
  if (read.ec != std::errc{} || seconds > static_cast<std::uint64_t>(kLongest.count())) return kLongest;
  return std::chrono::seconds(seconds);
}

}  // namespace

std::optional<Duration> preferred_wait(const http::Fields& fields) {
  for (const http::FieldLine& line : fields) {
    if (line.id != http::Field::kOther || !equals_ignoring_case(line.name, "prefer")) continue;
    for (std::string_view rest = line.value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (const auto wait = wait_of(rest.substr(0, comma))) return *wait;  // the first one counts (RFC 7240, 2)
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return std::nullopt;
}

Deadline Holding::begin() {
  begun_ = true;
  head_bytes_ = bytes_of(exchange_.downstream().head());
  if (dispatch::HeldBytes* all = exchange_.route().deployment->held_bytes.get()) share_.emplace(*all);
  return exchange_.held_until();
}

Result<void> Holding::keep() {
  if (!share_) return {};
  const Result<Downstream::Arrived> arrived = exchange_.downstream().body_arrived();
  const std::size_t body = arrived ? arrived->bytes : 0;  // a mistake in it is found when it is sent
  if (share_->grow(head_bytes_ + body, exchange_.view().limits.max_held_bytes)) return {};
  return Failure::internal(Reason::kWaking, "a replica is being started, and no memory is left for requests that wait for it");
}

Failure Holding::in_vain() {
  return Failure::internal(Reason::kNoReadyReplica,
                           "no replica of the deployment had a slot in the time that a request is held for one that starts");
}

}  // namespace router::proxy
