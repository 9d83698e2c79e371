#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/addresses.h"
#include "config/load.h"
#include "config/wanted_log_format.h"
#include "router/base/log.h"
#include "router/convert/convert.h"
#include "router/router.h"
#include "tls/buffer_memory.h"

namespace {

constexpr std::string_view kHelp = R"(inference-router: the front door of a cluster that serves machine-learning models

  inference-router --config FILE          run with this router.yaml
  inference-router --config FILE --check  read everything, print `ok` or every mistake, and exit
  inference-router convert FILE… --namespace NAME
                                          print Azure ML's files as resources of Kubernetes, for `kubectl apply`
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

int refuse(const std::string& mistake) {
  std::cerr << "inference-router: " << mistake << "\n\n" << kHelp;
  return 2;
}

/// `convert FILE… --namespace NAME`. Nothing is printed unless everything could be converted.
int convert(int count, char** words) {
  std::vector<std::string> files;
  std::string home;
  for (int i = 2; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--namespace" && i + 1 < count) {
      home = words[++i];
    } else if (word.starts_with("-")) {
      return refuse("what is `" + std::string(word) + "`?");
    } else {
      files.emplace_back(word);
    }
  }
  if (files.empty()) return refuse("convert: FILE is missing");
  if (!router::config::is_dns_label(home)) return refuse("convert: --namespace NAME is missing, or no name of a namespace");
  const absl::StatusOr<router::convert::Converted> converted = router::convert::convert(files, home);
  if (!converted.ok()) return std::cerr << converted.status().message() << "\n", 2;
  for (const std::string& warning : converted->warnings) std::cerr << "warning: " << warning << "\n";
  std::cout << converted->text << std::flush;
  return std::cout ? 0 : 1;
}

/// Why it did not start: as its log would say it, as far as the file can still tell how that is to look. `--check` answers
/// whoever typed it.
int tell_mistakes(const Arguments& arguments, const std::string& mistakes) {
  const bool as_log =
      !arguments.check && router::config::wanted_log_format(arguments.config) == router::config::LogFormat::kJson;
  if (!as_log) return std::cerr << mistakes << "\n", 1;
  router::log::Target standard_error;
  standard_error.format = router::log::Format::kJson;
  router::log::use(std::move(standard_error));
  router::log::error(mistakes);
  return 1;
}

}  // namespace

int main(int count, char** words) {
  router::tls::keep_buffer_memory();  // else it is slower, no more
  if (count > 1 && words[1] == std::string_view("convert")) return convert(count, words);
  const Arguments arguments = parse(count, words);
  if (!arguments.mistake.empty()) return refuse(arguments.mistake);
  if (arguments.help) return std::cout << kHelp, 0;
  if (arguments.version) return std::cout << "inference-router " ROUTER_VERSION "\n", 0;

  const auto what_for = arguments.check ? router::ReadingFor::kCheck : router::ReadingFor::kStart;
  absl::StatusOr<router::config::Config> config =
      router::config::load(arguments.config, nullptr, router::Router::examine(what_for));
  if (!config.ok()) return tell_mistakes(arguments, std::string(config.status().message()));
  if (arguments.check) {
    for (const std::string& warning : config->warnings) std::cerr << "warning: " << warning << "\n";
    return std::cout << "ok\n", 0;
  }
  router::Router router(arguments.config, std::move(*config));
  return router.run();
}
