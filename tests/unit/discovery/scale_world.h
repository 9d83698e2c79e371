#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/discovery/scale_targets.h"
#include "router/kubernetes/json.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::discovery {

namespace json = boost::json;
using kubernetes::test::ApiServer;
using kubernetes::test::Asked;
using router::test::TestShard;
using router::test::turn_until;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// An API server with Deployments, StatefulSets and HorizontalPodAutoscalers: answers get, put on `scale`, list and watch,
/// knows versions, conflicts and who owns spec.replicas.
class ScaleServer {
 public:
  explicit ScaleServer(TestShard& shard) : server_(shard) {}

  kubernetes::ClusterConfig cluster() const { return server_.cluster(); }
  Asked next() { return server_.next(); }
  bool is_asked_now() { return server_.is_asked_now(); }
  void close() { server_.close(); }
  void forget() { server_.forget(); }
  /// Answers all requests that come without time passing.
  void serve() {
    while (server_.is_asked_now()) answer(server_.next());
  }
  void answer(const Asked& asked) {
    const std::string path = asked.target.substr(0, asked.target.find('?'));
    if (path.ends_with("horizontalpodautoscalers")) return answer_hpas(asked, path);
    log.push_back(asked.method + " " + asked.target);
    if (on_request) on_request(asked);
    if (const auto found = refusals.find(asked.method); found != refusals.end())
      return asked.answer(found->second.first, kubernetes::test::status(found->second.first, found->second.second));
    if (asked.method == "GET") return show(asked, path);
    put(asked, path.substr(0, path.size() - std::string("/scale").size()));
  }

  static std::string path_of(const std::string& name, const std::string& plural = "deployments") {
    return "/apis/apps/v1/namespaces/team-a/" + plural + "/" + name;
  }
  /// A Deployment for iris/blue that has settled.
  void make(const std::string& name, int replicas, const std::string& plural = "deployments") {
    json::object& object = objects[path_of(name, plural)];
    object = {{"metadata",
               {{"name", name},
                {"uid", "uid-" + std::to_string(++version)},
                {"generation", 1},
                {"annotations", {{"inference-router.dev/scaled-for", "iris/" + name}}}}},
              {"spec", {{"replicas", replicas}}}};
    settle(name, plural);
  }
  /// The controllers have done everything. Changes the version, as each new status does.
  void settle(const std::string& name, const std::string& plural = "deployments") {
    json::object& object = objects.at(path_of(name, plural));
    const json::value replicas = object["spec"].at("replicas");
    object["status"] = {
        {"observedGeneration", object["metadata"].at("generation")}, {"replicas", replicas}, {"updatedReplicas", replicas}};
    touch(object);
  }
  /// Sets the replicas as another client does.
  void scale(const std::string& name, int replicas, const std::string& manager, const std::string& operation = "Update") {
    set_replicas(objects.at(path_of(name)), replicas, manager, operation);
  }
  int replicas(const std::string& name) {
    return static_cast<int>(objects.at(path_of(name)).at("spec").at("replicas").as_int64());
  }
  json::object& metadata(const std::string& name) { return objects.at(path_of(name))["metadata"].as_object(); }
  void touch(json::object& object) { object["metadata"].as_object()["resourceVersion"] = std::to_string(++version); }

  void make_hpa(const std::string& name, const std::string& target, const std::string& kind = "Deployment") {
    const json::object hpa{
        {"metadata", {{"name", name}, {"namespace", "team-a"}, {"resourceVersion", std::to_string(++version)}}},
        {"spec", {{"scaleTargetRef", {{"apiVersion", "apps/v1"}, {"kind", kind}, {"name", target}}}}}};
    const bool is_new = hpas.insert_or_assign(name, hpa).second;
    tell(is_new ? "ADDED" : "MODIFIED", hpa);
  }
  void remove_hpa(const std::string& name) {
    const json::object hpa = hpas.at(name);
    hpas.erase(name);
    tell("DELETED", hpa);
  }
  void end_watches() {
    for (const Asked& each : std::exchange(watches_, {})) each.end_watch();
  }
  std::vector<std::string> take_log() { return std::exchange(log, {}); }
  std::size_t count(const std::string& method) const {
    std::size_t found = 0;
    for (const std::string& each : log) found += each.starts_with(method) ? 1U : 0U;
    return found;
  }

  std::map<std::string, json::object> objects;                  // by path
  std::map<std::string, json::object> hpas;                     // by name
  std::map<std::string, std::pair<int, std::string>> refusals;  // by method: status and message
  int hpa_refusal = 0;
  int stores = -1;  // if not negative, what is stored instead of what a write says
  std::function<void(const Asked&)> on_request;
  std::vector<std::string> log;  // all requests but those for HorizontalPodAutoscalers
  std::vector<std::string> hpa_log;
  int version = 100;

