#include "router/serving/build_view.h"

#include "router/base/text.h"

namespace router::serving {
namespace {

std::unique_ptr<const model::Deployment> build_deployment(const config::Deployment& settings, const LiveDeployments& all,
                                                          const LiveDeployment& live) {
  auto deployment = std::make_unique<model::Deployment>();
  deployment->name = settings.name;
  deployment->score_path = settings.scoring_route.path;
  deployment->https = settings.tls.has_value();
  deployment->request_timeout = settings.request_timeout;
  deployment->queue_wait_max = settings.max_queue_wait;
  deployment->connect_timeout = settings.connect_timeout;
  deployment->stream_idle_timeout = settings.stream_idle_timeout;
  deployment->upload_timeout = settings.upload_timeout;
  deployment->abort_wait = settings.abort_wait;
  if (settings.scale_settings) deployment->hold = settings.scaling.hold;
  deployment->request_bytes_max = settings.max_request_bytes;
  deployment->drain_on_abort = settings.drain_on_abort;
  deployment->allow_encoded_slashes = settings.allow_encoded_slashes;
  deployment->queue = live.queue;
  deployment->home = all.home(settings);
  deployment->metrics = live.metrics;
  deployment->held_bytes = all.held_bytes();
  return deployment;
}

std::unique_ptr<const model::Endpoint> build_endpoint(const config::Endpoint& settings, const LiveDeployments& live,
                                                      const LiveDeployments::Change& change, metrics::Registry& metrics) {
  auto endpoint = std::make_unique<model::Endpoint>();
  endpoint->name = settings.name;
  endpoint->namespace_name = settings.namespace_name;
  endpoint->auth_mode = settings.auth_mode;
  endpoint->status_profile = settings.status_profile;
  endpoint->forward_authorization = settings.forward_authorization;
  endpoint->hostnames = settings.hostnames;
  endpoint->keys = settings.keys;
  endpoint->metrics = metrics.deployment(settings.name, "");
  for (const auto& [name, percent] : settings.mirror_traffic) endpoint->mirror.percent = percent;
  int up_to = 0;
  for (const config::Deployment& each : settings.deployments) {
    endpoint->deployments.push_back(build_deployment(each, live, live.get(deployment_key(each), change)));
    if (settings.mirror_traffic.contains(each.name)) endpoint->mirror.deployment = endpoint->deployments.back().get();
    for (const auto& [name, percent] : settings.traffic) {
      if (percent <= 0 || !equals_ignoring_case(name, each.name)) continue;
      up_to += percent;
      endpoint->traffic.push_back({up_to, endpoint->deployments.back().get()});
    }
  }
  return endpoint;
}

}  // namespace

std::shared_ptr<proxy::View> build_view(const config::Config& config, const LiveDeployments& live,
                                        const LiveDeployments::Change& change, metrics::Registry& metrics,
                                        const std::string& random_via_name) {
  const config::Process& process = config.process;
  auto view = std::make_shared<proxy::View>();
  view->generation = change.generation;
  view->limits = process.limits;
  view->log_client_ip = process.access_log_client_ip;
  view->per_replica = process.per_replica;
  for (const std::string& network : process.trusted_proxies) view->trusted_proxies.add(network);
  if (process.via) view->via = http::Via(process.via_name.empty() ? random_via_name : process.via_name);
  model::RoutingTable& table = view->table;
  table.generation = change.generation;
  table.metrics = metrics.deployment("", "");
  for (const config::Endpoint& settings : config.endpoints) {
    table.endpoints.push_back(build_endpoint(settings, live, change, metrics));
    const model::Endpoint* endpoint = table.endpoints.back().get();
    table.by_name.emplace(lower_case(settings.name), endpoint);
    for (const std::string& hostname : settings.hostnames) table.by_host.emplace(lower_case(hostname), endpoint);
  }
  return view;
}

}  // namespace router::serving
