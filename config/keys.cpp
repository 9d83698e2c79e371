#include "config/keys.h"

#include <algorithm>
#include <string_view>

#include "config/file_text.h"

namespace router::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // Windows' editors and PowerShell begin UTF-8 with it

void read_key(const std::string& file, const Place& place, Endpoint& endpoint, Findings& findings) {
  FileText content = read_file(file, kKeyBytesMax);
  if (!content.mistake.empty()) return findings.mistake(place, shown_path(file) + " " + content.mistake);
  if (const char* mistake = mistake_in_key(content.text); mistake != nullptr) {
    return findings.mistake(place, shown_path(file) + " " + mistake);
  }
  endpoint.keys.push_back({std::move(content.text)});
}

}  // namespace

const char* mistake_in_key(std::string& key) {
  if (key.starts_with(kByteOrderMark)) key.erase(0, kByteOrderMark.size());
  while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  if (key.empty()) return "is empty; a key is expected";
  if (key.size() > kKeyBytesMax) return "is longer than 4096 bytes";
  if (!std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
    return "holds characters that a key cannot have; one line of visible ASCII characters without spaces is expected";
  }
  return nullptr;
}

void read_keys(EndpointDocument& document, Findings& findings, std::vector<std::string>& files) {
  Endpoint& endpoint = document.endpoint;
  const auto read = [&](const std::string& file, const Place& place) {
    if (file.empty()) return;
    files.push_back(file);
    read_key(file, place, endpoint, findings);
  };
  read(endpoint.primary_key_file, document.primary_key_file);
  read(endpoint.secondary_key_file, document.secondary_key_file);
  const bool named = !endpoint.primary_key_file.empty() || !endpoint.secondary_key_file.empty();
  if (!named && endpoint.auth_mode == AuthMode::kKey) {
    findings.warning({endpoint.file, endpoint.line, "router.keys"},
                     "the endpoint has no keys, so nobody can score: every request is answered with 401");
  }
}

}  // namespace router::config
