#include "router/proxy/fleet_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "router/base/ids.h"
#include "router/base/text.h"
#include "router/http/characters.h"

namespace router::proxy {
namespace {

using fleet_field::kAddedFields;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t kAgeMax = 86'400'000'000;  // a day, in microseconds
constexpr std::uint64_t kDeadlineMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kEpochMax = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view kNone = "-";
constexpr std::string_view kCopy = "copy";
constexpr char kTab = '\t';
constexpr std::size_t kUsualBytes = 320;  // of the facts of a request

/// The value of a field that must be there at most once.
class Value {
 public:
  Value(const http::Fields& fields, std::string_view name) {
    if (!fields.has(http::Field::kFleet)) return;
    for (const http::FieldLine& line : fields) {
      if (line.id != http::Field::kFleet || !equals_ignoring_case(line.name, name)) continue;
      text_ = line.value;
      ++times_;
    }
  }
  bool given() const { return times_ == 1; }
  std::string_view text() const { return text_; }

 private:
  std::string_view text_;
  int times_ = 0;
};

/// The words of a value, with one separator between them. After the last one, and between two separators, `next` returns an
/// empty word.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) {}
  std::string_view next(char separator = ' ') {
    const std::string_view word = rest_.substr(0, rest_.find(separator));
    rest_.remove_prefix(std::min(word.size() + 1, rest_.size()));
    return word;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

/// Nothing if `text` is not a whole number up to `max`.
std::optional<std::uint64_t> number_of(std::string_view text, std::uint64_t max) {
  std::uint64_t number = 0;
  if (text.empty() || !http::kDigits[static_cast<unsigned char>(text.front())]) return std::nullopt;
  const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || number > max) return std::nullopt;
  return number;
}

bool split_deployment(std::string_view text, SentOnHead& into) {
  const std::size_t first = text.find('/');
  const std::size_t second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos || text.find_first_of("/ ", second + 1) != std::string_view::npos) return false;
  into.namespace_name = text.substr(0, first);
  into.endpoint = text.substr(first + 1, second - first - 1);
  into.deployment = text.substr(second + 1);
  return !into.endpoint.empty() && !into.deployment.empty();
}

bool are_parts(std::string_view text) {
  for (std::size_t further = 1; further < kAddedFields.size(); ++further) {
    const std::size_t tab = text.find(kTab);
    if (tab == std::string_view::npos) return false;
    text.remove_prefix(tab + 1);
  }
  return is_uuid(text);
}

constexpr Failure malformed() {
  return Failure::downstream(Reason::kBadRequest, "another router sent a request without the facts that a home needs");
}

void append_decimal(std::string& to, std::uint64_t number) {
  std::array<char, 24> storage;
  const std::to_chars_result end = std::to_chars(storage.data(), storage.data() + storage.size(), number);
  to.append(storage.data(), end.ptr);
}

template <class Unit>
std::uint64_t count_of(Duration duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(std::chrono::duration_cast<Unit>(duration).count(), 0));
}

bool is_plain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

std::string_view plain_beginning(std::string_view text) {
  text = text.substr(0, kTextMax);
  return {text.data(), static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_plain) - text.begin())};
}

/// The reasons that a home may give. It has not seen the client: a reason that it cannot know is `internal`.
Reason reason_of(std::string_view name) {
  for (std::size_t index = 1; index < kReasonCount; ++index) {
    const auto reason = static_cast<Reason>(index);
    if (name_of(reason) != name) continue;
    if (reason == Reason::kModelError || reason == Reason::kClientClosed || reason == Reason::kUnauthorized) break;
    return reason;
  }
  return Reason::kInternal;
}

std::optional<std::chrono::seconds> retry_after_of(const http::Fields& fields) {
  const std::string_view text = fields.get(http::Field::kRetryAfter);
  int seconds = 0;
  const std::from_chars_result read = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (read.ec != std::errc{} || seconds < 1 || seconds > 3600) return std::nullopt;
  return std::chrono::seconds(seconds);
}

}  // namespace

SentOnSink::SentOnSink(stream::RequestSink& to) : to_(to) { values_.reserve(kUsualBytes); }

void SentOnSink::field(std::string_view name, std::string_view value) {
  const auto index = static_cast<std::size_t>(std::find(kAddedFields.begin(), kAddedFields.end(), name) - kAddedFields.begin());
  const bool arrives = !value.empty() && value.find(kTab) == std::string_view::npos;
  if (index == kAddedFields.size() || parts_[index].size > 0 || !arrives) return to_.field(name, value);
  parts_[index] = {values_.size(), value.size()};
  values_.append(value);
}

