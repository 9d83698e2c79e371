#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace router::config {

/// Where something stands: a line of a file, and the path of a key (`listeners[0].port`). Line 0: the file as a whole.
struct Location {
  std::string file;
  int line = 0;  // from 1
  std::string path;
  bool operator==(const Location&) const = default;
};

/// `file:line: key.path`, as far as there is one.
std::string text_of(const Location& location);

/// A value as a message shows it: in backquotes, on one line, at most `bytes_max` of it, nothing that could steer a terminal.
std::string shown(std::string_view text, std::size_t bytes_max = 60);
inline std::string shown_path(std::string_view path) { return shown(path, 4096); }
/// The same for a key, without the backquotes.
std::string shown_key(std::string_view key);
/// The words of a library about a file: at most 200 bytes.
std::string shown_message(std::string_view message);

/// What a reader has to say about the files: mistakes refuse the configuration, warnings accept it. All are collected, so that
/// an operator sees everything at once. Messages name places and settings, never the content of a key file.
class Findings {
 public:
  void mistake(Location location, std::string what) { mistakes_.add(std::move(location), std::move(what)); }
  void warning(Location location, std::string what) { warnings_.add(std::move(location), std::move(what)); }

  bool has_mistakes() const { return mistakes_.count > 0; }
  /// Of mistakes; a reader sees from it whether a value that it looked at was all right.
  std::size_t count() const { return mistakes_.count; }
  /// One a line, those of one file together and in the order of its lines; at most kShown, then how many more.
  std::string mistakes() const;
  /// The mistakes of one resource for a condition's message: `path: what`, without the file, parted by `; `. At most
  /// kBriefMistakes in kBriefBytes, then how many more; the first is always there, cut if need be.
  std::string brief() const;
  std::vector<std::string> warnings() const { return warnings_.lines(); }

  static constexpr std::size_t kShown = 200;  // of each sort are kept; a hostile file may hold many thousands
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
