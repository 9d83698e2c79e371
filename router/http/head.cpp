#include "router/http/head.h"

#include <charconv>
#include <cstring>

#include "router/base/text.h"
#include "router/http/characters.h"

namespace router::http {
namespace {

bool keeps_alive(const Fields& fields, int minor_version) {
  bool close = false;
  bool keep = false;
  for (const FieldLine& line : fields) {
    if (line.id != Field::kConnection) continue;
    close = close || lists_token(line.value, "close");
    keep = keep || lists_token(line.value, "keep-alive");
  }
  return !close && (minor_version == 1 || keep);
}

}  // namespace

void Fields::add(const FieldLine& line) {
  lines_.push_back(line);
  const std::uint64_t bit = std::uint64_t{1} << static_cast<unsigned>(line.id);
  repeated_ |= present_ & bit;
  present_ |= bit;
}

std::string_view Fields::get(Field id) const {
  if (!has(id)) return {};
  for (const FieldLine& line : *this) {
    if (line.id == id) return line.value;
  }
  return {};
}

std::size_t HeadScanner::scan(std::string_view bytes) {
  // An empty line ends the head: LF, an optional CR, LF. A bare LF is accepted here, so that the parser can refuse it at once.
  while (seen_ < bytes.size()) {
    const void* found = std::memchr(bytes.data() + seen_, '\n', bytes.size() - seen_);
    if (found == nullptr) {
      seen_ = bytes.size();
      return 0;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    // Compares single characters for speed: this code runs for each line of a head.
    const std::size_t behind = bytes.size() - at - 1;
    const char first = behind > 0 ? bytes[at + 1] : '\0';
    if (first == '\n') return at + 2;
    if (first == '\r' && behind > 1 && bytes[at + 2] == '\n') return at + 3;
    if (behind == 0 || (first == '\r' && behind == 1)) {
      seen_ = at;  // the next bytes decide
      return 0;
    }
    seen_ = at + 1;
  }
  return 0;
}

bool keeps_alive(const RequestHead& head) { return keeps_alive(head.fields, head.minor_version); }
bool keeps_alive(const ResponseHead& head) { return keeps_alive(head.fields, head.minor_version); }

bool equals_ignoring_case(std::string_view a, std::string_view b) { return router::equals_ignoring_case(a, b); }

bool expects_continue(const RequestHead& head) {
  if (!head.fields.has(Field::kExpect) || head.minor_version == 0) return false;
  for (const FieldLine& line : head.fields) {
    if (line.id == Field::kExpect && lists_token(line.value, "100-continue")) return true;
  }
  return false;
}

std::optional<std::uint32_t> max_forwards(const RequestHead& head) {
  constexpr std::size_t kDigitsMax = 9;
  if (!head.fields.has(Field::kMaxForwards)) return std::nullopt;
  if (head.method != Method::kOptions && head.method != Method::kTrace) return std::nullopt;
  const std::string_view value = head.fields.get(Field::kMaxForwards);
  if (value.empty() || value.size() > kDigitsMax || !consists_of(value, kDigits)) return std::nullopt;
  std::uint32_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  return number;
}

bool lists_token(std::string_view list, std::string_view token) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (equals_ignoring_case(trim(list.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace router::http
