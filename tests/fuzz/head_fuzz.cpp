#include <string>
#include <string_view>

#include "router/http/framing.h"
#include "router/http/head.h"
#include "router/http/hop_by_hop.h"
#include "tests/fuzz/support.h"

/// Heads of requests and responses. An accepted head must hold nothing that a second parser could read otherwise: if it is
/// written again from its parts, it must give the same parts.
namespace router::http {
namespace {

using fuzz::require;

void require_within(std::string_view part, std::string_view whole) { require(fuzz::lies_within(part, whole)); }

/// Decisions that depend only on fields must depend on names and values, not on addresses in memory.
template <class Head>
void require_same_decisions(const Head& a, const Head& b) {
  require(keeps_alive(a) == keeps_alive(b));
  const HopByHop of_a(a.fields);
  const HopByHop of_b(b.fields);
  for (auto left = a.fields.begin(), right = b.fields.begin(); left != a.fields.end(); ++left, ++right) {
    require(of_a.contains(*left) == of_b.contains(*right));
    require(a.fields.get(left->id).empty() == b.fields.get(right->id).empty());
  }
}

void require_same_fields(const Fields& a, const Fields& b) {
  require(a.size() == b.size());
  for (auto left = a.begin(), right = b.begin(); left != a.end(); ++left, ++right) {
    require(left->name == right->name && left->value == right->value && left->id == right->id);
    require(left->value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    require(!left->name.empty() && left->name.find_first_of(" \t:") == std::string_view::npos);
  }
}

std::string write_again(std::string start_line, const Fields& fields) {
  start_line.append("\r\n");
  for (const FieldLine& line : fields) start_line.append(line.name).append(": ").append(line.value).append("\r\n");
  return start_line.append("\r\n");
}

void try_request(std::string_view bytes) {
  RequestHead head;
  if (!parse_request(bytes, head)) return;
  for (const FieldLine& line : head.fields) {
    require_within(line.name, bytes);
    require_within(line.value, bytes);
  }
  std::string start_line(head.method_text);
  start_line.append(" ").append(head.target).append(" HTTP/1.").append(std::to_string(head.minor_version));
  const std::string again = write_again(std::move(start_line), head.fields);
  RequestHead second;
  require(parse_request(again, second).has_value());
  require(second.method == head.method && second.path == head.path && second.query == head.query);
  require(second.authority == head.authority && second.minor_version == head.minor_version);
  require_same_fields(head.fields, second.fields);
  require_same_decisions(head, second);
  const Result<Framing> framing = request_framing(head);
  const Result<Framing> second_framing = request_framing(second);
  require(framing.has_value() == second_framing.has_value());
  if (!framing) return;
  require(framing->kind == second_framing->kind && framing->length == second_framing->length);
  require(!(head.fields.has(Field::kContentLength) && head.fields.has(Field::kTransferEncoding)));
}

void try_response(std::string_view bytes) {
  ResponseHead head;
  if (!parse_response(bytes, head)) return;
  for (const FieldLine& line : head.fields) {
    require_within(line.name, bytes);
    require_within(line.value, bytes);
  }
  std::string start_line = "HTTP/1." + std::to_string(head.minor_version) + " " + std::to_string(head.status) + " ";
  const std::string again = write_again(start_line.append(head.reason_phrase), head.fields);
  ResponseHead second;
  require(parse_response(again, second).has_value());
  require(second.status == head.status && second.reason_phrase == head.reason_phrase);
  require_same_fields(head.fields, second.fields);
  require_same_decisions(head, second);
  for (const Method method : {Method::kPost, Method::kHead}) {
    require(response_framing(head, method).has_value() == response_framing(second, method).has_value());
  }
}

/// The scanner must find the same end, however the bytes arrive.
std::size_t scan(std::string_view bytes) {
  HeadScanner at_once;
  const std::size_t size = at_once.scan(bytes);
  HeadScanner scanner;
  std::size_t arrived = 0;
  std::size_t found = 0;
  while (found == 0 && arrived < bytes.size()) found = scanner.scan(bytes.substr(0, ++arrived));
  require(found == size);
  return size;
}

}  // namespace
}  // namespace router::http

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = router::fuzz::text_of(data, size);
  router::http::try_request(bytes);
  router::http::try_response(bytes);
  const std::size_t head = router::http::scan(bytes);
  router::http::try_request(bytes.substr(0, head));
  router::http::try_response(bytes.substr(0, head));
  return 0;
}
