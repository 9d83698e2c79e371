#include "router/discovery/cluster_reporter.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <random>
#include <utility>

#include "router/base/log.h"
#include "router/discovery/resource_kinds.h"
#include "router/kubernetes/group_version_resource.h"
#include "router/kubernetes/json.h"

namespace router::discovery {
namespace {

namespace json = boost::json;

const kubernetes::GroupVersionResource kServices{"", "v1", "services"};
constexpr const char* kService = "service";  // the errand

std::string make_identity() {
  char host[256] = "";
  if (::gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = '-';
  std::random_device random;
  return absl::StrCat(host, "_", absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8));
}

const json::array* array_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

}  // namespace

ReporterOptions reporter_options(const config::Process& process, const std::string& namespace_name) {
  const config::Kubernetes& settings = *process.kubernetes;
  ReporterOptions options;
  options.election.lease_name = settings.lease_name;
  options.election.lease_namespace = settings.lease_namespace.empty() ? namespace_name : settings.lease_namespace;
  options.election.identity = settings.identity.empty() ? make_identity() : settings.identity;
  options.address.url = settings.public_url;
  options.address.ssl_cname = settings.ssl_cname;
  options.address.service = settings.service_name;
  options.address.service_namespace = namespace_name.empty() ? settings.lease_namespace : namespace_name;
  options.address.serves_tls = std::any_of(process.listeners.begin(), process.listeners.end(),
                                           [](const config::Listener& each) { return each.tls.has_value(); });
  options.create_keys = settings.create_keys;
  return options;
}

OwnService read_own_service(const json::object& object) {
  OwnService service;
  if (const json::object* spec = kubernetes::object_in(object, "spec")) {
    if (const json::array* ports = array_in(*spec, "ports")) {
      for (const json::value& each : *ports) {
        const auto number = each.is_object() ? kubernetes::number_in(each.get_object(), "port") : std::nullopt;
        if (!number || *number < 1 || *number > 65535) continue;
        if (service.port == 0 || *number == 443) service.port = static_cast<std::uint16_t>(*number);
      }
    }
  }
  const json::object* status = kubernetes::object_in(object, "status");
  const json::object* balancer = status != nullptr ? kubernetes::object_in(*status, "loadBalancer") : nullptr;
  const json::array* ingress = balancer != nullptr ? array_in(*balancer, "ingress") : nullptr;
  if (ingress == nullptr || ingress->empty() || !ingress->front().is_object()) return service;
  const json::object& first = ingress->front().get_object();
  service.load_balancer = kubernetes::text_in(first, "hostname");
  if (service.load_balancer.empty()) service.load_balancer = kubernetes::text_in(first, "ip");
  return service;
}

ClusterReporter::ClusterReporter(kubernetes::ApiClient& client, runtime::TaskGroup& group, ReporterOptions options, Look look,
                                 const kubernetes::WallClock& clock)
    : control_(client.shard()),
      create_keys_(options.create_keys),
      look_(std::move(look)),
      address_(std::move(options.address)),
      address_known_(address_.service.empty() || !address_.url.empty() || !address_.ssl_cname.empty()),
      errands_(client, group, {}, [this] { return leading(); }),
      events_(control_, errands_, {.instance = options.election.identity}, clock),
      statuses_(errands_, events_, clock),
      keys_(errands_),
      election_(std::make_unique<kubernetes::LeaderElection>(client, group, std::move(options.election),
                                                             [this](bool leading) { leads(leading); })) {}

void ClusterReporter::leads(bool leading) {
  if (!leading) return;
  statuses_.begin();
  events_.begin();
  dirty_ = true;
  service_due_ = control_.now();
  control_.schedule(*this, control_.now());
}

void ClusterReporter::expired() {
  if (!leading()) return;  // `leads` schedules it again
  const TimePoint now = control_.now();
  control_.schedule(*this, now + kLookEvery);  // first: the code below may throw std::bad_alloc
  const bool needs_service = !address_.service.empty() && address_.url.empty() && address_.ssl_cname.empty();
  if (needs_service && now >= service_due_) {
    service_due_ = now + kServiceEvery;
    errands_.ask(*this, kService);
  }
  if (dirty_ && address_known_) report();
}

void ClusterReporter::report() {
  const std::optional<Seen> seen = look_();
  if (!seen) return;
  statuses_.set(make_statuses(seen->cluster, seen->results, address_, seen->autoscaled), seen->cluster);
  if (create_keys_) keys_.set(find_lacking_keys(seen->cluster, seen->results));
  dirty_ = false;  // last: if the code above throws, the report is made again
}

std::optional<kubernetes::ApiRequest> ClusterReporter::request_for(const std::string&) {
  kubernetes::ApiRequest request;
  request.path = kubernetes::object_path(kServices, address_.service_namespace, address_.service);
  return request;
}

kubernetes::Sender::Outcome ClusterReporter::answered(const std::string&, const kubernetes::ApiAnswer& answer) {
  const bool first = !std::exchange(address_known_, true);
  OwnService service = address_.own_service;
  if (answer.status == 200) {
    const auto object = kubernetes::parse_object(answer.body);
    if (object.ok()) service = read_own_service(*object);
  } else if (first) {
    const char* hint = answer.status == 403 ? ": allow the verb get on services there" : "";
    log::warning(absl::StrCat("kubernetes: the API server does not show the Service ", address_.service_namespace, "/",
                              address_.service, " (", answer.status, ")", hint, "; scoringUri may be incomplete"));
  }
  const bool changed = service.load_balancer != address_.own_service.load_balancer || service.port != address_.own_service.port;
  address_.own_service = std::move(service);
  if (first || changed) dirty_ = true;
  return Outcome::kDone;
}

}  // namespace router::discovery
