#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/outline.h"
#include "config/yaml_document.h"

namespace router::config {

inline constexpr std::int64_t kDayMs = 24ll * 60 * 60 * 1000;

/// Reads one map of a YAML file by key, with types and ranges. Every mistake is added to the findings with its location, and
/// the default stays, so that one pass finds all mistakes. `finish` reports each key that was not asked for. The tree must
/// outlive the reader. A key is known if the code asks for it: `outlining` makes a reader that finds nothing and records each
/// request in an outline (outline.h).
class MapReader {
 public:
  MapReader(std::string file, const YamlValue& map, std::string path, Findings& findings, Source source = Source::kFile);
  /// In this reader every map exists, every list of maps holds one map, `names` holds kAnyName, and nothing else exists.
  static MapReader outlining(Outline& into, Findings& findings, Source source);

  /// Sets the kind of the document, for messages about a key that belongs elsewhere. Maps read from now on inherit it.
  void describes(Described what) { described_ = what; }
  bool is_resource() const { return source_ == Source::kResource; }
  bool has(const std::string& key) const { return member(key) != nullptr; }
  /// The keys in the order of the file.
  std::vector<std::string> names() const;
  /// The members, to be merged into a map of another file: each carries its own location.
  std::vector<YamlValue::Member> members() const;
  const std::string& file() const { return file_; }
  /// A text as written, without marking the key as known; empty if there is none.
  std::string plain_text(const std::string& key) const;
  Location location() const { return {file_, map_.line, path_}; }
  Location location(const std::string& key) const;

  // Each of these functions marks the key as known. A missing key is no mistake; a key without a value is one.
  std::optional<std::string> text(const std::string& key);
  /// A text that must be present and not empty; otherwise adds a mistake and returns an empty text.
  std::string required_text(const std::string& key);
  /// A path, made absolute against the folder of the file that holds it.
  std::optional<std::string> path(const std::string& key);
  std::optional<std::int64_t> integer(const std::string& key, Range range);
  std::optional<bool> boolean(const std::string& key);
  /// The index of the value among `words`, compared without case.
  std::optional<std::size_t> word(const std::string& key, std::initializer_list<const char*> words);
  std::optional<MapReader> map(const std::string& key);
  std::vector<MapReader> maps(const std::string& key);
  /// At least one map; otherwise adds the mistake `expected`.
  std::vector<MapReader> some_maps(const std::string& key, const char* expected);
  struct Item {
    std::string text;
    Location location;
  };
  std::vector<Item> texts(const std::string& key);
  /// Any names with any texts or numbers: tags.
  std::map<std::string, std::string> text_map(const std::string& key);

  /// The same for a setting that keeps its default if the key is missing. The type of a number may be a duration.
  template <class Number>
  void read(const std::string& key, Range range, Number& into) {
    if (outline_ != nullptr) note_default(key, Outline::Field::Kind::kNumber, std::to_string(plain_number(into)));
    if (const std::optional<std::int64_t> number = integer(key, range)) into = static_cast<Number>(*number);
  }
  void read(const std::string& key, bool& into) {
    if (outline_ != nullptr) note_default(key, Outline::Field::Kind::kFlag, into ? "true" : "false");
    into = boolean(key).value_or(into);
  }
  void read_path(const std::string& key, std::string& into) { into = path(key).value_or(into); }

  /// Whether the value is a scalar; the caller reads a map in another way.
  bool is_scalar(const std::string& key) const;
  /// Marks keys as known and without effect, whatever their values. Those that are present are added to `told`.
  void ignore(std::initializer_list<const char*> keys, std::vector<std::string>& told);
  void ignore(std::initializer_list<const char*> keys);
  /// Marks a key as known elsewhere but not here. If it is present, that is a mistake whose message says `why`.
  void refuse(const std::string& key, const char* why);
  /// Call it last: refuses every key that was not asked for. `in_overlays` are further keys that overlays may have at this
  /// level; they were taken out before merging, and the message about an overlay's key lists them too.
  void finish(std::initializer_list<const char*> in_overlays = {});

  void mistake(const std::string& key, std::string what) { findings_.mistake(location(key), std::move(what)); }
  void warning(const std::string& key, std::string what) { findings_.warning(location(key), std::move(what)); }
  Findings& findings() { return findings_; }

 private:
  const YamlValue::Member* member(const std::string& key) const;
  const YamlValue* find(const std::string& key);
  const YamlValue* find(const std::string& key, YamlValue::Kind kind, const char* expected);
  std::optional<std::string> scalar(const YamlValue& value, const Location& at);
  std::string path_of(const std::string& key) const;
  /// A suggestion for an unknown key: `; perhaps …`, `; it belongs at …`, or nothing.
  std::string probable_meaning(const std::string& key, bool in_overlay) const;
  /// A reader of a map below this one, with the same settings.
  MapReader inside(const YamlValue& map, const Location& at) const;
  MapReader inside(Outline::Field& field) const;
  /// Records the key if this reader outlines; otherwise returns nullptr.
  Outline::Field* note(const std::string& key, Outline::Field::Kind kind) const;
  void note_default(const std::string& key, Outline::Field::Kind kind, std::string initial) const;
  template <class Number>
  static auto plain_number(Number number) {
    if constexpr (requires { number.count(); }) {
      return number.count();
    } else {
      return number;
    }
  }

  std::string file_;
  const YamlValue& map_;
  std::string path_;
  Findings& findings_;
  Source source_;
  Described described_ = Described::kUnknown;
  Outline* outline_ = nullptr;
  std::map<std::string_view, const YamlValue::Member*> index_;
  std::set<std::string> asked_;
  std::set<std::string> refused_;
};

/// Reads a text for which `is_good` is true. Otherwise adds a mistake that says what is `expected`.
using Check = bool (*)(std::string_view);
void read_checked(MapReader& map, const char* key, Check is_good, const char* expected, std::string& into);

/// ASCII, independent of the locale. Names, host names and enumerations are compared in this form.
std::string lower_case(std::string text);

}  // namespace router::config
