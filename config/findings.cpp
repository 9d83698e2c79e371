#include "config/findings.h"

#include <algorithm>
#include <map>

#include "router/base/one_line.h"

namespace router::config {
namespace {

std::string printable(std::string_view text, std::size_t bytes_max) {
  std::size_t length = std::min(text.size(), bytes_max);
  // Does not cut through a character. Bytes from 0x80 on are UTF-8, which was checked when the file was read.
  while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
  return on_one_line(text.substr(0, length)) + (length < text.size() ? "…" : "");
}

}  // namespace

std::string text_of(const Location& location) {
  std::string text = location.file;
  if (location.line > 0) text += ":" + std::to_string(location.line);
  if (!location.path.empty()) text += ": " + location.path;
  return text;
}

std::string shown(std::string_view text, std::size_t bytes_max) { return "`" + printable(text, bytes_max) + "`"; }
std::string shown_message(std::string_view message) { return printable(message, 200); }
std::string shown_key(std::string_view key) { return printable(key, 60); }

void Findings::List::add(Location location, std::string what) {
  if (++count <= kShown) kept.push_back({std::move(location), std::move(what)});
}

std::vector<std::string> Findings::List::lines() const {
  std::map<std::string, std::size_t> order;  // of files, in the order of first mention
  for (const Finding& finding : kept) order.emplace(finding.location.file, order.size());
  std::vector<const Finding*> sorted;
  sorted.reserve(kept.size());
  for (const Finding& finding : kept) sorted.push_back(&finding);
  std::stable_sort(sorted.begin(), sorted.end(), [&order](const Finding* a, const Finding* b) {
    return std::pair(order[a->location.file], a->location.line) < std::pair(order[b->location.file], b->location.line);
  });
  std::vector<std::string> lines;
  lines.reserve(sorted.size() + 1);
  for (const Finding* finding : sorted) lines.push_back(on_one_line(text_of(finding->location) + ": " + finding->what));
  if (count > kept.size()) lines.push_back("and " + std::to_string(count - kept.size()) + " more");
  return lines;
}

std::string Findings::brief() const {
  constexpr std::size_t kRest = 40;  // for `; and N more`
  std::string text;
  std::size_t told = 0;
  for (const Finding& finding : mistakes_.kept) {
    const std::string one = (finding.location.path.empty() ? "" : finding.location.path + ": ") + finding.what;
    const std::string part = (told == 0 ? "" : "; ") + printable(one, kBriefBytes - kRest);
    if (told == kBriefMistakes || (told > 0 && text.size() + part.size() > kBriefBytes - kRest)) break;
    text += part;
    ++told;
  }
  if (mistakes_.count > told) text += "; and " + std::to_string(mistakes_.count - told) + " more";
  return text;
}

std::string Findings::mistakes() const {
  std::string text;
  for (const std::string& line : mistakes_.lines()) text += (text.empty() ? "" : "\n") + line;
  return text;
}

}  // namespace router::config
