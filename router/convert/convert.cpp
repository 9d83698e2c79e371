#include "router/convert/convert.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "config/azureml.h"
#include "config/overlay.h"
#include "config/resource.h"
#include "router/base/one_line.h"
#include "router/convert/pods.h"
#include "router/convert/remarks.h"
#include "router/convert/yaml_text.h"

namespace router::convert {
namespace {

using config::Location;
using config::MapReader;
using Kind = YamlValue::Kind;

constexpr std::size_t kShownMax = 10;  // replicas or keys that one remark lists

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (std::size_t i = 0; i < words.size() && i < kShownMax; ++i) absl::StrAppend(&all, i == 0 ? "" : ", ", words[i]);
  return words.size() > kShownMax ? absl::StrCat(all, " and ", words.size() - kShownMax, " more") : all;
}

/// Finds the keys whose texts name environment variables. The router expands them in a file, but not in a resource.
void find_variables(const YamlValue& value, const std::string& path, std::vector<std::string>& into) {
  if (value.kind == Kind::kScalar && value.scalar.find("${") != std::string::npos) into.push_back(path);
  for (std::size_t i = 0; i < value.items.size(); ++i) find_variables(*value.items[i], absl::StrCat(path, "[", i, "]"), into);
  for (const YamlValue::Member& each : value.members) {
    if (path.empty() && each.key == "environment_variables") continue;  // not expanded in a file either
    find_variables(*each.value, absl::StrCat(path, path.empty() ? "" : ".", config::shown_key(each.key)), into);
  }
}

/// Quotes texts that YAML would read as another type, such as a deployment named `off`.
Value with_texts(Value document) {
  for (const char* key : {"name", "endpoint_name", "description", "instance_type", "compute", "model_mount_path"}) {
    const YamlValue* value = find(*document, {key});
    if (value != nullptr && value->kind == Kind::kScalar && value->is_plain)
      document = with(*document, key, text(value->scalar));
  }
  return document;
}

/// The YAML files of a folder, except router.yaml, in alphabetical order. If `path` is a file, only that file.
std::vector<std::string> files_of(const std::string& path, config::Findings& findings) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(path, error)) return {path};
  std::vector<std::string> files;
  for (fs::directory_iterator each(path, error), end; !error && each != end; each.increment(error)) {
    const std::string extension = each->path().extension().string();
    const bool is_routers = each->path().stem() == "router";
    if (!is_routers && (extension == ".yml" || extension == ".yaml")) files.push_back(each->path().string());
  }
  std::sort(files.begin(), files.end());
  if (error) findings.mistake({path, 0, ""}, "cannot be read: " + error.message());
  if (!error && files.empty()) findings.mistake({path, 0, ""}, "holds no *.yml or *.yaml");
  return files;
}

/// Warns about overlays beside the given files: the router reads them, but this command reads only what it is given.
void warn_of_overlays(const std::vector<std::string>& files, config::Findings& findings) {
  namespace fs = std::filesystem;
  std::set<fs::path> given;
  std::set<fs::path> folders;
  for (const std::string& file : files) {
    const fs::path path = fs::absolute(file).lexically_normal();
    given.insert(path);
    folders.insert(path.parent_path());
  }
  std::error_code ignored;
  for (const fs::path& folder : folders) {
    for (fs::directory_iterator each(folder, ignored), end; !ignored && each != end; each.increment(ignored)) {
      if (!config::is_overlay(each->path().string()) || given.count(each->path()) > 0) continue;
      findings.warning({each->path().string(), 0, ""}, "lies beside the files and is not read, unless it is given, too");
    }
  }
}

/// One Azure ML document, merged with the overlays.
struct Document {
  std::string file;
  Value value;
  config::DocumentKind kind = config::DocumentKind::kOther;
};

class Converter {
 public:
  explicit Converter(const Options& options) : options_(options), namespace_name_(options.namespace_name) {}

