#include "router/scaling/signals_text.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>

#include "router/base/assert.h"

namespace router::scaling {
namespace {

const std::string kBegin = "1\n";  // of all three bodies: their version
constexpr std::size_t kNamespaceMax = 63;
constexpr std::size_t kNameMax = 32;
constexpr double kStartMost = 1e6;  // seconds

absl::Status refused(const char* why) { return absl::InvalidArgumentError(why); }

// --- Writing

template <class Number>
void append_number(std::string& to, Number number) {
  std::array<char, 32> room{};  // a double needs 24 characters at most, in the shortest text that is read as the same
  const auto written = std::to_chars(room.data(), room.data() + room.size(), number);
  to.append(room.data(), written.ptr);
}

template <class... Numbers>
void append_fields(std::string& to, Numbers... numbers) {
  const auto append = [&to](auto number) {
    to += ' ';
    append_number(to, number);
  };
  (append(numbers), ...);
}

std::string line_of(const DeploymentName& name, const Signal& signal) {
  const Integrals& all = signal.since_start;
  std::string line = text_of(name);
  append_fields(line, signal.incarnation, signal.uptime.count(), all.busy, all.waiting, all.held, all.told);
  append_fields(line, all.returns, all.arrivals, all.refusals, signal.waking);
  return line += '\n';
}

std::string line_of(const DeploymentName& name, const StartNote& start) {
  std::string line = text_of(name);
  append_fields(line, start.holds ? 1 : 0, start.pod_start.count(), start.asked_for.count());
  return line += '\n';
}

/// As few bodies as there can be, each with its version.
template <class Note>
std::vector<std::string> bodies_of(const Note& note) {
  std::vector<std::string> bodies;
  for (const auto& [name, value] : note) {
    const std::string line = line_of(name, value);
    if (bodies.empty() || bodies.back().size() + line.size() > kSignalsTextMax) bodies.push_back(kBegin);
    bodies.back() += line;
  }
  return bodies;
}

// --- Reading

/// Takes the text before `end`, and `end` itself. Nothing: there is none.
std::optional<std::string_view> take_until(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at + 1);
  return taken;
}

/// Takes the line that says the version.
bool take_version(std::string_view& text) {
  if (!text.starts_with(kBegin)) return false;
  text.remove_prefix(kBegin.size());
  return true;
}

template <std::integral Number>
bool read_number(std::string_view text, Number& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() && read.ptr == text.data() + text.size();
}

bool read_number(std::string_view text, double& number) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  ROUTER_PLANT(read.ec == std::errc() && read.ptr != text.data() + text.size());  // a number with something behind it
  return read.ec == std::errc() && read.ptr == text.data() + text.size() && std::isfinite(number) && !std::signbit(number);
}

/// The fields of one line, each after a space.
class FieldReader {
 public:
  explicit FieldReader(std::string_view line) : rest_(line) {}
  template <class... Numbers>
  bool read(Numbers&... numbers) {
    return (read_one(numbers) && ...);
  }
  bool at_end() const { return rest_.empty(); }

 private:
  template <class Number>
  bool read_one(Number& number) {
    if (!rest_.starts_with(' ')) return false;
    rest_.remove_prefix(1);
    const std::string_view field = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(field.size());
    return read_number(field, number);
  }

  std::string_view rest_;
};

bool is_digit_or_dash(char c) { return (c >= '0' && c <= '9') || c == '-'; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool in_namespace(char c) { return is_small(c) || is_digit_or_dash(c); }
bool in_name(char c) { return in_namespace(c) || (c >= 'A' && c <= 'Z'); }

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax && std::all_of(text.begin(), text.end(), in_name);
}

std::optional<DeploymentName> name_of(std::string_view text) {
  const auto name_space = take_until(text, '/');
  const auto endpoint = take_until(text, '/');
  if (!name_space || !endpoint || !is_name(*endpoint) || !is_name(text)) return std::nullopt;
  const bool in_order = std::all_of(name_space->begin(), name_space->end(), in_namespace);
  if (name_space->size() > kNamespaceMax || !in_order) return std::nullopt;
  return DeploymentName{std::string(*name_space), std::string(*endpoint), std::string(text)};
}

/// Takes the text before the first space, or all.
std::string_view take_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

/// Takes the name at the begin of a line.
std::optional<DeploymentName> take_name(std::string_view& line) { return name_of(take_word(line)); }

std::optional<Signal> signal_of(std::string_view fields) {
  Signal signal;
  double uptime = 0;
  Integrals& all = signal.since_start;
  FieldReader reader(fields);
  const bool read = reader.read(signal.incarnation, uptime, all.busy, all.waiting, all.held, all.told) &&
                    reader.read(all.returns, all.arrivals, all.refusals, signal.waking) && reader.at_end();
  signal.uptime = Seconds(uptime);
  return read ? std::optional(signal) : std::nullopt;
}

std::optional<StartNote> start_of(std::string_view fields) {
  int holds = 0;
  double pod_start = 0;
  double asked_for = 0;
  FieldReader reader(fields);
  if (!reader.read(holds, pod_start, asked_for) || !reader.at_end() || holds < 0 || holds > 1) return std::nullopt;
  if (pod_start > kStartMost || asked_for > kStartMost) return std::nullopt;
  return StartNote{.holds = holds == 1, .pod_start = Seconds(pod_start), .asked_for = Seconds(asked_for)};
}

