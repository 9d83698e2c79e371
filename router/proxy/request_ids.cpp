#include "router/proxy/request_ids.h"

#include <absl/strings/numbers.h>

#include "router/base/text.h"
#include "router/proxy/patience.h"

namespace router::proxy {

void read_ids(const http::RequestHead& head, RequestIds& into) {
  into.request_id = head.fields.get(http::Field::kXRequestId);
  if (!is_uuid(into.request_id)) {
    into.generated = new_uuid();
    into.request_id = view_of(into.generated);
  }
  std::size_t length = 0;
  for (const char c : head.fields.get(http::Field::kXMsClientRequestId)) {
    const bool kept = is_alphanumeric(c) || c == '-' || c == '_';
    if (kept && length < into.client_storage.size()) into.client_storage[length++] = c;
  }
  into.client_request_id = {into.client_storage.data(), length};
}

Patience patience_of(const http::RequestHead& head, TimePoint begun) {
  if (!head.fields.has(http::Field::kXRequestDeadlineMs)) return {};
  std::uint32_t milliseconds = 0;
  if (!absl::SimpleAtoi(to_absl(head.fields.get(http::Field::kXRequestDeadlineMs)), &milliseconds)) return {};
  return {deadline_after(begun, std::chrono::milliseconds(milliseconds))};
}

}  // namespace router::proxy
