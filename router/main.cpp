#include <iostream>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/addresses.h"
#include "config/azureml.h"
#include "config/load.h"
#include "config/schema.h"
#include "config/wanted_log_format.h"
#include "router/base/log.h"
#include "router/convert/convert.h"
#include "router/root/replica_check.h"
#include "router/root/router.h"
#include "tls/buffer_memory.h"

namespace {

constexpr int kNotReady = 3;  // exit status of --check --probe

constexpr std::string_view kHelp = R"(inference-router: the front door of a cluster that serves machine-learning models

  inference-router --config FILE          run with this router.yaml
  inference-router --config FILE --check  read everything, print `ok` or every mistake, and exit
  inference-router --config FILE --check --probe
                                          and probe each listed replica once; print a line for each
  inference-router schema NAME            print a JSON schema for editors: router, overlay, endpoint, deployment,
                                          OnlineEndpoint or OnlineDeployment
  inference-router convert FILE… --namespace NAME [--endpoint-name NAME]
                                          print Azure ML's files as resources of Kubernetes, for `kubectl apply`. FILE
                                          may be a folder: its *.yml and *.yaml, overlays included. --endpoint-name wins
                                          over the files, as in `az ml`
  inference-router --version
  inference-router --help

Exit status of --check and convert: 0 nothing is wrong, 1 a mistake in the files (or the output could not be written), 2 a
mistake on the command line, 3 (only --check --probe) a replica would get no requests. Mistakes are printed to standard error.

Signals: TERM or INT drains and exits, HUP reads the configuration again and reopens the log files.
)";

struct Arguments {
  std::string config;
  bool check = false;
  bool probe = false;
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
    } else if (word == "--probe") {
      arguments.probe = true;
    } else if (word == "--version") {
      arguments.version = true;
    } else if (word == "--help" || word == "-h") {
      arguments.help = true;
    } else {
      arguments.mistake = "unknown argument `" + std::string(word) + "`";
      return arguments;
    }
  }
  if (arguments.config.empty() && !arguments.version && !arguments.help) arguments.mistake = "--config FILE is missing";
  if (arguments.probe && !arguments.check) arguments.mistake = "--probe needs --check";
  return arguments;
}

int refuse(const std::string& mistake) {
  std::cerr << "inference-router: " << mistake << "\nTry `inference-router --help`.\n";
  return 2;
}

/// Returns the exit status, or 1 if the output could not be written.
int said(int status) { return std::cout << std::flush ? status : 1; }

/// Parses the words after `convert`. Returns what is wrong with them; empty: nothing.
std::string parse_convert(int count, char** words, router::convert::Options& into) {
  router::config::Findings findings;
  for (int i = 2; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--namespace" && i + 1 < count) {
      into.namespace_name = words[++i];
    } else if (word == "--endpoint-name" && i + 1 < count) {
      into.endpoint_name = words[++i];
      router::config::check_name(into.endpoint_name, {"--endpoint-name", 0, ""}, findings);
    } else if (word.starts_with("-")) {
      return "unknown argument `" + std::string(word) + "`";
    } else {
      into.files.emplace_back(word);
    }
  }
  if (into.files.empty()) return "convert: FILE is missing";
  if (!router::config::is_dns_label(into.namespace_name))
    return "convert: --namespace NAME is missing, or no name of a namespace";
  return findings.has_mistakes() ? "convert: " + findings.mistakes() : "";
}

/// `convert FILE… --namespace NAME [--endpoint-name NAME]`. Prints nothing unless everything could be converted.
int convert(int count, char** words) {
  router::convert::Options options;
  const std::string mistake = parse_convert(count, words, options);
  if (!mistake.empty()) return refuse(mistake);
  const absl::StatusOr<router::convert::Converted> converted = router::convert::convert(options);
  if (!converted.ok()) return std::cerr << converted.status().message() << "\n", 1;
  for (const std::string& warning : converted->warnings) std::cerr << "warning: " << warning << "\n";
  return std::cout << converted->text, said(0);
}

/// `schema NAME`.
int print_schema(int count, char** words) {
  const std::optional<std::string> schema = count == 3 ? router::config::json_schema(words[2]) : std::optional<std::string>();
  if (schema) return std::cout << *schema, said(0);
  std::string names;
  for (const std::string& each : router::config::schema_names()) names += (names.empty() ? "" : ", ") + each;
  return refuse("schema: NAME is one of: " + names);
}

/// `--check`, for files without mistakes.
int check(const router::config::Config& config, bool probe) {
  for (const std::string& warning : config.warnings) std::cerr << "warning: " << warning << "\n";
  if (!probe) return std::cout << "ok\n", said(0);
  if (config.process.kubernetes) std::cerr << "warning: replicas that the API server lists are not checked\n";
  const router::root::ReplicaCheck asked = router::root::check_replicas(config.endpoints);
  for (const std::string& line : asked.lines) std::cout << line << "\n";
  if (asked.not_ready == 0) return std::cout << "ok\n", said(0);
  std::cout << asked.not_ready << " of " << asked.asked << " would get no requests\n";
  return said(kNotReady);
}

/// Splits `--config=FILE` into `--config FILE`, for every option. `kept` owns the new words.
std::vector<char*> split_at_equals(int count, char** words, std::list<std::string>& kept) {
  std::vector<char*> all;
  for (int i = 0; i < count; ++i) {
    const std::string_view word = words[i];
    const std::size_t equals = word.starts_with("--") ? word.find('=') : word.npos;
    all.push_back(equals == word.npos ? words[i] : kept.emplace_back(word.substr(0, equals)).data());
    if (equals != word.npos) all.push_back(words[i] + equals + 1);
  }
  return all;
}

/// Prints why the router did not start, in the format of its log if the file still shows that format. `--check` always prints
/// plain text.
int print_mistakes(const Arguments& arguments, const std::string& mistakes) {
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

int main(int given_count, char** given_words) {
  router::tls::keep_buffer_memory();  // without it, the router is only slower
  std::list<std::string> kept;
  std::vector<char*> split = split_at_equals(given_count, given_words, kept);
  const int count = static_cast<int>(split.size());
  char** words = split.data();
  if (count > 1 && words[1] == std::string_view("convert")) return convert(count, words);
  if (count > 1 && words[1] == std::string_view("schema")) return print_schema(count, words);
  const Arguments arguments = parse(count, words);
  if (!arguments.mistake.empty()) return refuse(arguments.mistake);
  if (arguments.help) return std::cout << kHelp, said(0);
  if (arguments.version) return std::cout << "inference-router " ROUTER_VERSION "\n", said(0);

  const auto what_for = arguments.check ? router::serving::ReadingFor::kCheck : router::serving::ReadingFor::kStart;
  absl::StatusOr<router::config::Config> config =
      router::config::load(arguments.config, nullptr, router::root::Router::examine(what_for));
  if (!config.ok()) return print_mistakes(arguments, std::string(config.status().message()));
  if (arguments.check) return check(*config, arguments.probe);
  absl::StatusOr<router::runtime::InheritedSockets> sockets = router::runtime::InheritedSockets::from_environment();
  if (!sockets.ok()) return print_mistakes(arguments, std::string(sockets.status().message()));
  router::root::Router router(arguments.config, std::move(*config), *std::move(sockets),
                              router::runtime::ServiceManager::from_environment());
  return router.run();
}
