#include "config/keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "router/files/read_file.h"

namespace router::config {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // Windows editors and PowerShell begin UTF-8 files with it

/// One key, or the mistake in its file as a text that shows no part of the key.
struct KeyRead {
  std::string key;
  std::string mistake;
  bool out_of_reach = false;
};

KeyRead read_key(const std::string& file) {
  files::FileText content = files::read_file(file, kKeyBytesMax);
  if (!content.mistake.empty()) return {{}, shown_path(file) + " " + content.mistake, content.out_of_reach};
  if (const char* mistake = mistake_in_key(content.text); mistake != nullptr) return {{}, shown_path(file) + " " + mistake};
  return {std::move(content.text), {}};
}

bool same(const std::vector<Secret>& a, const std::vector<Secret>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Secret& one, const Secret& other) { return one.name == other.name && one.value == other.value; });
}

void read_again(Endpoint& endpoint, KeysAgain& found) {
  std::vector<Secret> keys;
  std::string mistakes;
  const std::pair<const std::string*, KeyName> files[] = {{&endpoint.primary_key_file, KeyName::kPrimary},
                                                          {&endpoint.secondary_key_file, KeyName::kSecondary}};
  for (const auto& [file, name] : files) {
    if (file->empty()) continue;
    KeyRead read = read_key(*file);
    if (read.out_of_reach) {
      found.out_of_reach = true;
      return;
    }
    if (read.mistake.empty()) {
      keys.push_back({std::move(read.key), name});
    } else {
      mistakes += "; " + read.mistake;
    }
  }
  if (same(keys, endpoint.keys)) return;
  found.told.push_back("endpoint " + endpoint.name + ": " + std::to_string(keys.size()) + " keys open it" + mistakes);
  endpoint.keys = std::move(keys);
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
  const auto read = [&](const std::string& file, const Location& location, KeyName name) {
    if (file.empty()) return;
    files.push_back(file);
    KeyRead found = read_key(file);
    if (!found.mistake.empty()) return findings.mistake(location, std::move(found.mistake));
    endpoint.keys.push_back({std::move(found.key), name});
  };
  read(endpoint.primary_key_file, document.primary_key_file, KeyName::kPrimary);
  read(endpoint.secondary_key_file, document.secondary_key_file, KeyName::kSecondary);
  const bool named = !endpoint.primary_key_file.empty() || !endpoint.secondary_key_file.empty();
  if (!named && endpoint.auth_mode == AuthMode::kKey) {
    findings.warning({endpoint.file, endpoint.line, "router.keys"},
                     "the endpoint has no keys, so nobody can score: every request is answered with 401; an overlay may name "
                     "them, too (endpoints.NAME.keys)");
  }
}

KeysAgain read_keys_again(std::vector<Endpoint>& endpoints) {
  KeysAgain found;
  for (Endpoint& each : endpoints) read_again(each, found);
  return found;
}

}  // namespace router::config
