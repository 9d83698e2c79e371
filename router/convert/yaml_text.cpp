#include "router/convert/yaml_text.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>

#include "config/reader.h"
#include "router/base/assert.h"
#include "router/base/utf8.h"

namespace router::convert {
namespace {

using Kind = YamlValue::Kind;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether a value needs no quotes. This is stricter than YAML, but still true for every number, flag and date: a scalar that
/// gets quotes because of it was a text before.
bool can_be_plain(std::string_view text) {
  const auto is_allowed = [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("-+._/:@~$ ").find(c) != std::string_view::npos;
  };
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_allowed)) return false;
  if (std::string_view(" :@").find(text.front()) != std::string_view::npos || text.ends_with(' ') || text.ends_with(':'))
    return false;
  if (text.front() == '-' && (text.size() == 1 || text[1] == ' ' || text[1] == '-')) return false;
  if (text.front() == '~' && text.size() > 1) return false;
  return text.find(": ") == std::string_view::npos;
}

/// Whether every reader takes the unquoted text for a text, not for a number, a flag, a date or null.
bool is_plainly_text(const std::string& text) {
  static constexpr std::string_view kWords[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
  const bool begins_like_text = !text.empty() && (is_letter(text.front()) || text.front() == '/' || text.front() == '$');
  return begins_like_text && can_be_plain(text) &&
         std::find(std::begin(kWords), std::end(kWords), config::lower_case(text)) == std::end(kWords);
}

bool is_plain_key(const std::string& key) { return is_plainly_text(key) && key.find_first_of(" :") == std::string::npos; }

/// Whether YAML forbids the character unescaped, or some readers take it for a line end.
bool is_escaped(char32_t c) {
  return c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff;
}

std::string in_quotes(std::string_view text) {
  ROUTER_PLANT(text.size() > 40);
  std::string quoted = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint found = first_code_point(text.substr(at));
    const std::size_t size = std::max<std::size_t>(found.bytes, 1);
    const char32_t character = found.bytes > 0 ? found.code : static_cast<unsigned char>(text[at]);
    if (character == '\n') {
      quoted += "\\n";
    } else if (character == '"' || character == '\\') {
      quoted += {'\\', text[at]};
    } else if (is_escaped(character)) {
      absl::StrAppend(&quoted, "\\u", absl::Hex(static_cast<std::uint32_t>(character), absl::kZeroPad4));
    } else {
      quoted += text.substr(at, size);
    }
    at += size;
  }
  return quoted + "\"";
}

/// The text after a key or dash on the same line; nothing for a map or list that needs lines of its own.
std::optional<std::string> on_one_line(const YamlValue& value) {
  switch (value.kind) {
    case Kind::kNull: return "null";
    case Kind::kScalar: return value.is_plain && can_be_plain(value.scalar) ? value.scalar : in_quotes(value.scalar);
    case Kind::kSequence: return value.items.empty() ? std::optional<std::string>("[]") : std::nullopt;
    case Kind::kMap: return value.members.empty() ? std::optional<std::string>("{}") : std::nullopt;
  }
  return std::nullopt;
}

class Writer {
 public:
  explicit Writer(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  /// `lead` precedes the first line, `indent` all others.
  void members(const YamlValue& map, const std::string& indent, const std::string& lead) {
    const std::string* before = &lead;
    for (const YamlValue::Member& each : map.members) {
      if (is_full()) return;
      absl::StrAppend(&out_, *before, is_plain_key(each.key) ? each.key : in_quotes(each.key), ":");
      value(*each.value, indent);
      before = &indent;
    }
  }
  bool is_full() const { return out_.size() > bytes_max_; }
  std::string take() { return is_full() ? "" : std::move(out_); }

 private:
  void value(const YamlValue& value, const std::string& indent) {
    if (const std::optional<std::string> line = on_one_line(value)) return absl::StrAppend(&out_, " ", *line, "\n");
    out_ += "\n";
    const std::string deeper = indent + "  ";
    value.kind == Kind::kMap ? members(value, deeper, deeper) : items(value, deeper, deeper);
  }

  void items(const YamlValue& list, const std::string& indent, const std::string& lead) {
    const std::string* before = &lead;
    const std::string deeper = indent + "  ";
    for (const Value& each : list.items) {
      if (is_full()) return;
      const std::string dash = *before + "- ";
      before = &indent;
      if (const std::optional<std::string> line = on_one_line(*each)) {
        absl::StrAppend(&out_, dash, *line, "\n");
      } else {
        each->kind == Kind::kMap ? members(*each, deeper, dash) : items(*each, deeper, dash);
      }
    }
  }

  std::size_t bytes_max_;
  std::string out_;
};

std::shared_ptr<YamlValue> make(Kind kind) {
  auto made = std::make_shared<YamlValue>();
  made->kind = kind;
  return made;
}

}  // namespace

Value text(std::string value) {
  auto made = make(Kind::kScalar);
  made->is_plain = is_plainly_text(value);
  made->scalar = std::move(value);
  return made;
}

Value number(long long value) {
  auto made = make(Kind::kScalar);
  made->is_plain = true;
  made->scalar = std::to_string(value);
  return made;
}

Value list(std::vector<Value> items) {
  auto made = make(Kind::kSequence);
  made->items = std::move(items);
  return made;
}

Value map(const std::vector<std::pair<std::string, Value>>& members) {
  auto made = make(Kind::kMap);
  for (const auto& [key, value] : members) {
    if (value != nullptr) made->members.push_back({key, 0, value});
  }
  return made;
}

Value with(const YamlValue& from, const std::string& key, Value value) {
  auto made = std::make_shared<YamlValue>(from);
  for (YamlValue::Member& each : made->members) {
    if (each.key != key) continue;
    each.value = std::move(value);
    return made;
  }
  made->members.push_back({key, from.line, std::move(value)});
  return made;
}

Value without(const YamlValue& from, const std::vector<std::string>& path) {
  auto made = std::make_shared<YamlValue>(from);
  if (find(from, path) == nullptr) return made;
  if (path.size() > 1) {
    const Value inner = without(*from.find(path.front())->value, {path.begin() + 1, path.end()});
    if (!inner->members.empty()) return with(from, path.front(), inner);
  }
  const auto is_it = [&path](const YamlValue::Member& each) { return each.key == path.front(); };
  made->members.erase(std::find_if(made->members.begin(), made->members.end(), is_it));
  return made;
}

const YamlValue* find(const YamlValue& from, const std::vector<std::string>& path) {
  const YamlValue* value = &from;
  for (const std::string& key : path) {
    const YamlValue::Member* found = value->find(key);
    if (found == nullptr) return nullptr;
    value = found->value.get();
  }
  return value;
}

std::string write_yaml(const YamlValue& map, std::size_t bytes_max) {
  Writer writer(bytes_max);
  writer.members(map, "", "");
  return writer.take();
}

}  // namespace router::convert
