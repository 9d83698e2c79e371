#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace router::config {

/// A location: a file, a line of it, and the path of a key (`listeners[0].port`). Line 0: the file as a whole.
struct Location {
  std::string file;
  int line = 0;  // from 1
  std::string path;
  bool operator==(const Location&) const = default;
};

/// `file:line: key.path`, without the parts that are missing.
std::string text_of(const Location& location);

/// Formats a value for a message: in backquotes, on one line, cut to `bytes_max`, without characters that could control a
/// terminal.
std::string shown(std::string_view text, std::size_t bytes_max = 60);
inline std::string shown_path(std::string_view path) { return shown(path, 4096); }
/// The same for a key, without the backquotes.
std::string shown_key(std::string_view key);
/// Formats a library's message about a file: at most 200 bytes.
std::string shown_message(std::string_view message);

/// What the readers found in the files. A mistake refuses the configuration, a warning does not. All findings are collected, so
/// that an operator sees everything at once. Messages name locations and settings, never the content of a key file.
class Findings {
 public:
  void mistake(Location location, std::string what) { mistakes_.add(std::move(location), std::move(what)); }
  void warning(Location location, std::string what) { warnings_.add(std::move(location), std::move(what)); }

  bool has_mistakes() const { return mistakes_.count > 0; }
  /// The number of mistakes. A reader compares it before and after a value to learn whether the value was correct.
  std::size_t count() const { return mistakes_.count; }
  /// One mistake per line, grouped by file, in the order of its lines. At most kShown, then the number of the rest.
  std::string mistakes() const;
  /// The mistakes of one resource for a condition's message: `path: what`, without the file, separated by `; `. At most
  /// kBriefMistakes in kBriefBytes, then the number of the rest. The first mistake is always included, cut if necessary.
  std::string brief() const;
  std::vector<std::string> warnings() const { return warnings_.lines(); }

  static constexpr std::size_t kShown = 200;  // of each kind are kept; a hostile file may hold many thousands
  static constexpr std::size_t kBriefMistakes = 10;
  static constexpr std::size_t kBriefBytes = 1024;

 private:
  struct Finding {
    Location location;
    std::string what;
  };
  struct List {
    std::vector<Finding> kept;
    std::size_t count = 0;

    void add(Location location, std::string what);
    std::vector<std::string> lines() const;
  };

  List mistakes_;
  List warnings_;
};

}  // namespace router::config