void write_added_fields(stream::RequestSink& to, std::string_view facts) {
  Words parts(facts);
  parts.next(kTab);
  for (const std::string_view name : kAddedFields) {
    const std::string_view value = parts.next(kTab);
    if (!value.empty()) to.field(name, value);
  }
}

Result<SentOnHead> read_sent_on(const http::RequestHead& head, TimePoint now) {
  const Value facts(head.fields, fleet_field::kFacts);
  if (!facts.given()) return malformed();
  SentOnHead asked;
  Words parts(facts.text());
  Words words(parts.next(kTab));
  if (!are_parts(parts.rest())) return malformed();
  asked.to = words.next();
  const std::optional<std::uint64_t> age = number_of(words.next(), kAgeMax);
  const std::string_view deadline = words.next();
  const std::optional<std::uint64_t> epoch = number_of(words.next(), kEpochMax);
  const std::string_view copy = words.next();
  asked.is_copy = copy == kCopy;
  if (asked.to.empty() || !age || !epoch || !(asked.is_copy || copy == kNone)) return malformed();
  if (!split_deployment(words.rest(), asked)) return malformed();
  asked.age = microseconds(*age);
  asked.epoch = *epoch;
  if (deadline == kNone) return asked;
  const std::optional<std::uint64_t> left = number_of(deadline, kDeadlineMax);
  if (!left) return malformed();
  asked.patience.deadline = deadline_after(now, milliseconds(*left));
  return asked;
}

void SentOnSink::finish(const model::Route& route, const SentOnFields& fields, const Patience& patience, TimePoint now) {
  std::string facts;
  facts.reserve(kUsualBytes);
  facts.append(fields.to).push_back(' ');
  append_decimal(facts, std::min(count_of<microseconds>(fields.age), kAgeMax));
  facts.push_back(' ');
  if (patience.deadline == kNever) {
    facts.append(kNone);
  } else {
    append_decimal(facts, std::min(count_of<milliseconds>(patience.deadline - now), kDeadlineMax));
  }
  facts.push_back(' ');
  append_decimal(facts, fields.epoch);
  facts.append(" ").append(fields.is_copy ? kCopy : kNone).append(" ");
  facts.append(route.endpoint->namespace_name).append("/").append(route.endpoint->name).append("/");
  facts.append(route.deployment->name);
  for (const Part& part : parts_) {
    facts.push_back(kTab);
    facts.append(values_, part.begin, part.size);
  }
  to_.field(fleet_field::kFacts, facts);
}

std::string_view write_begins_at_pod(const BeginsAtPod& begins, BeginsAtPodText& storage) {
  char* const end = storage.data() + storage.size();
  char* at = std::to_chars(storage.data(), end, count_of<microseconds>(begins.queued)).ptr;
  *at++ = ' ';
  at += begins.replica.copy(at, kTextMax);
  return {storage.data(), static_cast<std::size_t>(at - storage.data())};
}

std::optional<BeginsAtPod> read_begins_at_pod(const http::ResponseHead& head) {
  if (head.status != kBeginsAtPod) return std::nullopt;
  const Value facts(head.fields, fleet_field::kFacts);
  if (!facts.given()) return std::nullopt;
  Words words(facts.text());
  const std::optional<std::uint64_t> queued = number_of(words.next(), kAgeMax);
  return BeginsAtPod{plain_beginning(words.rest()), microseconds(queued.value_or(0))};
}

std::optional<HomeReply> read_home_reply(const http::ResponseHead& head) {
  const Value reason(head.fields, fleet_field::kReason);
  if (head.status < 200 || !reason.given()) return std::nullopt;
  HomeReply reply;
  reply.reason = head.status == 421 ? Reason::kHomeMoved : reason_of(reason.text());
  reply.message = plain_beginning(Value(head.fields, fleet_field::kMessage).text());
  reply.home = Value(head.fields, fleet_field::kHome).text().substr(0, kTextMax);
  reply.retry_after = retry_after_of(head.fields);
  return reply;
}

std::string plain_text(std::string_view text) {
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), is_plain);
  if (plain.size() > kTextMax) plain.resize(kTextMax);
  return plain;
}

}  // namespace router::proxy
