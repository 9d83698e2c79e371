#include "router/convert/yaml_text.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <iterator>
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

/// Whether the text has a character that yaml-cpp writes into quotes as it is and other readers do not accept there: some
/// refuse DEL, and readers of YAML 1.1 take the line and paragraph separators for line ends.
bool needs_more_escapes(std::string_view text) {
  constexpr std::string_view kTexts[] = {"\x7f", "\u2028", "\u2029"};
  return std::any_of(std::begin(kTexts), std::end(kTexts),
                     [text](std::string_view each) { return text.find(each) != text.npos; });
}

/// The first of the 66 code points that Unicode keeps for no character (U+FDD0 to U+FDEF, and the last two of each plane);
/// yaml-cpp's emitter would replace them by U+FFFD.
std::optional<char32_t> find_noncharacter(std::string_view text) {
  while (!text.empty()) {
    const CodePoint found = first_code_point(text);
    const bool is_one = (found.code >= 0xfdd0 && found.code <= 0xfdef) || (found.code & 0xfffe) == 0xfffe;
    if (found.bytes > 0 && is_one) return found.code;
    text.remove_prefix(std::max<std::size_t>(found.bytes, 1));
  }
  return std::nullopt;
}

/// Writes with yaml-cpp's emitter: in block style, two spaces for each level.
class Writer {
 public:
  explicit Writer(std::size_t bytes_max) : bytes_max_(bytes_max) {
    out_.SetNullFormat(YAML::LowerNull);
    out_.SetStringFormat(YAML::Auto);
  }

  void value(const YamlValue& value) {
    if (is_full()) return;
    switch (value.kind) {
      case Kind::kNull: out_ << YAML::Null; break;
      case Kind::kScalar: scalar(value.scalar, value.is_plain && can_be_plain(value.scalar)); break;
      case Kind::kSequence: items(value); break;
      case Kind::kMap: members(value); break;
    }
  }
  absl::StatusOr<std::string> take() const {
    if (!unwritable_.empty()) return absl::InvalidArgumentError(unwritable_);
    std::string text(out_.c_str(), out_.size());
    text += '\n';
    if (text.size() > bytes_max_) return absl::InvalidArgumentError("is more than 1 MB when its aliases are written out");
    return text;
  }

 private:
  bool is_full() const { return out_.size() >= bytes_max_; }

  void scalar(const std::string& text, bool plain) {
    if (!plain) {
      refuse_noncharacter(text);
      ROUTER_PLANT(text.size() > 40);
      if (needs_more_escapes(text)) out_ << YAML::EscapeNonAscii;
      out_ << YAML::DoubleQuoted;
    }
    out_ << text;
  }

  /// Keeps the first refusal, with the keys that lead to the text.
  void refuse_noncharacter(std::string_view text) {
    const std::optional<char32_t> found = find_noncharacter(text);
    if (!found || !unwritable_.empty()) return;
    unwritable_ = absl::StrCat(keys_.empty() ? "a key" : absl::StrJoin(keys_, "."), " contains U+",
                               absl::Hex(static_cast<std::uint32_t>(*found), absl::kZeroPad4),
                               ", which Unicode keeps for no character: it cannot be written");
  }

  void items(const YamlValue& list) {
    if (list.items.empty()) out_ << YAML::Flow;
    out_ << YAML::BeginSeq;
    for (const Value& each : list.items) value(*each);
    out_ << YAML::EndSeq;
  }

  void members(const YamlValue& map) {
    if (map.members.empty()) out_ << YAML::Flow;
    out_ << YAML::BeginMap;
    for (const YamlValue::Member& each : map.members) {
      if (is_full()) break;
      out_ << YAML::Key;
      scalar(each.key, is_plain_key(each.key));
      out_ << YAML::Value;
      keys_.push_back(each.key);
      value(*each.value);
      keys_.pop_back();
    }
    out_ << YAML::EndMap;
  }

  const std::size_t bytes_max_;
  std::string unwritable_;         // why nothing is written; empty: it can be
  std::vector<std::string> keys_;  // that lead to the value
  YAML::Emitter out_;
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

absl::StatusOr<std::string> write_yaml(const YamlValue& map, std::size_t bytes_max) {
  Writer writer(bytes_max);
  writer.value(map);
  return writer.take();
}

}  // namespace router::convert
