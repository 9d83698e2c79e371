#include "router/discovery/scale_hpas.h"

#include <absl/strings/str_cat.h>

#include <boost/json/object.hpp>
#include <utility>

#include "router/kubernetes/json.h"
#include "router/kubernetes/reflector.h"
#include "router/kubernetes/watcher.h"

namespace router::discovery {

namespace json = boost::json;
using kubernetes::metadata_text;

namespace {

const kubernetes::GroupVersionResource kHpas{"autoscaling", "v2", "horizontalpodautoscalers"};

kubernetes::Selection selection_of(const std::string& namespace_name) {
  kubernetes::Selection selection;
  selection.resource = kHpas;
  selection.namespace_name = namespace_name;
  return selection;
}

/// The controller finds the object by group and kind, and knows older groups of the same kinds.
bool may_be_of_apps(const HpaTarget& target) {
  const bool group = target.group == "apps" || target.group == "extensions" || target.group.empty();
  return group && (target.kind == "Deployment" || target.kind == "StatefulSet");
}

}  // namespace

class ScaleHpas::Followed final : private kubernetes::Watcher {
 public:
  Followed(ScaleHpas& all, const std::string& namespace_name)
      : all_(all), namespace_(namespace_name), reflector_(all.client_, all.group_, selection_of(namespace_name), *this) {}

  Answer ask(const std::string& namespace_name, const std::string& kind, const std::string& name) const {
    Answer answer;
    answer.unreadable = trouble();
    answer.is_pending = !listed_ && !reflector_.forbidden();
    const auto in = namespaces_.find(namespace_name);
    if (in == namespaces_.end()) return answer;
    const auto of = in->second.by_target.find({kind, name});
    if (of != in->second.by_target.end()) answer.conflicting = *of->second.begin();
    if (in->second.is_incomplete && answer.unreadable.empty())
      answer.unreadable = absl::StrCat("there are more than ", kKeptMax, " HorizontalPodAutoscalers");
    return answer;
  }
  void check() {
    std::string trouble = this->trouble();
    if (trouble == told_) return;
    told_ = std::move(trouble);
    all_.changed_(namespace_);
  }

 private:
  using Target = std::pair<std::string, std::string>;  // kind and name
  struct Namespace {
    std::map<std::string, Target> by_name;
    std::map<Target, std::set<std::string>> by_target;
    bool is_incomplete = false;  // until the next list
  };

  TimePoint now() const { return all_.client_.shard().now(); }
  std::string trouble() const {
    if (reflector_.forbidden()) return "the router may not list and watch HorizontalPodAutoscalers";
    if (!listed_) return "HorizontalPodAutoscalers have not been listed yet";
    const TimePoint word = reflector_.last_word().value_or(now());
    if (now() - word <= kStaleAfter) return "";
    return "HorizontalPodAutoscalers cannot be read any more";
  }
  void listed(std::vector<json::object> objects) override {
    namespaces_.clear();
    listed_ = true;  // the Reflector says so after this call only
    for (const json::object& each : objects) keep(each);
    tell(namespace_);
  }
  void changed(json::object object) override {
    forget(object);
    keep(object);
    tell(metadata_text(object, "namespace"));
  }
  void removed(json::object object) override {
    forget(object);
    tell(metadata_text(object, "namespace"));
  }
  void tell(const std::string& namespace_name) {
    told_ = trouble();
    all_.changed_(namespace_name);
  }
  void keep(const json::object& object) {
    std::optional<HpaTarget> target = read_hpa_target(object);
    if (!target || !may_be_of_apps(*target)) return;
    Namespace& in = namespaces_[metadata_text(object, "namespace")];
    if (in.by_name.size() >= kKeptMax) {
      in.is_incomplete = true;
      return;
    }
    const std::string name = short_line(metadata_text(object, "name"));
    const Target key{std::move(target->kind), std::move(target->name)};
    in.by_name[name] = key;
    in.by_target[key].insert(name);
  }
  void forget(const json::object& object) {
    const auto in = namespaces_.find(metadata_text(object, "namespace"));
    if (in == namespaces_.end()) return;
    const auto place = in->second.by_name.find(short_line(metadata_text(object, "name")));
    if (place == in->second.by_name.end()) return;
    const auto of = in->second.by_target.find(place->second);
    of->second.erase(place->first);
    if (of->second.empty()) in->second.by_target.erase(of);
    in->second.by_name.erase(place);
    if (in->second.by_name.empty() && !in->second.is_incomplete) namespaces_.erase(in);
  }

  ScaleHpas& all_;
  const std::string namespace_;
  std::map<std::string, Namespace> namespaces_;
  bool listed_ = false;
  std::string told_;
  kubernetes::Reflector reflector_;
};

ScaleHpas::ScaleHpas(kubernetes::ApiClient& client, runtime::TaskGroup& group, const std::vector<std::string>& served,
                     std::function<void(const std::string&)> changed)
    : client_(client), group_(group), served_(served.begin(), served.end()), changed_(std::move(changed)) {}

ScaleHpas::~ScaleHpas() = default;

void ScaleHpas::follow(const std::set<std::string>& namespaces) {
  std::set<std::string> wanted;
  for (const std::string& each : namespaces) {
    if (served_.empty()) wanted.emplace();
    if (served_.contains(each)) wanted.insert(each);
  }
  std::erase_if(followed_, [&](const auto& each) { return !wanted.contains(each.first); });
  for (const std::string& each : wanted) {
    if (!followed_.contains(each)) followed_.emplace(each, std::make_unique<Followed>(*this, each));
  }
}

ScaleHpas::Answer ScaleHpas::ask(const std::string& namespace_name, const std::string& kind, const std::string& name) const {
  const auto found = followed_.find(served_.empty() ? "" : namespace_name);
  if (found == followed_.end()) return {"", "the router does not serve this namespace", false};
  return found->second->ask(namespace_name, kind, name);
}

void ScaleHpas::check() {
  for (const auto& [name, each] : followed_) each->check();
}

}  // namespace router::discovery