  absl::StatusOr<Converted> convert() {
    std::vector<std::string> files;
    for (const std::string& path : options_.files) {
      for (std::string& file : files_of(path, findings_)) files.push_back(std::move(file));
    }
    read(files);
    warn_of_overlays(files, findings_);
    for (const Document& each : documents_) {
      if (each.kind == config::DocumentKind::kEndpoint) convert_endpoint(each.file, each.value);
      if (each.kind == config::DocumentKind::kDeployment) convert_deployment(each.file, each.value);
    }
    if (findings_.has_mistakes()) return absl::InvalidArgumentError(findings_.mistakes());
    return Converted{std::move(out_), findings_.warnings()};
  }

 private:
  void read(const std::vector<std::string>& files) {
    for (const config::FileDocument& each :
         read_documents(files, findings_, config::Source::kResource, options_.endpoint_name).all) {
      documents_.push_back({each.file, with_texts(each.value), kind_of(reader(each.file, *each.value))});
    }
  }

  /// Reports a missing name with the option that gives it. The conversion goes on with another name, to find more mistakes.
  Value with_any_name(const std::string& file, const Value& document, const char* key) {
    if (find(*document, {key}) != nullptr) return document;
    findings_.mistake({file, document->line, key}, "is missing; --endpoint-name NAME gives it");
    return with(*document, key, text("any-name"));
  }

  /// The names of an endpoint's deployments, in the order of the files.
  std::vector<std::string> deployments_of(const std::string& endpoint) const {
    std::vector<std::string> names;
    for (const Document& each : documents_) {
      if (each.kind != config::DocumentKind::kDeployment) continue;
      const YamlValue* of = find(*each.value, {"endpoint_name"});
      const YamlValue* name = find(*each.value, {"name"});
      if (of == nullptr || name == nullptr || config::lower_case(of->scalar) != config::lower_case(endpoint)) continue;
      names.push_back(name->scalar);
    }
    return names;
  }

  /// Reads the document as the router reads a resource, so that the router accepts what is converted.
  MapReader reader(const std::string& file, const YamlValue& document) {
    return MapReader(file, document, "", findings_, config::Source::kResource);
  }

  void convert_endpoint(const std::string& file, Value document) {
    document = with_any_name(file, document, "name");  // only in a resource may the name be elsewhere
    std::vector<std::string> remarks;
    for (const char* key : {"primary_file", "secondary_file"}) {
      const YamlValue* key_file = find(*document, {"router", "keys", key});
      if (key_file == nullptr) continue;
      remarks.push_back(absl::StrCat("router.keys.", key, ", ", config::shown(key_file->scalar, 1000),
                                     ", does not move over: name that file in the command above"));
      document = without(*document, {"router", "keys", key});
    }
    const config::EndpointDocument read = read_endpoint(reader(file, *document));
    if (read.endpoint.name.empty()) return;  // already reported
    const std::string name = config::lower_case(read.endpoint.name);
    if (read.endpoint.auth_mode == config::AuthMode::kKey)
      remarks.insert(remarks.begin(), {about_keys(name), create_keys(name)});
    append(remarks_on_auth_mode(*document, read), remarks);
    append(remarks_on_traffic(read, deployments_of(name)), remarks);
    if (!is_first("OnlineEndpoint", name, read.name)) return;
    add_remarks(*document, remarks);
    add(*resource("OnlineEndpoint", name, document), read.name);
  }

  static std::string about_keys(const std::string& name) {
    return absl::StrCat("Keys: the router reads them from the Secret ", name,
                        "-keys, the entries primaryKey and secondaryKey:");
  }
  std::string create_keys(const std::string& name) const {
    return absl::StrCat("  kubectl create secret generic ", name, "-keys --namespace ", namespace_name_,
                        " --from-file=primaryKey=FILE --from-file=secondaryKey=FILE");
  }

