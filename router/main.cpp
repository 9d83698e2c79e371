#include <iostream>
#include <string>
#include <string_view>

#include "config/load.h"
#include "router/router.h"

namespace {

constexpr std::string_view kHelp = R"(inference-router: the front door of a cluster that serves machine-learning models

  inference-router --config FILE          run with this router.yaml
  inference-router --config FILE --check  read everything, print `ok` or every mistake, and exit
  inference-router --version
  inference-router --help

Signals: TERM or INT drains and exits, HUP reads the configuration again and reopens the log files.
)";

struct Arguments {
  std::string config;
  bool check = false;
  bool version = false;
  bool help = false;
  std::string mistake;
};

Arguments parse(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--config" && i + 1 < count) {
      arguments.config = words[++i];
    } else if (word == "--check") {
      arguments.check = true;
    } else if (word == "--version") {
      arguments.version = true;
    } else if (word == "--help" || word == "-h") {
      arguments.help = true;
    } else {
      arguments.mistake = "what is `" + std::string(word) + "`?";
      return arguments;
    }
  }
  if (arguments.config.empty() && !arguments.version && !arguments.help) arguments.mistake = "--config FILE is missing";
  return arguments;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = parse(count, words);
  if (!arguments.mistake.empty()) {
    std::cerr << "inference-router: " << arguments.mistake << "\n\n" << kHelp;
    return 2;
  }
  if (arguments.help) return std::cout << kHelp, 0;
  if (arguments.version) return std::cout << "inference-router " ROUTER_VERSION "\n", 0;

  absl::StatusOr<router::config::Config> config = router::config::load(arguments.config, nullptr, router::Router::examine);
  if (!config.ok()) {
    std::cerr << config.status().message() << "\n";
    return 1;
  }
  if (arguments.check) {
    for (const std::string& warning : config->warnings) std::cerr << "warning: " << warning << "\n";
    return std::cout << "ok\n", 0;
  }
  router::Router router(arguments.config, std::move(*config));
  return router.run();
}
