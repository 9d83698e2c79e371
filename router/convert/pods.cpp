#include "router/convert/pods.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <regex>

#include "config/resource.h"
#include "router/convert/remarks.h"

namespace router::convert {
namespace {

using config::HttpRoute;
using config::Probe;
using Kind = YamlValue::Kind;

constexpr const char* kNoImage = "image-of-the-model-server";  // no such image exists: the pod reports that it cannot be pulled
constexpr const char* kPortName = "score";

const std::string* scalar_at(const YamlValue& document, const std::vector<std::string>& path) {
  const YamlValue* value = find(document, path);
  return value != nullptr && value->kind == Kind::kScalar ? &value->scalar : nullptr;
}

/// The members of a map; none for nullptr. It takes no path: GCC 13 and later warn about a returned reference if the function
/// was called with a temporary.
const std::vector<YamlValue::Member>& members_of(const YamlValue* value) {
  static const std::vector<YamlValue::Member> kNone;
  return value == nullptr ? kNone : value->members;
}

class PodsMaker {
 public:
  PodsMaker(const YamlValue& document, const config::Deployment& read, const std::string& namespace_name)
      : document_(document),
        read_(read),
        namespace_name_(namespace_name),
        name_(config::default_service_name(read.endpoint_name, read.name)) {}

  Pods make() {
    Pods pods;
    pods.deployment = make_deployment();
    pods.service = make_service();
    pods.remarks = std::move(remarks_);
    return pods;
  }

 private:
  Value labels() const {
    return map({{"inference-router.dev/endpoint", text(config::lower_case(read_.endpoint_name))},
                {"inference-router.dev/deployment", text(config::lower_case(read_.name))}});
  }
  Value metadata(Value annotations = nullptr) const {
    return map({{"name", text(name_)},
                {"namespace", text(namespace_name_)},
                {"labels", labels()},
                {"annotations", std::move(annotations)}});
  }
  /// Without it the autoscaler refuses to scale an object (TargetNotMarked): a resource alone could name any.
  Value scaled_for() const {
    return map({{"inference-router.dev/scaled-for",
                 text(absl::StrCat(config::lower_case(read_.endpoint_name), "/", config::lower_case(read_.name)))}});
  }

  Value make_deployment() {
    for (std::string& each : remarks_on_scaling(read_)) remarks_.push_back(std::move(each));
    const Value pod = map({{"metadata", map({{"labels", labels()}})}, {"spec", map({{"containers", list({container()})}})}});
    return map(
        {{"apiVersion", text("apps/v1")},
         {"kind", text("Deployment")},
         {"metadata", metadata(scaled_for())},
         {"spec",
          map({{"replicas", number(first_pods(read_))}, {"selector", map({{"matchLabels", labels()}})}, {"template", pod}})}});
  }

  Value make_service() const {
    const Value port =
        map({{"name", text(kPortName)}, {"port", number(read_.scoring_route.port)}, {"targetPort", text(kPortName)}});
    return map({{"apiVersion", text("v1")},
                {"kind", text("Service")},
                {"metadata", metadata()},
                {"spec", map({{"selector", labels()}, {"ports", list({port})}})}});
  }

  Value container() {
    const Value port = map({{"name", text(kPortName)}, {"containerPort", number(read_.scoring_route.port)}});
    return map({{"name", text("model")},
                {"image", image()},
                {"ports", list({port})},
                {"env", environment()},
                {"readinessProbe", probe("readiness_probe", read_.readiness_probe, read_.readiness_route)},
                {"livenessProbe", probe("liveness_probe", read_.liveness_probe, read_.liveness_route)},
                {"startupProbe", startup_probe()},
                {"resources", resources()}});
  }

  Value image() {
    const std::string* image = scalar_at(document_, {"environment", "image"});
    if (image == nullptr) remarks_.push_back("image: nothing names one (environment.image): replace what stands there");
    for (std::string& each : remarks_on_model(document_)) remarks_.push_back(std::move(each));
    if (find(document_, {"environment", "conda_file"}) != nullptr) {
      remarks_.push_back("environment.conda_file: Azure ML installs it into the image; here the image must hold it");
    }
    return text(image == nullptr ? kNoImage : *image);
  }

  Value environment() {
    std::vector<Value> variables;
    for (const YamlValue::Member& each : members_of(find(document_, {"environment_variables"}))) {
      if (Value variable = environment_variable(each)) variables.push_back(std::move(variable));
    }
    return variables.empty() ? nullptr : list(std::move(variables));
  }

  Value environment_variable(const YamlValue::Member& member) {
    static const std::regex kName("[-._a-zA-Z][-._a-zA-Z0-9]*");
    if (member.value->kind != Kind::kScalar || !std::regex_match(member.key, kName)) {
      remarks_.push_back("environment_variables." + config::shown_key(member.key) +
                         ": is not a variable that a container can have");
      return nullptr;
    }
    std::string value = member.value->scalar;
    // Kubernetes expands `$(NAME)` and `$$` in the value. A doubled dollar sign stands for one.
    if (value.find("$(") != std::string::npos || value.find("$$") != std::string::npos)
      value = absl::StrReplaceAll(value, {{"$", "$$"}});
    return map({{"name", text(member.key)}, {"value", text(std::move(value))}});
  }

  Value probe(const std::string& key, const Probe& settings, const HttpRoute& route) const {
    // Kubernetes supports a success threshold only for readiness.
    const bool counts_successes = key == "readiness_probe";
    const Value get =
        map({{"path", text(route.path)}, {"port", number(route.port)}, {"scheme", read_.tls ? text("HTTPS") : nullptr}});
    return map({{"httpGet", get},
                {"initialDelaySeconds", number(settings.initial_delay.count())},
                {"periodSeconds", number(settings.period.count())},
                {"timeoutSeconds", number(settings.timeout.count())},
                {"successThreshold", counts_successes ? number(settings.success_threshold) : nullptr},
                {"failureThreshold", number(settings.failure_threshold)}});
  }

  Value startup_probe() const {
    return read_.startup_probe ? probe("startup_probe", *read_.startup_probe, read_.liveness_route) : nullptr;
  }

  Value resources() {
    const Value requests = amounts("requests");
    const Value limits = amounts("limits");
    return requests || limits ? map({{"requests", requests}, {"limits", limits}}) : nullptr;
  }

  Value amounts(const std::string& kind) {
    static const std::regex kQuantity("[0-9]{1,15}(\\.[0-9]{0,9})?([eE][0-9]|[KMGTPE]i|[mkMGTPE])?");
    std::vector<std::pair<std::string, Value>> amounts;
    for (const YamlValue::Member& each : members_of(find(document_, {"resources", kind}))) {
      if (!std::regex_match(each.value->scalar, kQuantity)) {
        remarks_.push_back(absl::StrCat("resources.", kind, ".", config::shown_key(each.key), ": ",
                                        config::shown(each.value->scalar), " is not an amount that Kubernetes knows"));
        continue;
      }
      amounts.emplace_back(each.key == "gpu" ? "nvidia.com/gpu" : each.key, text(each.value->scalar));
    }
    return amounts.empty() ? nullptr : map(amounts);
  }

  const YamlValue& document_;
  const config::Deployment& read_;
  const std::string& namespace_name_;
  const std::string name_;
  std::vector<std::string> remarks_;
};

}  // namespace

Pods make_pods(const YamlValue& document, const config::Deployment& read, const std::string& namespace_name) {
  return PodsMaker(document, read, namespace_name).make();
}

}  // namespace router::convert