 private:
  void show(const Asked& asked, const std::string& path) {
    const auto found = objects.find(path);
    if (found == objects.end()) return asked.answer(404, kubernetes::test::status(404, "not found", "NotFound"));
    asked.answer(200, json::serialize(found->second));
  }
  void put(const Asked& asked, const std::string& path) {
    const auto found = objects.find(path);
    if (found == objects.end()) return asked.answer(404, kubernetes::test::status(404, "not found", "NotFound"));
    const json::object body = *kubernetes::parse_object(asked.body);
    if (kubernetes::metadata_text(body, "resourceVersion") != kubernetes::metadata_text(found->second, "resourceVersion"))
      return asked.answer(409, kubernetes::test::status(409, "the object has been modified", "Conflict"));
    const auto manager = asked.target.substr(asked.target.find("fieldManager=") + 13);
    const int wanted = static_cast<int>(body.at("spec").at("replicas").as_int64());
    set_replicas(found->second, stores >= 0 ? stores : wanted, manager, "Update");
    json::object answer = body;
    answer["metadata"].as_object()["resourceVersion"] = kubernetes::metadata_text(found->second, "resourceVersion");
    answer["spec"].as_object()["replicas"] = found->second.at("spec").at("replicas");
    asked.answer(200, json::serialize(answer));
  }
  void set_replicas(json::object& object, int replicas, const std::string& manager, const std::string& operation) {
    json::object& about = object["metadata"].as_object();
    object["spec"].as_object()["replicas"] = replicas;
    about["generation"] = about["generation"].as_int64() + 1;
    about["managedFields"] = json::array{json::object{{"manager", manager},
                                                      {"operation", operation},
                                                      {"subresource", "scale"},
                                                      {"time", "2026-01-31T12:00:00Z"},
                                                      {"fieldsV1", {{"f:spec", {{"f:replicas", json::object()}}}}}}};
    touch(object);
  }
  void answer_hpas(const Asked& asked, const std::string& path) {
    hpa_log.push_back(path);
    if (hpa_refusal != 0) return asked.answer(hpa_refusal, kubernetes::test::status(hpa_refusal, "no"));
    if (asked.target.find("watch=1") != std::string::npos) {
      asked.begin_watch();
      watches_.push_back(asked);
      return;
    }
    std::string items;
    for (const auto& [name, each] : hpas) items += (items.empty() ? "" : ",") + json::serialize(each);
    asked.answer(200, kubernetes::test::page(std::to_string(version), items));
  }
  void tell(const std::string& type, const json::object& hpa) {
    for (const Asked& each : watches_) each.chunk(kubernetes::test::event(type, json::serialize(hpa)));
  }

  ApiServer server_;
  std::vector<Asked> watches_;
};

inline ScaledDeployment scaled(const std::string& name, const std::string& kind = "Deployment") {
  ScaledDeployment wanted;
  wanted.key = name;
  wanted.namespace_name = "team-a";
  wanted.endpoint = "iris";
  wanted.deployment = name;
  wanted.target.kind = kind;
  wanted.target.name = name;
  return wanted;
}

/// ScaleTargets of namespace team-a, and their API server.
class ScaleTargetsTest : public ::testing::Test {
 protected:
  ~ScaleTargetsTest() override {
    targets.reset();
    for (int i = 0; i < 20; ++i) shard.poll();
    EXPECT_EQ(group.running(), 0u) << "a request outlives its owner";
  }
  void start(std::vector<std::string> namespaces = {"team-a"}) {
    ScaleTargetsOptions options;
    options.namespaces = std::move(namespaces);
    options.changed = [this](const std::string& key) { changes.push_back(key); };
    options.written = [this](const std::string& key, const ScaleWritten& written) {
      ends.push_back(key + " " + std::to_string(written.from) + "->" + std::to_string(written.replicas) + " " +
                     std::string(name_of(written.result)) + (written.text.empty() ? "" : ": " + written.text));
    };
    targets = std::make_unique<ScaleTargets>(*client, group, std::move(options));
  }
  /// iris/blue with these replicas, read once.
  void start_with(int replicas) {
    server.make("blue", replicas);
    start();
    targets->set({scaled("blue")});
    serve();
    EXPECT_TRUE(blue().may_write()) << blue().obstacle_text;
    changes.clear();
    server.log.clear();
  }
  void serve() {
    server.serve();
    for (int i = 0; i < 20; ++i) shard.poll();
    server.serve();
  }
  /// Lets time pass, second by second, and answers everything.
  void pass(seconds time) {
    for (seconds passed{0}; passed < time; passed += seconds(1)) {
      shard.advance(seconds(1));
      serve();
    }
  }
  const ScaleSeen& blue() { return *targets->seen("blue"); }
  void look() {
    shard.advance(milliseconds(200));
    targets->look_now("blue");
    serve();
  }
  std::vector<std::string> take_ends() { return std::exchange(ends, {}); }

  using Lines = std::vector<std::string>;
  TestShard shard;
  runtime::Resolver resolver{shard};
  ScaleServer server{shard};
  std::unique_ptr<kubernetes::ApiClient> client = kubernetes::test::make_client(shard, resolver, server.cluster());
  runtime::TaskGroup group{shard, ScaleTargets::tasks(1)};
  std::vector<std::string> changes;
  std::vector<std::string> ends;
  std::unique_ptr<ScaleTargets> targets;
};

}  // namespace router::discovery