  void convert_deployment(const std::string& file, Value document) {
    document = with_any_name(file, document, "endpoint_name");
    std::vector<std::string> remarks = remarks_on_replicas(*document);
    document = without(*document, {"router", "replicas"});
    if (const YamlValue* authorities = find(*document, {"router", "tls", "ca_file"})) {
      remarks.push_back(absl::StrCat("router.tls.ca_file, ", config::shown(authorities->scalar, 1000),
                                     ", does not move over: the replicas' certificates must be of an authority that the "
                                     "router's system trusts"));
      const Value tls = without(*find(*document, {"router", "tls"}), {"ca_file"});
      document = with(*document, "router", with(*find(*document, {"router"}), "tls", tls));  // an empty `tls` still means https
    }
    const config::DeploymentDocument read = read_deployment(reader(file, *document));
    if (read.deployment.name.empty() || read.deployment.endpoint_name.empty()) return;  // already reported
    const std::string name = config::default_service_name(read.deployment.endpoint_name, read.deployment.name);
    if (!is_first("OnlineDeployment", name, read.name) || findings_.has_mistakes()) return;
    add_remarks(*document, remarks);
    add(*resource("OnlineDeployment", name, document), read.name);
    const Pods pods = make_pods(*document, read.deployment, namespace_name_);
    add_remarks(*map({}), {"The pods and their Service are a beginning: look at image, volumes and pull secrets."});
    add_remarks(*map({}), pods.remarks);
    add(*pods.deployment, read.name);
    add(*pods.service, read.name);
  }

  std::vector<std::string> remarks_on_replicas(const YamlValue& document) {
    const YamlValue* replicas = find(document, {"router", "replicas"});
    if (replicas == nullptr) return {};
    std::vector<std::string> addresses;
    addresses.reserve(replicas->items.size());
    for (const Value& each : replicas->items) addresses.push_back(config::shown(each->scalar));
    return {
        absl::StrCat("router.replicas, ", joined(addresses),
                     ", does not move over: the replicas are the pods of the Service below. For others make a Service without "
                     "selector and its EndpointSlices, and name it in router.service")};
  }

  /// Resources of one kind need different names: the deployment `c` of `a-b` and the deployment `b-c` of `a` would share one.
  bool is_first(const std::string& kind, const std::string& name, const Location& location) {
    const auto [known, fresh] = locations_.emplace(kind + " " + name, location);
    if (!fresh) {
      findings_.mistake(location, absl::StrCat("the ", kind, " ", config::shown(name), " is already that of ",
                                               known->second.file, ":", known->second.line));
    }
    return fresh;
  }

  Value resource(const char* kind, const std::string& name, const Value& spec) const {
    return map({{"apiVersion", text("inference-router.dev/v1alpha1")},
                {"kind", text(kind)},
                {"metadata", map({{"name", text(name)}, {"namespace", text(namespace_name_)}})},
                {"spec", spec}});
  }

  static void append(Remarks more, Remarks& into) {
    into.insert(into.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }

  void add_remarks(const YamlValue& document, std::vector<std::string> remarks) {
    std::vector<std::string> variables;
    find_variables(document, "", variables);
    if (!variables.empty()) {
      remarks.push_back(
          absl::StrCat(joined(variables), ": ${…} stays as it is, a resource does not read the router's environment"));
    }
    for (const std::string& each : remarks) absl::StrAppend(&pending_, "# ", on_one_line(each), "\n");
  }

  void add(const YamlValue& object, const Location& location) {
    const absl::StatusOr<std::string> written = write_yaml(object, kResourceBytesMax);
    if (!written.ok()) return findings_.mistake(location, std::string(written.status().message()));
    absl::StrAppend(&out_, out_.empty() ? "" : "---\n", pending_, *written);
    pending_.clear();
  }

  const Options& options_;
  const std::string& namespace_name_;
  config::Findings findings_;
  std::vector<Document> documents_;
  std::map<std::string, Location> locations_;
  std::string pending_;  // remarks for the next document
  std::string out_;
};

}  // namespace

absl::StatusOr<Converted> convert(const Options& options) {
  try {
    return Converter(options).convert();
  } catch (const std::exception& exception) {  // out of memory
    return absl::InternalError(absl::StrCat("cannot be converted: ", exception.what()));
  }
}

}  // namespace router::convert
