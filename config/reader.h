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
/// the default then stays, so that one pass finds all of them. A key that nobody asked for is a mistake too, found by `finish`.
/// The tree must outlive the reader. What is asked for is what is known: `outlining` gives a reader that finds nothing and
/// records each question in an outline (outline.h).
class MapReader {
 public:
  MapReader(std::string file, const YamlValue& map, std::string path, Findings& findings, Source source = Source::kFile);
  /// A map of a list counts as there once, a name in `names` likewise, and nothing else is there.
  static MapReader outlining(Outline& into, Findings& findings, Source source);

  /// What the document is, for the message about a key that belongs elsewhere. For maps that are read from now on, too.
  void describes(Described what) { described_ = what; }
  bool is_resource() const { return source_ == Source::kResource; }
  bool has(const std::string& key) const { return member(key) != nullptr; }
  /// The keys in the order of the file.
  std::vector<std::string> names() const;
  /// The members as an overlay lays them over the map of another file: each knows where it stands.
  std::vector<YamlValue::Member> members() const;
  const std::string& file() const { return file_; }
  /// A text as it stands, without being known from then on; empty if there is none.
  std::string plain_text(const std::string& key) const;
  Location location() const { return {file_, map_.line, path_}; }
  Location location(const std::string& key) const;

  // Each of these knows the key from then on; a key that is not there is no mistake, one without a value is.
  std::optional<std::string> text(const std::string& key);
  /// A text that must be there and not be empty; otherwise a mistake, and empty.
  std::string required_text(const std::string& key);
  /// A path, made absolute against the folder of the file in which it stands.
  std::optional<std::string> path(const std::string& key);
  std::optional<std::int64_t> integer(const std::string& key, Range range);
  std::optional<bool> boolean(const std::string& key);
  /// One of `words`, without case; its index.
  std::optional<std::size_t> word(const std::string& key, std::initializer_list<const char*> words);
  std::optional<MapReader> map(const std::string& key);
  std::vector<MapReader> maps(const std::string& key);
  /// At least one; otherwise the mistake `expected`.
  std::vector<MapReader> some_maps(const std::string& key, const char* expected);
  struct Item {
    std::string text;
    Location location;
  };
  std::vector<Item> texts(const std::string& key);
  /// Any texts or numbers by any names: tags.
  std::map<std::string, std::string> text_map(const std::string& key);

  /// The same, into a setting that keeps its default otherwise. A number's type may be a duration.
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

  /// The value is a scalar; a map is then read in another way.
  bool is_scalar(const std::string& key) const;
  /// Known, and without effect here, whatever its value; those that are there are added to `told`.
  void ignore(std::initializer_list<const char*> keys, std::vector<std::string>& told);
  void ignore(std::initializer_list<const char*> keys);
  /// A key that is known elsewhere and not here: a mistake if it is there, which says `why` in place of what is known here.
  void refuse(const std::string& key, const char* why);
  /// Call it last: refuses every key that was not asked for. `in_overlays` are known where overlays write what this map holds,
  /// and were taken away before it was laid over.
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
  /// What may be meant by a key that is not known: `; perhaps …`, `; it belongs at …`, or nothing.
  std::string probable_meaning(const std::string& key, bool in_overlay) const;
  /// A map below this one, which has its settings.
  MapReader inside(const YamlValue& map, const Location& at) const;
  MapReader inside(Outline::Field& field) const;
  /// Records the key, if this reader outlines; nullptr otherwise.
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

/// ASCII, no locale: names, host names and enumerations are compared so.
std::string lower_case(std::string text);

}  // namespace router::config