/// Reads what `bodies_of` has made: `read` reads the fields behind a name.
template <class Note, class Read>
absl::StatusOr<Note> note_of(std::string_view body, Read read) {
  if (body.size() > kSignalsTextMax) return refused("longer than 64 KB");
  if (!take_version(body)) return refused("of another version");
  Note note;
  while (!body.empty()) {
    std::optional<std::string_view> line = take_until(body, '\n');
    if (!line) return refused("the last line has no end");
    std::optional<DeploymentName> name = take_name(*line);
    if (!name) return refused("not the name of a deployment");
    const auto value = read(*line);
    if (!value) return refused("not the numbers behind a name");
    if (!note.empty() && *name <= note.rbegin()->first) return refused("not in the order of names");
    note.emplace_hint(note.end(), *std::move(name), *value);
  }
  return note;
}

bool is_pod_id(std::string_view text) {
  const auto visible = [](char c) { return c > ' ' && c <= '~'; };
  return !text.empty() && text.size() <= kPodIdMax && std::all_of(text.begin(), text.end(), visible);
}

bool is_believable(const WithdrawNote& withdraw) {
  const auto& pods = withdraw.pods;
  const bool ascending = std::adjacent_find(pods.begin(), pods.end(), std::greater_equal<>()) == pods.end();
  return withdraw.seconds >= 1 && withdraw.seconds <= kWithdrawnFor && pods.size() <= kWithdrawnMax && ascending &&
         std::all_of(pods.begin(), pods.end(), is_pod_id);
}

}  // namespace

std::string text_of(const DeploymentName& name) {
  return absl::StrCat(name.name_space, "/", name.endpoint, "/", name.deployment);
}

std::vector<std::string> encode_signals(const SignalsNote& signals) { return bodies_of(signals); }

absl::StatusOr<SignalsNote> decode_signals(std::string_view body) { return note_of<SignalsNote>(body, signal_of); }

std::vector<std::string> encode_starts(const StartsNote& starts) { return bodies_of(starts); }

absl::StatusOr<StartsNote> decode_starts(std::string_view body) { return note_of<StartsNote>(body, start_of); }

std::string encode_wake(const WakeNote& wake) {
  std::string body = kBegin + text_of(wake.of);
  append_fields(body, wake.waking);
  return body += '\n';
}

absl::StatusOr<WakeNote> decode_wake(std::string_view body) {
  if (!take_version(body)) return refused("wake: of another version");
  std::optional<std::string_view> line = take_until(body, '\n');
  if (!line || !body.empty()) return refused("wake: not one line");
  WakeNote wake;
  std::optional<DeploymentName> name = take_name(*line);
  FieldReader reader(*line);
  if (!name || !reader.read(wake.waking) || !reader.at_end()) return refused("wake: not a deployment and a number");
  wake.of = *std::move(name);
  return wake;
}

absl::StatusOr<std::string> encode_withdraw(const WithdrawNote& withdraw) {
  if (!is_believable(withdraw)) return refused("withdraw: beyond its bounds");
  std::string body = absl::StrCat(kBegin, withdraw.seconds, " ", withdraw.round, "\n");
  for (const std::string& pod : withdraw.pods) absl::StrAppend(&body, pod, "\n");
  if (body.size() > kPodsTextMax) return refused("withdraw: longer than 128 KB");
  return body;
}

absl::StatusOr<WithdrawNote> decode_withdraw(std::string_view body) {
  if (body.size() > kPodsTextMax) return refused("withdraw: longer than 128 KB");
  if (!take_version(body)) return refused("withdraw: of another version");
  WithdrawNote withdraw;
  std::optional<std::string_view> first = take_until(body, '\n');
  if (!first || !read_number(take_word(*first), withdraw.seconds)) return refused("withdraw: not a number of seconds");
  FieldReader reader(*first);
  if (!reader.read(withdraw.round) || !reader.at_end()) return refused("withdraw: not a round");
  while (!body.empty()) {
    const std::optional<std::string_view> pod = take_until(body, '\n');
    if (!pod || withdraw.pods.size() >= kWithdrawnMax) return refused("withdraw: too many pods, or a line without an end");
    withdraw.pods.emplace_back(*pod);
  }
  if (!is_believable(withdraw)) return refused("withdraw: beyond its bounds");
  return withdraw;
}

absl::StatusOr<std::string> encode_running(const RunningNote& running) {
  std::string body = absl::StrCat(kBegin, running.round, "\n");
  for (const auto& [pod, count] : running.pods) {
    if (!is_pod_id(pod)) return refused("running: not the id of a pod");
    absl::StrAppend(&body, pod, " ", count, "\n");
  }
  if (running.pods.size() > kWithdrawnMax || body.size() > kPodsTextMax) return refused("running: beyond its bounds");
  return body;
}

absl::StatusOr<RunningNote> decode_running(std::string_view body) {
  if (body.size() > kPodsTextMax) return refused("running: longer than 128 KB");
  if (!take_version(body)) return refused("running: of another version");
  RunningNote running;
  const std::optional<std::string_view> round = take_until(body, '\n');
  if (!round || !read_number(*round, running.round)) return refused("running: not a round");
  while (!body.empty()) {
    std::optional<std::string_view> line = take_until(body, '\n');
    if (!line || running.pods.size() >= kWithdrawnMax) return refused("running: too many pods, or a line without an end");
    const std::string_view pod = take_word(*line);
    std::uint64_t count = 0;
    FieldReader reader(*line);
    if (!is_pod_id(pod) || !reader.read(count) || !reader.at_end()) return refused("running: not a pod and a number");
    if (!running.pods.empty() && pod <= running.pods.rbegin()->first) return refused("running: not in the order of ids");
    running.pods.emplace_hint(running.pods.end(), pod, count);
  }
  return running;
}

}  // namespace router::scaling
