#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"

namespace router::config {

/// Reads the key files of an endpoint into `endpoint.keys`, and adds their paths to `files`, readable or not. A key is the
/// file's content without a byte order mark and without line ends at its end: visible ASCII characters, at most kKeyBytesMax.
/// Messages never show any of it.
void read_keys(EndpointDocument& document, Findings& findings, std::vector<std::string>& files);

/// The result of `read_keys_again`.
struct KeysAgain {
  std::vector<std::string> told;  // for each endpoint whose keys have changed: its name, and why a file holds no key
  bool out_of_reach =
      false;  // a file could not be read by this process: its endpoint keeps its keys, and the caller tries again later
};
/// Reads the key files of the endpoints in force again, whether or not the rest of their configuration is valid. A file without
/// a valid key opens nothing: an operator can revoke a key even while the configuration has mistakes.
KeysAgain read_keys_again(std::vector<Endpoint>& endpoints);

inline constexpr std::size_t kKeyBytesMax = 4096;

/// Removes a byte order mark and the line ends at the end of a key. Returns what is wrong with the key, without showing any of
/// it; nullptr: nothing.
const char* mistake_in_key(std::string& key);

}  // namespace router::config
