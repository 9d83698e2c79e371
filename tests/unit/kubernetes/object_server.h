#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "router/kubernetes/json.h"
#include "tests/unit/kubernetes/api_server.h"

namespace router::kubernetes::test {

namespace json = boost::json;

/// An API server with at most one object: it answers get, list, watch, create and replace, knows versions and conflicts, and
/// tells its watches what changes.
class ObjectServer {
 public:
  ObjectServer(TestShard& shard, std::string name) : server_(shard), name_(std::move(name)) {}

  ClusterConfig cluster() const { return server_.cluster(); }
  /// Answers all requests that come without time passing.
  void serve() {
    while (server_.is_asked_now()) answer(server_.next());
  }
  /// The next request, which is not answered yet.
  Asked next() { return server_.next(); }
  void answer(const Asked& asked) {
    const bool is_watch = asked.target.find("watch=1") != std::string::npos;
    const bool is_list = asked.target.find("limit=") != std::string::npos;
    if (is_watch) return begin_watch(asked);
    if (!is_list) log.push_back(asked);
    if (refuses != 0 && (!is_list || refuses_lists)) return asked.answer(refuses, status(refuses, "no: " + asked.body));
    if (is_list) return asked.answer(200, page(std::to_string(version), object ? json::serialize(*object) : ""));
    if (asked.method == "GET") return object ? reply(asked, 200) : asked.answer(404, status(404, "not found"));
    const json::object sent = *parse_object(asked.body);
    if (asked.method == "POST" ? object.has_value() : object && metadata_text(sent, "resourceVersion") != newest())
      return asked.answer(409, status(409, "conflict"));
    if (asked.method == "PUT" && !object) return asked.answer(404, status(404, "not found"));
    write(sent);
    reply(asked, asked.method == "POST" ? 201 : 200);
  }

  /// Writes the object as another client would.
  void write(json::object next) {
    const char* type = object ? "MODIFIED" : "ADDED";
    json::value& metadata = next["metadata"];
    if (!metadata.is_object()) metadata = json::object();
    metadata.get_object()["name"] = name_;
    metadata.get_object()["resourceVersion"] = std::to_string(++version);
    object = std::move(next);
    tell(type, *object);
  }
  void remove() {
    json::object gone = *std::exchange(object, std::nullopt);
    gone["metadata"].get_object()["resourceVersion"] = std::to_string(++version);
    tell("DELETED", gone);
  }
  std::string newest() const { return object ? metadata_text(*object, "resourceVersion") : ""; }
  std::size_t writes() const {
    std::size_t count = 0;
    for (const Asked& each : log) count += each.method == "GET" ? 0U : 1U;
    return count;
  }

  std::optional<json::object> object;
  int version = 100;
  int refuses = 0;  // if not 0, the status of the answer to each get and each write
  bool refuses_lists = false;
  bool hides_events = false;            // watches get no event; they are kept for later
  std::vector<Asked> log;               // gets and writes
  std::vector<std::string> selections;  // the targets of the watches

  /// Tells the events that were hidden.
  void show_events() {
    hides_events = false;
    for (const Asked& each : watches_) {
      for (const std::string& line : hidden_) each.chunk(line);
    }
    hidden_.clear();
  }

 private:
  void begin_watch(const Asked& asked) {
    selections.push_back(asked.target);
    asked.begin_watch();
    watches_.push_back(asked);
  }
  void tell(const std::string& type, const json::object& told) {
    const std::string line = event(type, json::serialize(told));
    if (hides_events) return hidden_.push_back(line);
    for (const Asked& each : watches_) each.chunk(line);
  }
  void reply(const Asked& asked, int code) { asked.answer(code, json::serialize(*object)); }

  ApiServer server_;
  const std::string name_;
  std::vector<Asked> watches_;
  std::vector<std::string> hidden_;
};

}  // namespace router::kubernetes::test
