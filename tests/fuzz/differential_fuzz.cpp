#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "router/http/characters.h"
#include "router/http/known_fields.h"
#include "router/proxy/heads.h"
#include "router/proxy/http1_downstream.h"
#include "router/proxy/patience.h"
#include "router/proxy/request_ids.h"
#include "tests/fuzz/memory_sides.h"
#include "tests/fuzz/second_parser.h"
#include "tests/fuzz/support.h"

/// Compares the router with a second parser. Arbitrary bytes of a client (first byte even) or of a pod (odd) go through the
/// router's parser, framing, body decoder and writer. In the bytes that the router sends, the second parser must read exactly
/// the message that the router has read. If the second parser also reads a message in the bytes that arrived, it must be the
/// same message: otherwise an attacker could exploit the difference. A message that was refused must not look complete. The
/// other bits of the first byte choose the scene (below), the second byte the sizes of the pieces.
namespace router::proxy {
namespace {

using fuzz::FieldList;
using fuzz::Message;
using fuzz::Reading;
using fuzz::require;
using fuzz::SecondParser;
using fuzz::World;
using stream::Progress;

constexpr std::size_t kMessagesMax = 16;

struct Scene {
  explicit Scene(std::uint8_t byte)
      : trusted((byte & 2) != 0),
        tls((byte & 4) != 0),
        forwards((byte & 8) != 0),
        old((byte & 16) != 0),
        asked((byte >> 5) & 3),
        waits((byte & 0x80) != 0) {}

  bool trusted;    // the client's address is one of trusted_proxies
  bool tls;        // the client came over TLS
  bool forwards;   // of requests: forward_authorization; of answers: the status profile is `managed`
  bool old;        // the client speaks HTTP/1.0
  unsigned asked;  // the request before an answer: 0 HEAD, else GET
  bool waits;      // of requests: the request waits for a slot while more bytes arrive
};

// --- fields that the router itself writes or removes: a second implementation of the contract, independent of heads.cpp ----

constexpr std::string_view kHopByHop[] = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization",
                                          "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
                                          // not hop-by-hop, but written again; the second parser has applied it
                                          "content-length"};
constexpr std::string_view kOfRequests[] = {"host",
                                            "expect",
                                            "x-request-id",
                                            "x-ms-client-request-id",
                                            "x-request-deadline-ms",
                                            "x-forwarded-for",
                                            "x-forwarded-host",
                                            "x-forwarded-prefix",
                                            "x-forwarded-proto",
                                            "max-forwards",  // the router decrements it for OPTIONS
                                            "forwarded",
                                            "via"};
constexpr std::string_view kOfResponses[] = {"date",  // see require_date
                                             "x-request-id",
                                             "x-ms-request-id",
                                             "x-ms-client-request-id",
                                             "azureml-model-deployment",
                                             "x-router-reason",
                                             "ms-azureml-model-error-statuscode",
                                             "ms-azureml-model-error-reason"};

template <class Names>
bool is_among(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool is_named_by_connection(const FieldList& fields, std::string_view name) {
  return std::any_of(fields.begin(), fields.end(), [name](const auto& field) {
    return field.first == "connection" && http::lists_token(field.second, name);
  });
}

/// The fields that must reach the other side unchanged.
FieldList end_to_end(const FieldList& fields, bool request, const Scene& scene) {
  FieldList kept;
  for (const auto& [name, value] : fields) {
    if (is_among(kHopByHop, name) || is_named_by_connection(fields, name)) continue;
    if (request ? is_among(kOfRequests, name) : is_among(kOfResponses, name)) continue;
    if (name == "x-ir" || name.starts_with("x-ir-")) continue;  // between routers of a fleet only
    if (request && !scene.forwards && name == "authorization") continue;
    if (request && http::identify(name) == http::Field::kLookalike) continue;
    if (request && !scene.trusted && http::identify(name) == http::Field::kForwarding) continue;
    kept.emplace_back(name, value);
  }
  return kept;
}

FieldList list_of(const http::Fields& fields) {
  FieldList list;
  for (const http::FieldLine& line : fields) list.emplace_back(fuzz::lower_case(std::string(line.name)), line.value);
  return list;
}

bool is_part_of(const FieldList& part, const FieldList& whole) {
  auto at = whole.begin();
  for (const auto& field : part) {
    at = std::find(at, whole.end(), field);
    if (at == whole.end()) return false;
    ++at;
  }
  return true;
}

std::size_t count(const FieldList& fields, std::string_view name) {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; }));
}

