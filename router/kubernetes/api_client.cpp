#include "router/kubernetes/api_client.h"

#include <algorithm>
#include <utility>

#include "config/findings.h"
#include "router/kubernetes/json.h"

namespace router::kubernetes {
namespace {

http::Method method_of(const std::string& method) { return method == "GET" ? http::Method::kGet : http::Method::kOther; }

/// Where the answer to a look-up arrives, which may be after whoever asked has gone.
struct LookUp {
  std::optional<runtime::Resolver::Addresses> addresses;
  runtime::Wakeup* wakeup = nullptr;  // nullptr: nobody waits any more
};

/// Until its end `wakeup` waits for the answer.
class Waits {
 public:
  Waits(std::shared_ptr<LookUp> question, runtime::Wakeup& wakeup) : question_(std::move(question)) {
    question_->wakeup = &wakeup;
  }
  Waits(const Waits&) = delete;
  Waits& operator=(const Waits&) = delete;
  ~Waits() { question_->wakeup = nullptr; }

 private:
  const std::shared_ptr<LookUp> question_;
};

}  // namespace

std::string message_of(const ApiAnswer& answer) {
  const auto status = parse_object(answer.body);
  return status.ok() ? config::shown_message(text_in(*status, "message")) : "";
}

Task<absl::StatusOr<bool>> ApiExchange::read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline) {
  if (connection_ == nullptr) co_return false;
  absl::StatusOr<bool> more = co_await connection_->body(cancellation, into, deadline);
  if (more.ok() && *more) co_return true;
  std::unique_ptr<ApiConnection> ended = std::move(connection_);
  if (!more.ok()) co_return client_.explained(more.status());
  if (head_.keeps_alive) client_.give_back(std::move(ended));
  co_return false;
}

bool ApiExchange::has_newer_token() { return client_.credentials_->refused(token_); }

Task<absl::StatusOr<ApiAnswer>> ApiExchange::read_all(runtime::Cancellation& cancellation, std::size_t bytes_max,
                                                      Deadline deadline) {
  ApiAnswer answer;
  answer.status = head_.status;
  answer.retry_after = head_.retry_after;
  for (;;) {
    const absl::StatusOr<bool> more = co_await read(cancellation, answer.body, deadline);
    if (!more.ok()) co_return more.status();
    if (!*more) co_return answer;
    if (answer.body.size() > bytes_max) {
      connection_.reset();
      co_return client_.explained(
          absl::ResourceExhaustedError("its answer is larger than " + std::to_string(bytes_max) + " bytes"));
    }
  }
}

ApiClient::ApiClient(runtime::Shard& control, runtime::Resolver& resolver, ClusterConfig cluster,
                     std::unique_ptr<Credentials> credentials)
    : control_(control),
      resolver_(resolver),
      cluster_(std::move(cluster)),
      name_("API server " + cluster_.authority()),
      credentials_(std::move(credentials)) {}

absl::StatusOr<std::unique_ptr<ApiClient>> ApiClient::make(runtime::Shard& control, runtime::Resolver& resolver,
                                                           ClusterConfig cluster) {
  auto credentials = Credentials::make(cluster, control.clock());
  if (!credentials.ok()) return credentials.status();
  return std::unique_ptr<ApiClient>(new ApiClient(control, resolver, std::move(cluster), std::move(*credentials)));
}

absl::Status ApiClient::explained(const absl::Status& status) const {
  return absl::Status(status.code(), name_ + ": " + std::string(status.message()));
}

Task<absl::StatusOr<std::vector<runtime::Address>>> ApiClient::look_up(runtime::Cancellation& cancellation, Deadline deadline) {
  if (const auto address = runtime::Address::parse(cluster_.host, cluster_.port)) {
    co_return std::vector<runtime::Address>(1, *address);
  }
  const auto question = std::make_shared<LookUp>();
  const Waits waits(question, cancellation.wakeup());
  resolver_.resolve(cluster_.host, cluster_.port, [question](runtime::Resolver::Addresses addresses) {
    question->addresses = std::move(addresses);
    if (question->wakeup != nullptr) question->wakeup->wake();
  });
  bool in_time = true;
  while (in_time && !question->addresses && !cancellation.cancelled()) in_time = co_await cancellation.wakeup().wait(deadline);
  if (cancellation.cancelled()) co_return absl::CancelledError("not wanted any more");
  if (!question->addresses) co_return absl::DeadlineExceededError("its name cannot be resolved in time");
  if (!question->addresses->ok()) {
    co_return absl::UnavailableError("its name cannot be resolved: " + std::string(question->addresses->status().message()));
  }
  co_return std::move(**question->addresses);
}

