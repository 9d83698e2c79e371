#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "router/discovery/cluster_reporter.h"
#include "router/kubernetes/json.h"
#include "tests/unit/discovery/cluster_world.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::discovery {

using kubernetes::test::ApiServer;
using kubernetes::test::Asked;
using router::test::TestShard;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// An API server for a reporter: one Lease, resources with a status, Events, Secrets, one Service. What it has written reaches
/// the watch of the routers' World only by `show`.
class ReportServer {
 public:
  explicit ReportServer(TestShard& shard) : server_(shard) {}

  kubernetes::ClusterConfig cluster() const { return server_.cluster(); }
  Asked next() { return server_.next(); }
  void answer_all() {
    while (server_.is_asked_now()) answer(server_.next());
  }
  void answer(const Asked& asked) {
    const json::object body = asked.body.empty() ? json::object() : *kubernetes::parse_object(asked.body);
    const std::string path = asked.target.substr(0, asked.target.find('?'));
    const bool is_lease = path.find("/leases") != path.npos;
    if (is_lease) return hides_lease ? void() : answer_lease(asked, body);
    log.push_back({asked.method, path, body, asked.target, asked.head});
    if (const auto found = refusals.find(path); found != refusals.end()) {
      return asked.answer(found->second, kubernetes::test::status(found->second, "refused"));
    }
    if (path.ends_with("/status")) return answer_status(asked, path, body);
    if (asked.method == "GET") return asked.answer(200, json::serialize(service));
    asked.answer(asked.method == "POST" ? 201 : 200, "{}");
  }

  struct Request {
    std::string method;
    std::string path;
    json::object body;
    std::string target;
    std::string head;
  };
  /// Requests whose path ends with `end`.
  std::vector<Request> requests(const std::string& end) const {
    std::vector<Request> some;
    for (const Request& each : log) {
      if (each.path.ends_with(end)) some.push_back(each);
    }
    return some;
  }
  std::size_t writes_of(const std::string& name) const { return requests("/" + name + "/status").size(); }

  std::vector<Request> log;                      // all requests but those for the Lease
  std::map<std::string, int> refusals;           // path -> status of the answer to each request for it
  std::map<std::string, json::object> statuses;  // by the path of the object
  json::object service{{"spec", {{"ports", json::array{json::object{{"port", 80}}}}}}};
  std::string drops;         // a field of statuses that the server does not store
  bool hides_lease = false;  // requests for the Lease get no answer
  std::string holder;
  int version = 1000;

 private:
  void answer_lease(const Asked& asked, const json::object& body) {
    const auto reply = [&](int code) {
      json::object object{{"metadata", {{"name", "router"}, {"resourceVersion", std::to_string(lease_version_)}}}};
      object["spec"] = json::object{{"holderIdentity", holder}, {"leaseDurationSeconds", 15}, {"renewTime", lease_version_}};
      asked.answer(code, json::serialize(object));
    };
    if (asked.method == "GET") return lease_version_ == 0 ? asked.answer(404, "{}") : reply(200);
    const std::string based_on = kubernetes::metadata_text(body, "resourceVersion");
    if (based_on != (lease_version_ == 0 ? "" : std::to_string(lease_version_))) return asked.answer(409, "{}");
    holder = kubernetes::text_in(body.at("spec").as_object(), "holderIdentity");
    ++lease_version_;
    reply(200);
  }
  void answer_status(const Asked& asked, const std::string& path, const json::object& body) {
    const std::string object = path.substr(0, path.size() - std::string("/status").size());
    json::object answer = body;
    answer["status"].as_object().erase(drops);
    statuses[object] = answer["status"].as_object();
    answer["metadata"].as_object()["resourceVersion"] = std::to_string(++version);
    asked.answer(200, json::serialize(answer));
  }

  ApiServer server_;
  int lease_version_ = 0;
};

/// Routers that follow one World and report it to one server.
class ReporterTest : public ::testing::Test {
 protected:
  struct Router {
    std::unique_ptr<kubernetes::ApiClient> client;
    std::unique_ptr<ClusterReporter> reporter;
  };

  ~ReporterTest() override {
    for (auto& [name, router] : routers) router.reporter.reset();
    server.answer_all();
    shard.advance(kubernetes::LeaderElection::kReleaseMax);
    server.answer_all();
    EXPECT_EQ(group.running(), 0u);
  }

  Router& start(const std::string& identity) {
    Router& router = routers[identity];
    router.client = kubernetes::test::make_client(shard, resolver, server.cluster());
    ReporterOptions with = options;
    with.election.lease_name = "router";
    with.election.lease_namespace = "system";
    with.election.identity = identity;
    router.reporter = std::make_unique<ClusterReporter>(
        *router.client, group, std::move(with), [this] { return look(); }, [this] { return wall(); });
    server.answer_all();
    pass(milliseconds(1));
    return router;
  }
  std::optional<ClusterReporter::Seen> look() {
    if (std::exchange(short_of_memory, false)) throw std::bad_alloc();
    if (!listed) return std::nullopt;
    ClusterReporter::Seen seen{world.state.cluster(), world.join().results};
    for (ReconcileResult& each : seen.results) {
      if (const auto found = replicas.find(each.name); found != replicas.end()) {
        each.replicas_ready = static_cast<std::size_t>(found->second.first);
        each.replicas_total = static_cast<std::size_t>(found->second.second);
      }
    }
    return seen;
  }
  kubernetes::WallTime wall() const {
    return kubernetes::WallTime() + seconds(1'800'000'000) +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(shard.now() - begun);
  }
  /// An object of the World has changed.
  void changed() {
    for (auto& [name, router] : routers) {
      if (router.reporter) router.reporter->changed();
    }
  }
  /// Lets time pass while the server answers.
  void pass(Duration time) {
    for (; time > Duration{}; time -= milliseconds(100)) {
      shard.advance(std::min<Duration>(time, milliseconds(100)));
      server.answer_all();
    }
  }
  /// The watch delivers the status of iris: the server's, or the given one.
  void show(const std::optional<json::object>& status = std::nullopt) {
    json::object object = iris().object();
    object["metadata"].as_object()["resourceVersion"] = std::to_string(status ? ++server.version : server.version);
    object["status"] = status ? *status : server.statuses[kIris];
    world.endpoints->changed(object);
    changed();
  }
  static EndpointSpec iris() { return {.traffic = {{"blue", 100}}}; }
  /// The condition of iris as the server has it: `True Reason`.
  std::string condition(const std::string& type, const std::string& path = kIris) {
    const json::object* found = find_condition(server.statuses[path], type);
    if (found == nullptr) return "";
    return kubernetes::text_in(*found, "status") + " " + kubernetes::text_in(*found, "reason");
  }

  static constexpr const char* kIris = "/apis/inference-router.dev/v1alpha1/namespaces/team-a/onlineendpoints/iris";
  static constexpr const char* kEvents = "/apis/events.k8s.io/v1/namespaces/team-a/events";

  TestShard shard;
  const TimePoint begun = shard.now();
  runtime::Resolver resolver{shard};
  ReportServer server{shard};
  runtime::TaskGroup group{shard, 20};
  World world;
  bool listed = true;
  bool short_of_memory = false;                         // at the next look
  std::map<std::string, std::pair<int, int>> replicas;  // by the OnlineDeployment's name: ready, total
  ReporterOptions options;
  std::map<std::string, Router> routers;
};

}  // namespace router::discovery