/// The second parser takes every name that begins with Transfer-Encoding for that field. This is its mistake, not the router's.
bool misreads(const FieldList& fields) {
  return std::any_of(fields.begin(), fields.end(), [](const auto& field) {
    return field.first.starts_with("transfer-encoding") && field.first != "transfer-encoding";
  });
}

/// Checks the rules of a strict parser that the second parser does not check.
void require_strict(std::string_view message) {
  const std::size_t end = message.find("\r\n\r\n");
  require(end != std::string_view::npos);
  std::string_view head = message.substr(0, end + 2);
  for (std::size_t line = 0; !head.empty(); ++line) {
    const std::size_t size = head.find("\r\n");
    const std::string_view text = head.substr(0, size);
    require(http::consists_of(text, http::kText));
    if (line > 0) require(text.find(':') > 0 && http::consists_of(text.substr(0, text.find(':')), http::kToken));
    head.remove_prefix(size + 2);
  }
}

/// Passes a body on and keeps a copy.
class Tee final : public stream::BodySink {
 public:
  Tee(stream::BodySink& to, Message& into) : to_(to), into_(into) {}
  void body_piece(std::string_view bytes) override {
    into_.body.append(bytes);
    to_.body_piece(bytes);
  }
  void body_end(const http::Fields* trailers) override {
    if (trailers != nullptr) into_.trailers = list_of(*trailers);
    to_.body_end(trailers);
  }

 private:
  stream::BodySink& to_;
  Message& into_;
};

/// The client's connection, with the router's end of it.
struct Client {
  World& world = World::get();
  fuzz::Wire wire{world.shard};
  runtime::Wakeup wakeup{world.shard};
  Peer peer;
  Http1Downstream downstream{world.server, ListenerId{}, wire.stream(), wakeup, peer};

  explicit Client(const Scene& scene) : peer{"2001:db8::7", scene.trusted, scene.tls} {
    wire.stream().socket().set_waker(&wakeup);
  }

  /// Reads ahead as for a request that waits in the queue.
  void wait() {
    for (int turns = 0; turns < 4 && !wire.ended(); ++turns) {
      if (!downstream.still_wanted()) return;
      wire.go_on();
      world.shard.poll();
    }
  }
  bool next_head() {
    for (;;) {
      auto started = world.shard.start(downstream.next_head());
      while (!started.done()) {
        wire.go_on();
        world.shard.poll();
      }
      const Result<Http1Downstream::Next> next = started.get();
      if (!next || *next != Http1Downstream::Next::kNothing) return next && *next == Http1Downstream::Next::kRequest;
      wire.go_on();
      world.shard.poll();
    }
  }
};

struct Target {
  model::Endpoint endpoint;
  model::Deployment deployment;
  model::Route route;
  RequestIds ids;

  Target(const Scene& scene, const http::RequestHead& head) {
    endpoint.forward_authorization = scene.forwards;
    endpoint.status_profile = scene.forwards ? config::StatusProfile::kManaged : config::StatusProfile::kKubernetes;
    deployment.name = "blue";
    route = {&endpoint, &deployment, head.path, {}};
    read_ids(head, ids);
  }
};

// --- requests ----------------------------------------------------------------------------------------------------------------

/// The request as it was sent to the pod. A method that the second parser does not know is replaced by POST.
std::string readable(std::string_view request, std::string_view method) {
  require(request.starts_with(method));
  return std::string(SecondParser::knows_method(method) ? method : "POST").append(request.substr(method.size()));
}

void require_same_request(const Message& read, const Message& ours, const Scene& scene) {
  if (SecondParser::knows_method(ours.method)) require(read.method == ours.method);
  require(read.target == ours.target && read.body == ours.body && read.trailers == ours.trailers);
  require(end_to_end(read.fields, true, scene) == end_to_end(ours.fields, true, scene));
  for (const char* once : {"host", "x-request-id", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}) {
    require(count(read.fields, once) == 1);
  }
  require(count(read.fields, "connection") == 0 && count(read.fields, "expect") == 0);
  require(count(read.fields, "via") >= 1 && count(read.fields, "via") <= count(ours.fields, "via") + 1);
}

