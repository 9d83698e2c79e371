#include "router/proxy/request_ids.h"

#include <charconv>
#include <limits>
#include <system_error>

#include "router/http/characters.h"
#include "router/proxy/patience.h"

namespace router::proxy {

void read_ids(const http::RequestHead& head, RequestIds& into) {
  into.request_id = head.fields.get(http::Field::kXRequestId);
  if (!is_uuid(into.request_id)) {
    into.generated = new_uuid();
    into.request_id = view_of(into.generated);
  }
  into.client_request_id = http::ClientRequestId(head.fields.get(http::Field::kXMsClientRequestId));
}

Result<Patience> patience_of(const http::RequestHead& head, TimePoint begun) {
  const http::Fields& fields = head.fields;
  if (!fields.has(http::Field::kXRequestDeadlineMs)) return Patience{};
  if (fields.repeats(http::Field::kXRequestDeadlineMs)) {
    return Failure::downstream(Reason::kBadRequest, "more than one x-request-deadline-ms field");
  }
  const std::string_view text = fields.get(http::Field::kXRequestDeadlineMs);
  if (text.empty() || !http::consists_of(text, http::kDigits)) {
    return Failure::downstream(Reason::kBadRequest, "x-request-deadline-ms is not a whole number of milliseconds");
  }
  std::uint32_t milliseconds = 0;
  const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
  if (read.ec == std::errc::result_out_of_range) milliseconds = std::numeric_limits<std::uint32_t>::max();
  return Patience{deadline_after(begun, std::chrono::milliseconds(milliseconds))};
}

}  // namespace router::proxy
