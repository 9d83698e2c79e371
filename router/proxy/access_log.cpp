#include "router/proxy/access_log.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

#include "router/base/failure.h"

namespace router::proxy {
namespace {

constexpr std::size_t kUserAgentMax = 70;  // Azure Monitor
constexpr std::size_t kPathMax = 1024;
constexpr std::size_t kMethodMax = 32;  // the longest registered method has 16 characters

/// Appends a string that a client may have chosen as JSON text. Everything but printable ASCII is escaped, so the log line
/// stays one line and valid JSON, whatever bytes the client sent.
void append_escaped(std::string& line, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::size_t plain = 0;  // start of the text that needs no escape and is not appended yet
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_quoted = byte == '"' || byte == '\\';
    if (!is_quoted && byte >= 0x20 && byte <= 0x7e) continue;
    line.append(text, plain, i - plain);
    plain = i + 1;
    if (is_quoted) {
      line.push_back('\\');
      line.push_back(text[i]);
    } else {
      line.append("\\u00");
      line.push_back(kHex[byte >> 4]);
      line.push_back(kHex[byte & 15]);
    }
  }
  line.append(text, plain);
}

class JsonLine {
 public:
  explicit JsonLine(std::string& line) : line_(line) { line_.push_back('{'); }
  void text(std::string_view key, std::string_view value) {
    begin(key);
    line_.push_back('"');
    append_escaped(line_, value);
    line_.push_back('"');
  }
  /// For a value that needs no escape, such as letters and digits.
  void plain(std::string_view key, std::string_view value) {
    begin(key);
    line_.push_back('"');
    line_.append(value);
    line_.push_back('"');
  }
  void number(std::string_view key, std::uint64_t value) {
    begin(key);
    char digits[24];
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
    line_.append(digits, end.ptr);
  }
  /// Writes milliseconds with three decimals.
  void milliseconds(std::string_view key, Duration duration) {
    const auto microseconds =
        std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::microseconds>(duration).count(), 0);
    number(key, static_cast<std::uint64_t>(microseconds / 1000));
    const auto rest = static_cast<int>(microseconds % 1000);
    const char decimals[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                             static_cast<char>('0' + rest % 10)};
    line_.append(decimals, sizeof decimals);
  }
  void end() { line_.append("}\n"); }

 private:
  void begin(std::string_view key) {
    if (line_.back() != '{') line_.push_back(',');
    line_.push_back('"');
    line_.append(key);
    line_.append("\":");
  }
  std::string& line_;
};

constexpr std::size_t kSecondsSize = 19;  // 2026-01-31T12:34:56

/// `2026-01-31T12:34:56.789Z`.
std::string_view now_text(std::array<char, 32>& storage) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  thread_local std::time_t second = 0;
  thread_local std::array<char, 24> prefix{};
  if (now.tv_sec != second) {  // format the date and time once a second
    second = now.tv_sec;
    std::tm utc{};
    gmtime_r(&second, &utc);
    std::strftime(prefix.data(), prefix.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  }
  const auto milliseconds = static_cast<int>(now.tv_nsec / 1000000);
  char* end = std::copy_n(prefix.data(), kSecondsSize, storage.data());
  *end++ = '.';
  for (const int digit : {milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10})
    *end++ = static_cast<char>('0' + digit);
  *end++ = 'Z';
  return {storage.data(), static_cast<std::size_t>(end - storage.data())};
}

Duration between(TimePoint from, TimePoint to) { return from == TimePoint{} || to == TimePoint{} ? Duration{} : to - from; }

}  // namespace

void append_access_line(std::string& text, std::uint64_t generation, std::string_view client_ip, const Downstream& downstream,
                        const Record& record) {
  const http::RequestHead& head = downstream.head();
  JsonLine line(text);
  std::array<char, 32> time;
  line.text("TimeGenerated", now_text(time));
  line.text("EndpointName", record.endpoint != nullptr ? record.endpoint->name : "");
  line.text("DeploymentName", record.deployment != nullptr ? record.deployment->name : "");
  line.text("Method", head.method_text.substr(0, kMethodMax));
  line.text("Path", head.path.substr(0, kPathMax));
  line.text("Protocol", head.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1");
  line.number("ResponseCode", static_cast<std::uint64_t>(record.status));
  line.text("ResponseCodeReason", name_of(record.reason));
  line.number("ModelStatusCode", static_cast<std::uint64_t>(record.model_status));
  line.text("ModelStatusReason", record.reason == Reason::kNone || record.reason == Reason::kModelError ? "" : record.cause);
  line.number("RequestPayloadSize", downstream.request_bytes());
  line.number("ResponsePayloadSize", downstream.response_bytes());
  if (!client_ip.empty()) line.plain("ClientIP", client_ip);
  line.text("UserAgent", head.fields.get(http::Field::kUserAgent).substr(0, kUserAgentMax));
  line.text("XRequestId", record.ids->request_id);
  line.text("XMSClientRequestId", record.ids->client_request_id.view());
  line.milliseconds("TotalDurationMs", record.ended - record.begun);
  line.milliseconds("RequestDurationMs",
                    record.sent == TimePoint{} ? Duration{} : record.sent - record.begun - record.in_queue);
  line.milliseconds("ResponseDurationMs", between(record.answered, record.ended));
  line.milliseconds("SettleDurationMs", between(record.ended, record.settled));
  line.milliseconds("QueueDurationMs", record.in_queue);
  line.number(
      "RouterOverheadUs",
      static_cast<std::uint64_t>(std::max<std::int64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(record.ended - record.begun - record.waited).count(), 0)));
  line.text("AuthType", record.caller.auth_type == model::AuthType::kKey ? "Key" : "");
  line.text("IdentityData", record.caller.identity);
  line.text("Replica", record.replica);
  line.number("Attempts", static_cast<std::uint64_t>(record.attempts));
  line.number("Generation", generation);
  line.end();
}

void write_access_line(runtime::LineWriter& writer, std::size_t shard, std::uint64_t generation, std::string_view client_ip,
                       const Downstream& downstream, const Record& record) {
  std::string& line = writer.draft(shard);
  append_access_line(line, generation, client_ip, downstream, record);
  writer.write(shard, line);
}

}  // namespace router::proxy