/// The second parser must read the same message in the bytes that arrived and in the bytes that were sent.
void require_same_meaning(const Message& arrived, const Message& left, bool request, const Scene& scene) {
  require(arrived.body == left.body && is_part_of(left.trailers, arrived.trailers));
  if (request) {
    require(arrived.method == left.method);
    if (arrived.target.starts_with('/')) require(arrived.target == left.target);
  }
  require(end_to_end(arrived.fields, request, scene) == end_to_end(left.fields, request, scene));
}

/// Forwards one request. Returns false if it was refused or is incomplete.
bool forward_request(Client& client, fuzz::MemoryExchange& pod, const Scene& scene, Message& ours) {
  Http1Downstream& downstream = client.downstream;
  const http::RequestHead& head = downstream.head();
  const Target target(scene, head);
  const TimePoint now = client.world.shard.now();
  ours.method = head.method_text;
  ours.target = std::string(head.path).append(head.query);
  ours.fields = list_of(head.fields);
  const http::Via via("r");
  write_request_head(pod, downstream, target.route, {target.ids, *patience_of(head, now), via, now});
  if (scene.waits) client.wait();
  Tee tee(pod, ours);
  for (;;) {
    const Result<Progress> moved = downstream.read_body(tee);
    require(pod.flush().has_value());
    if (!moved) return false;
    if (*moved == Progress::kEnded) return true;
    if (*moved == Progress::kBlocked) client.wire.go_on();
  }
}

/// The dates are the pod's; without one, the router adds one (RFC 9110, 6.6.1).
void require_date(const FieldList& left, const FieldList& pods) {
  FieldList theirs;
  for (const auto& [name, value] : pods) {
    if (name == "date" && !is_named_by_connection(pods, name)) theirs.emplace_back(name, value);
  }
  require(count(left, "date") == std::max<std::size_t>(theirs.size(), 1) && is_part_of(theirs, left));
}

/// Answers the request, so that the client may send the next one.
void answer(Client& client) {
  client.downstream.begin_head(200, "OK");
  client.downstream.end_head({stream::BodySize::Kind::kLength, 0});
  client.downstream.body_end(nullptr);
  require(client.downstream.flush().has_value());
  client.wire.take_sent();
}

void try_requests(const Scene& scene, std::string_view input, std::size_t cut) {
  const Reading arrived = SecondParser::requests(input);
  Client client(scene);
  client.wire.feed(input, cut);
  for (std::size_t number = 0; number < kMessagesMax && client.next_head(); ++number) {
    const http::Method method = client.downstream.head().method;
    if (method == http::Method::kConnect || method == http::Method::kTrace) return;  // routing refuses them
    if (!patience_of(client.downstream.head(), client.world.shard.now())) return;    // refused: the deadline cannot be read
    fuzz::MemoryExchange pod(client.world.shard, method);
    Message ours;
    const bool complete = forward_request(client, pod, scene, ours);
    require_strict(pod.wire().sent());
    if (misreads(ours.fields) || misreads(ours.trailers)) return;
    const std::string left = readable(pod.wire().sent(), ours.method);
    const Reading read = SecondParser::requests(left);
    require(!read.failed && read.messages.size() == (complete ? 1 : 0));
    if (!complete) return;
    require(read.used == left.size());
    require_same_request(read.messages[0], ours, scene);
    if (number < arrived.messages.size()) require_same_meaning(arrived.messages[number], read.messages[0], true, scene);
    answer(client);
    if (!client.downstream.finish()) return;
  }
}

// --- answers -----------------------------------------------------------------------------------------------------------------

std::string request_before(const Scene& scene) {
  return std::string(scene.asked == 0 ? "HEAD" : "GET") + " /score HTTP/1." + (scene.old ? "0" : "1") + "\r\nHost: a\r\n\r\n";
}

