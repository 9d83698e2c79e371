#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "config/addresses.h"
#include "config/azureml.h"
#include "config/load.h"
#include "router/convert/convert.h"
#include "router/router.h"
#include "tls/buffer_memory.h"

namespace {

constexpr std::string_view kHelp = R"(inference-router: the front door of a cluster that serves machine-learning models

  inference-router --config FILE          run with this router.yaml
  inference-router --config FILE --check  read everything, print `ok` or every mistake, and exit
  inference-router convert FILE… --namespace NAME [--endpoint-name NAME]
                                          print Azure ML's files as resources of Kubernetes, for `kubectl apply`. FILE
                                          may be a folder: its *.yml and *.yaml, overlays included. --endpoint-name wins
                                          over the files, as in `az ml`
  inference-router --version
  inference-router --help

Exit status of --check and of convert: 0: good, or converted; 1: a file with a mistake, all mistakes stand on standard error
(also: the output could not be written); 2: a wrong command line.
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

/// The words behind `convert`. What is wrong with them; empty: nothing.
std::string parse_convert(int count, char** words, router::convert::Options& into) {
  router::config::Findings findings;
  for (int i = 2; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--namespace" && i + 1 < count) {
      into.home = words[++i];
    } else if (word == "--endpoint-name" && i + 1 < count) {
      into.endpoint_name = words[++i];
      router::config::check_name(into.endpoint_name, {"--endpoint-name", 0, ""}, findings);
    } else if (word.starts_with("-")) {
      return "what is `" + std::string(word) + "`?";
    } else {
      into.files.emplace_back(word);
    }
  }
  if (into.files.empty()) return "convert: FILE is missing";
  if (!router::config::is_dns_label(into.home)) return "convert: --namespace NAME is missing, or no name of a namespace";
  return findings.has_mistakes() ? "convert: " + findings.mistakes() : "";
}

/// `convert FILE… --namespace NAME [--endpoint-name NAME]`. Nothing is printed unless everything could be converted.
int convert(int count, char** words) {
  router::convert::Options options;
  const std::string mistake = parse_convert(count, words, options);
  if (!mistake.empty()) return refuse(mistake);
  const absl::StatusOr<router::convert::Converted> converted = router::convert::convert(options);
  if (!converted.ok()) return std::cerr << converted.status().message() << "\n", 1;
  for (const std::string& warning : converted->warnings) std::cerr << "warning: " << warning << "\n";
  std::cout << converted->text << std::flush;
  return std::cout ? 0 : 1;
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
  if (!config.ok()) {
    std::cerr << config.status().message() << "\n";
    return 1;
  }
  if (arguments.check) {
    for (const std::string& warning : config->warnings) std::cerr << "warning: " << warning << "\n";
    return std::cout << "ok\n", 0;
  }
  absl::StatusOr<router::runtime::InheritedSockets> sockets = router::runtime::InheritedSockets::from_environment();
  if (!sockets.ok()) {
    std::cerr << "inference-router: " << sockets.status().message() << "\n";
    return 1;
  }
  router::Router router(arguments.config, std::move(*config), *std::move(sockets),
                        router::runtime::ServiceManager::from_environment());
  return router.run();
}
