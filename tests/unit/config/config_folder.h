#pragma once

#include <absl/status/statusor.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/load.h"

namespace router::config::test {

/// A folder for the test with a configuration that is valid until the test changes a file. It is removed at the end.
class ConfigFolder {
 public:
  ConfigFolder() {
    write("router.yaml", kRouter);
    write("endpoints/endpoint.yml", kEndpoint);
    write("endpoints/blue.yml", kBlue);
    write("keys/primary", "a-key-for-tests\n");
  }
  ~ConfigFolder() { std::filesystem::remove_all(root_); }
  ConfigFolder(const ConfigFolder&) = delete;
  ConfigFolder& operator=(const ConfigFolder&) = delete;

  static constexpr const char* kRouter = "listeners:\n  - port: 8080\nendpoints: [endpoints/*.yml]\n";
  static constexpr const char* kEndpoint =
      "name: my-endpoint\nauth_mode: key\ntraffic:\n  blue: 100\nrouter:\n  keys: {primary_file: ../keys/primary}\n";
  static constexpr const char* kBlue = "name: blue\nendpoint_name: my-endpoint\nrouter:\n  replicas: ['10.0.0.1:5001']\n";

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(root_ / name); }

  absl::StatusOr<Config> load() const { return config::load(path("router.yaml")); }
  /// The message that refuses the configuration, without the name of the folder. Empty if the configuration is accepted.
  std::string mistakes() const {
    const absl::StatusOr<Config> config = load();
    return config.ok() ? "" : without_root(std::string(config.status().message()));
  }
  std::string warnings() const {
    std::string all;
    const absl::StatusOr<Config> config = load();
    if (!config.ok()) return "refused: " + std::string(config.status().message());
    for (const std::string& each : config->warnings) all += without_root(each) + "\n";
    return all;
  }
  std::string without_root(std::string text) const {
    const std::string root = root_.string() + "/";
    for (std::size_t at = text.find(root); at != text.npos; at = text.find(root)) text.erase(at, root.size());
    return text;
  }

 private:
  static std::filesystem::path make() {
    std::string name = std::filesystem::temp_directory_path() / "config-test-XXXXXX";
    return ::mkdtemp(name.data()) == nullptr ? throw std::runtime_error("no folder for the test") : name;
  }
  const std::filesystem::path root_ = make();
};

/// A file with a mistake, and the message that must name it: `told` is the beginning of a line of the message.
struct BadFile {
  const char* name;  // of the test
  const char* file;
  std::string text;
  std::string told;
};
inline void PrintTo(const BadFile& bad, std::ostream* out) { *out << bad.name; }

class RefusedFile : public testing::TestWithParam<BadFile> {
 protected:
  void expect_refused() {
    const ConfigFolder folder;
    ASSERT_EQ(folder.mistakes(), "") << "the configuration is valid before the change";
    folder.write(GetParam().file, GetParam().text);
    const std::string told = "\n" + folder.mistakes();
    EXPECT_NE(told.find("\n" + GetParam().told), told.npos) << "expected: " << GetParam().told << "\nmessage:" << told;
  }
};
inline std::string name_of(const testing::TestParamInfo<BadFile>& info) { return info.param.name; }

}  // namespace router::config::test