struct Answered {
  bool complete = false;
  bool begun = false;
  std::size_t interims = 0;  // interim responses that were passed on
  std::size_t skipped = 0;   // 1xx that the pod sent
  bool misread = false;      // the second parser misreads one of the interim responses
  int status = 0;            // status of the pod's answer
  Message ours;
};

/// Waits for the pod's final head, and passes interim responses on. Returns nullptr after a failure.
const http::ResponseHead* await_head(Client& client, fuzz::MemoryExchange& pod, const Scene& scene, Answered& answered) {
  for (;;) {
    const Result<const http::ResponseHead*> head = pod.response_head();
    if (!head) return nullptr;
    if (*head == nullptr) {
      pod.wire().go_on();
      continue;
    }
    if ((*head)->status >= 200) return *head;
    if ((*head)->status != 100) {
      client.downstream.interim(**head);
      if (!scene.old) ++answered.interims;
    }
    answered.misread = answered.misread || misreads(list_of((*head)->fields));
    ++answered.skipped;
    pod.skip_interim();
  }
}

Answered forward_answer(Client& client, fuzz::MemoryExchange& pod, const Scene& scene) {
  Answered answered;
  const Target target(scene, client.downstream.head());
  const http::ResponseHead* head = await_head(client, pod, scene, answered);
  if (head == nullptr) return answered;
  answered.begun = true;
  answered.status = head->status;
  answered.ours.fields = list_of(head->fields);
  answered.ours.status = write_response_head(client.downstream, *head, pod.response_size(), target.route, target.ids);
  Tee tee(client.downstream, answered.ours);
  for (;;) {
    const Result<Progress> moved = pod.read_body(tee);
    require(client.downstream.flush().has_value());
    client.wire.sent();
    if (!moved) return answered;
    answered.complete = *moved == Progress::kEnded;
    if (answered.complete) return answered;
    if (*moved == Progress::kBlocked) pod.wire().go_on();
  }
}

void try_answer(const Scene& scene, std::string_view input, std::size_t cut) {
  const bool bodiless = scene.asked == 0;
  const std::string request = request_before(scene);
  Client client(scene);
  client.wire.feed(request, 0);
  require(client.next_head());
  fuzz::MemoryExchange pod(client.world.shard, client.downstream.head().method);
  pod.wire().feed(input, cut);
  const Answered answered = forward_answer(client, pod, scene);
  require(client.downstream.flush().has_value());
  const std::string& left = client.wire.sent();
  if (answered.misread || misreads(answered.ours.fields) || misreads(answered.ours.trailers)) return;

  // A client that keeps its connection must find the end of the answer in the answer. Only for an HTTP/1.0 client may the end
  // of the connection be the end of the answer. If the connection ends too early, the router resets it.
  const bool ends_with_connection = scene.old && !client.downstream.finish();
  const bool seen_to_end = !scene.old || (answered.complete && ends_with_connection);
  const Reading read = SecondParser::responses(left, bodiless, scene.old && seen_to_end);
  require(!read.failed);
  require(read.messages.size() == answered.interims + (answered.complete ? 1 : 0));
  for (const Message& each : read.messages) {
    if (each.status < 200 || each.status == 204) require(count(each.fields, "content-length") == 0);
  }
  if (!answered.complete) return;
  require(read.used == left.size());
  require_strict(left);
  const Message& final = read.messages.back();
  require(final.status == answered.ours.status && final.body == answered.ours.body);
  require(final.trailers == answered.ours.trailers || (scene.old && final.trailers.empty()));
  require(end_to_end(final.fields, false, scene) == end_to_end(answered.ours.fields, false, scene));
  require_date(final.fields, answered.ours.fields);

  const Reading arrived = SecondParser::responses(input, bodiless, true);
  if (arrived.messages.size() <= answered.skipped) return;
  require(arrived.messages[answered.skipped].status == answered.status);
  require_same_meaning(arrived.messages[answered.skipped], final, false, scene);
}

}  // namespace
}  // namespace router::proxy

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view input = router::fuzz::text_of(data + 2, size - 2);
  const router::proxy::Scene scene(data[0]);
  data[0] % 2 == 0 ? router::proxy::try_requests(scene, input, data[1]) : router::proxy::try_answer(scene, input, data[1]);
  return 0;
}
