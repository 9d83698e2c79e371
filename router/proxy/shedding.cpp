#include "router/proxy/shedding.h"

#include <algorithm>
#include <charconv>

namespace router::proxy {

TimePoint sheds_until(const http::ResponseHead& head, TimePoint now) {
  if (head.status != 503 && head.status != 429) return {};
  const std::string_view text = head.fields.get(http::Field::kRetryAfter);
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool is_number = !text.empty() && end == text.data() + text.size();
  if (!is_number || (error != std::errc{} && error != std::errc::result_out_of_range)) return {};
  if (error == std::errc::result_out_of_range) return now + kSheddingMax;
  return now + std::min<std::chrono::seconds>(std::chrono::seconds(seconds), kSheddingMax);
}

}  // namespace router::proxy
