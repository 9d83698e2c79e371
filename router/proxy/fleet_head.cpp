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

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::uint64_t kAgeMax = 86'400'000'000;  // a day, in microseconds
constexpr std::uint64_t kDeadlineMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kEpochMax = std::numeric_limits<std::int64_t>::max();

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
  bool repeated() const { return times_ > 1; }
  std::string_view text() const { return text_; }
  /// Nothing if it is not a whole number up to `max`.
  std::optional<std::uint64_t> number(std::uint64_t max) const {
    std::uint64_t number = 0;
    if (!given() || text_.empty() || !http::consists_of(text_, http::kDigits)) return std::nullopt;
    const std::from_chars_result read = std::from_chars(text_.data(), text_.data() + text_.size(), number);
    if (read.ec != std::errc{} || number > max) return std::nullopt;
    return number;
  }

 private:
  std::string_view text_;
  int times_ = 0;
};

bool split_deployment(std::string_view text, SentOnHead& into) {
  const std::size_t first = text.find('/');
  const std::size_t second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos || text.find('/', second + 1) != std::string_view::npos) return false;
  into.namespace_name = text.substr(0, first);
  into.endpoint = text.substr(first + 1, second - first - 1);
  into.deployment = text.substr(second + 1);
  return !into.endpoint.empty() && !into.deployment.empty();
}

constexpr Failure malformed() {
  return Failure::downstream(Reason::kBadRequest, "another router sent a request without the fields of the fleet");
}

std::string_view decimal(std::uint64_t number, std::array<char, 24>& storage) {
  const std::to_chars_result end = std::to_chars(storage.data(), storage.data() + storage.size(), number);
  return {storage.data(), static_cast<std::size_t>(end.ptr - storage.data())};
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
  if (read.ec != std::errc{} || seconds < 1 || seconds > 60) return std::nullopt;
  return std::chrono::seconds(seconds);
}

}  // namespace

Result<SentOnHead> read_sent_on(const http::RequestHead& head, TimePoint now) {
  SentOnHead asked;
  const Value deployment(head.fields, fleet_field::kDeployment);
  if (!deployment.given() || !split_deployment(deployment.text(), asked)) return malformed();
  const std::optional<std::uint64_t> age = Value(head.fields, fleet_field::kAge).number(kAgeMax);
  const std::optional<std::uint64_t> epoch = Value(head.fields, fleet_field::kEpoch).number(kEpochMax);
  const Value id(head.fields, fleet_field::kId);
  const Value to(head.fields, fleet_field::kTo);
  if (!age || !epoch || !to.given() || !id.given() || !is_uuid(id.text())) return malformed();
  asked.to = to.text();
  const Value copy(head.fields, fleet_field::kCopy);
  if (copy.repeated() || (copy.given() && copy.text() != "1")) return malformed();
  asked.is_copy = copy.given();
  asked.age = microseconds(*age);
  asked.epoch = *epoch;
  asked.id = id.text();
  const Value deadline(head.fields, fleet_field::kDeadline);
  if (deadline.repeated()) return malformed();
  if (deadline.given()) {
    const std::optional<std::uint64_t> left = deadline.number(kDeadlineMax);
    if (!left) return malformed();
    asked.patience.deadline = deadline_after(now, milliseconds(*left));
  }
  return asked;
}

void write_sent_on(stream::RequestSink& to, const model::Route& route, const SentOnFields& fields, const Patience& patience,
                   std::string_view id, TimePoint now) {
  std::array<char, 24> storage;
  std::string name = route.endpoint->namespace_name;
  to.field(fleet_field::kDeployment, name.append("/").append(route.endpoint->name).append("/").append(route.deployment->name));
  to.field(fleet_field::kTo, fields.to);
  to.field(fleet_field::kAge, decimal(std::min(count_of<microseconds>(fields.age), kAgeMax), storage));
  if (patience.deadline != kNever) {
    to.field(fleet_field::kDeadline, decimal(std::min(count_of<milliseconds>(patience.deadline - now), kDeadlineMax), storage));
  }
  to.field(fleet_field::kEpoch, decimal(fields.epoch, storage));
  if (fields.is_copy) to.field(fleet_field::kCopy, "1");
  to.field(fleet_field::kId, id);
}

std::optional<BeginsAtPod> read_begins_at_pod(const http::ResponseHead& head) {
  if (head.status != kBeginsAtPod) return std::nullopt;
  const Value replica(head.fields, fleet_field::kReplica);
  if (!replica.given()) return std::nullopt;
  const std::optional<std::uint64_t> queued = Value(head.fields, fleet_field::kQueued).number(kAgeMax);
  return BeginsAtPod{plain_beginning(replica.text()), microseconds(queued.value_or(0))};
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
