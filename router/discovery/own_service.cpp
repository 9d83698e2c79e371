#include "router/discovery/own_service.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "router/base/log.h"
#include "router/base/text.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/json.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

const kubernetes::GroupVersionResource kServices{"", "v1", "services"};
constexpr const char* kErrand = "names";
constexpr const char* kExternalDns = "external-dns.alpha.kubernetes.io/hostname";  // comma-separated names
constexpr const char* kAzureLabel = "service.beta.kubernetes.io/azure-dns-label-name";

const json::object& object_at(const json::object& object, std::string_view key) {
  static const json::object empty;
  const json::object* found = kubernetes::object_in(object, key);
  return found != nullptr ? *found : empty;
}

void add(std::string_view name, std::set<std::string>& into) {
  while (name.ends_with('.')) name.remove_suffix(1);
  if (!name.empty()) into.insert(lower_case(name));
}

}  // namespace

std::set<std::string> read_service_hostnames(const json::object& service) {
  std::set<std::string> names;
  const json::value* ingress = object_at(object_at(service, "status"), "loadBalancer").if_contains("ingress");
  if (ingress != nullptr && ingress->is_array()) {
    for (const json::value& each : ingress->get_array()) {
      if (each.is_object()) add(kubernetes::text_in(each.get_object(), "hostname"), names);
    }
  }
  const json::object& annotations = object_at(object_at(service, "metadata"), "annotations");
  const std::string asked_for(kubernetes::text_in(annotations, kExternalDns));
  for (const absl::string_view each : absl::StrSplit(asked_for, absl::ByAnyChar(", "))) add({each.data(), each.size()}, names);
  const std::string label(kubernetes::text_in(annotations, kAzureLabel));
  if (!label.empty()) add(absl::StrCat(label, ".*.cloudapp.azure.com"), names);
  return names;
}

bool is_named_by(const std::string& hostname, const std::string& own) {
  const std::size_t star = own.find('*');
  if (star == own.npos) return hostname == own;
  const std::string_view before = std::string_view(own).substr(0, star);
  const std::string_view after = std::string_view(own).substr(star + 1);
  if (hostname.size() <= before.size() + after.size() || !hostname.starts_with(before) || !hostname.ends_with(after))
    return false;
  const std::string_view label =
      std::string_view(hostname).substr(before.size(), hostname.size() - before.size() - after.size());
  return label.find('.') == label.npos;
}

OwnServiceNames::OwnServiceNames(kubernetes::ApiClient& client, runtime::TaskGroup& group, std::string namespace_name,
                                 std::string name, std::function<void()> changed)
    : control_(client.shard()),
      namespace_name_(std::move(namespace_name)),
      name_(std::move(name)),
      changed_(std::move(changed)),
      errands_(client, group, {.under_way_max = kTasks}, [] { return true; }) {
  control_.schedule(*this, control_.now());
}

void OwnServiceNames::expired() {
  control_.schedule(*this, control_.now() + kEvery);  // first: the code below may throw std::bad_alloc
  errands_.ask(*this, kErrand);
}

std::optional<kubernetes::ApiRequest> OwnServiceNames::request_for(const std::string&) {
  kubernetes::ApiRequest request;
  request.path = kubernetes::object_path(kServices, namespace_name_, name_);
  return request;
}

kubernetes::Sender::Outcome OwnServiceNames::answered(const std::string&, const kubernetes::ApiAnswer& answer) {
  const bool first = !std::exchange(known_, true);
  std::set<std::string> names = hostnames_;
  if (answer.status == 200) {
    const auto object = kubernetes::parse_object(answer.body);
    if (object.ok()) names = read_service_hostnames(*object);
  } else if (first) {
    log::warning(absl::StrCat("kubernetes: the API server does not show the Service ", namespace_name_, "/", name_, " (",
                              answer.status, "): the names of its load balancer are not known, so a tenant could claim them"));
  }
  if (!first && names == hostnames_) return Outcome::kDone;
  hostnames_ = std::move(names);
  changed_();
  return Outcome::kDone;
}

}  // namespace router::discovery
