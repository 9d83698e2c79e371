#pragma once

#include <string>
#include <vector>

#include "config/azureml.h"

namespace router::config {

/// Reads the key files that an endpoint names into `endpoint.keys`, and adds them to `files`, readable or not. A key is the
/// file's content without a byte order mark and the line end: visible ASCII characters, at most kKeyBytesMax. Messages never
/// show any of it.
void read_keys(EndpointDocument& document, Findings& findings, std::vector<std::string>& files);

/// What `read_keys_again` has found.
struct KeysAgain {
  std::vector<std::string> told;  // of each endpoint whose keys are others now: which, and why a file holds none
  bool out_of_reach = false;      // this process could not read a file: its endpoint keeps its keys, and is to be asked again
};
/// Reads the key files of endpoints that are in force again, whatever else has become of their configuration. A file that
/// holds no key opens nothing: who takes a key away must not need a configuration without mistakes.
KeysAgain read_keys_again(std::vector<Endpoint>& endpoints);

inline constexpr std::size_t kKeyBytesMax = 4096;

/// Takes a byte order mark and the line end from a key. What is wrong with it, in words that show none of it; nullptr if
/// nothing is.
const char* mistake_in_key(std::string& key);

}  // namespace router::config
