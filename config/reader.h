#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/yaml_document.h"

namespace router::config {

/// Reads one map of a YAML file by key, with types and ranges, and collects every mistake with its place. A key that nobody
/// asked for is a mistake too, found by `finish`.
class MapReader {
 public:
  MapReader(const std::string& file, const YamlValue& map, std::string path, std::vector<Mistake>& mistakes);

  bool has(const std::string& key) const;
  bool is_scalar(const std::string& key) const;
  int line_of(const std::string& key) const;
  int line() const { return map_.line; }

  std::optional<std::string> text(const std::string& key);
  std::optional<std::int64_t> integer(const std::string& key, std::int64_t least, std::int64_t most);
  std::optional<bool> boolean(const std::string& key);
  /// One of `words`, without case; their index.
  std::optional<std::size_t> word(const std::string& key, std::initializer_list<const char*> words);
  std::vector<std::string> texts(const std::string& key);
  /// Any mapping of texts to texts or numbers: tags, properties.
  std::map<std::string, std::string> text_map(const std::string& key);
  std::map<std::string, int> percents(const std::string& key);
  std::optional<MapReader> map(const std::string& key);
  std::vector<MapReader> maps(const std::string& key);
  /// Known, and without effect here, whatever its value.
  void ignore(std::initializer_list<const char*> keys, std::vector<std::string>& told);
  void finish();

  void mistake(const std::string& key, const std::string& what);
  const std::string& file() const { return file_; }

 private:
  const YamlValue* find(const std::string& key);
  std::optional<std::string> scalar(const YamlValue& value, const std::string& key, int line);
  std::string path_of(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }
  void add(int line, const std::string& key, const std::string& what);

  const std::string& file_;
  const YamlValue& map_;
  std::string path_;
  std::vector<Mistake>& mistakes_;
  std::set<std::string> asked_;
};

/// Replaces `${NAME}` by the environment variable and `$$` by a dollar sign; `missing` names a variable that is not set.
std::string expand(const std::string& text, std::string& missing);

}  // namespace router::config