Task<absl::StatusOr<std::unique_ptr<ApiConnection>>> ApiClient::connect(runtime::Cancellation& cancellation,
                                                                        Deadline deadline) {
  const auto addresses = co_await look_up(cancellation, deadline);
  if (!addresses.ok()) co_return addresses.status();
  addresses_ = *addresses;
  absl::Status last = absl::UnavailableError("it has no address");
  for (std::size_t i = 0; i < addresses->size() && cancellation.now() < deadline; ++i) {
    // An address that does not answer leaves time for the others.
    const Deadline share = cancellation.now() + (deadline - cancellation.now()) / static_cast<int>(addresses->size() - i);
    auto connected =
        co_await ApiConnection::open(cancellation, (*addresses)[i], credentials_->tls(), cluster_.server_name, share);
    if (connected.ok() || cancellation.cancelled()) co_return connected;
    last = connected.status();
  }
  co_return last;
}

std::unique_ptr<ApiConnection> ApiClient::take_resting(runtime::Cancellation& cancellation) {
  while (!resting_.empty()) {
    std::unique_ptr<ApiConnection> connection = std::move(resting_.back());
    resting_.pop_back();
    if (cancellation.now() - connection->rests_since() > kRestMax || !connection->is_usable()) continue;
    connection->take(cancellation);
    return connection;
  }
  return nullptr;
}

void ApiClient::give_back(std::unique_ptr<ApiConnection> connection) {
  if (connection->rest() && resting_.size() < kRestingMax) resting_.push_back(std::move(connection));
}

void ApiClient::write(const ApiRequest& request, const std::string& token, wire::MessageOutput& output) const {
  output.begin_request(request.method, cluster_.base_path, request.path, "");
  output.field("Host", cluster_.authority());
  output.field("User-Agent", "inference-router");
  output.field("Accept", "application/json");
  if (!token.empty()) output.field("Authorization", "Bearer " + token);
  if (!request.content_type.empty()) output.field("Content-Type", request.content_type);
  wire::BodySize size;
  if (!request.body.empty()) size = {wire::BodySize::Kind::kLength, request.body.size()};
  output.end_head(size);
  if (request.body.empty()) return;
  output.body_piece(request.body);
  output.body_end(nullptr);
}

Task<absl::StatusOr<std::unique_ptr<ApiExchange>>> ApiClient::open(runtime::Cancellation& cancellation, ApiRequest request) {
  for (;;) {
    if (cancellation.cancelled()) co_return absl::CancelledError("not wanted any more");
    std::unique_ptr<ApiConnection> connection = take_resting(cancellation);
    if (connection == nullptr) {
      auto fresh = co_await connect(cancellation, std::min(request.deadline, deadline_after(control_.now(), kConnectMax)));
      if (!fresh.ok()) co_return explained(fresh.status());
      connection = std::move(*fresh);
    }
    const Deadline deadline = std::min(request.deadline, deadline_after(control_.now(), kHeadWait));
    std::string token = credentials_->token();
    write(request, token, connection->output());
    const auto head = co_await connection->exchange_heads(cancellation, method_of(request.method), deadline);
    if (head.ok()) co_return std::make_unique<ApiExchange>(*this, std::move(connection), std::move(token), *head);
    // The server may have ended a connection that rested at the moment when it was used again.
    const bool ended_meanwhile = absl::IsUnavailable(head.status()) && connection->was_used() && !connection->was_answered();
    if (!ended_meanwhile || request.method != "GET") co_return explained(head.status());
  }
}

Task<absl::StatusOr<ApiAnswer>> ApiClient::request(runtime::Cancellation& cancellation, ApiRequest request) {
  for (bool again = false;; again = true) {
    const auto exchange = co_await open(cancellation, request);
    if (!exchange.ok()) co_return exchange.status();
    const Deadline deadline = std::min(request.deadline, deadline_after(control_.now(), kBodyWait));
    auto answer = co_await (*exchange)->read_all(cancellation, kBodyMax, deadline);
    const bool tries_again = answer.ok() && answer->status == 401 && !again && (*exchange)->has_newer_token();
    if (!tries_again) co_return answer;
  }
}

}  // namespace router::kubernetes
