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
  into.client_request_id = http::ClientRequestId(head.fields.get(http::Field::kXMsClientRequestId));
}

Patience patience_of(const http::RequestHead& head, TimePoint begun) {
  if (!head.fields.has(http::Field::kXRequestDeadlineMs)) return {};
  std::uint32_t milliseconds = 0;
  if (!absl::SimpleAtoi(to_absl(head.fields.get(http::Field::kXRequestDeadlineMs)), &milliseconds)) return {};
  return {deadline_after(begun, std::chrono::milliseconds(milliseconds))};
}

}  // namespace router::proxy
