#include "router/kubernetes/api_client.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <utility>

#include "config/findings.h"
#include "router/base/text.h"
#include "router/kubernetes/json.h"

namespace router::kubernetes {
namespace {

constexpr int kRetryAfterMax = 3600;  // seconds; callers apply smaller limits of their own

std::optional<std::chrono::seconds> retry_after_of(const http::ResponseHead& head) {
  int seconds = 0;
  const bool is_number = absl::SimpleAtoi(to_absl(head.fields.get(http::Field::kRetryAfter)), &seconds) && seconds >= 0;
  if (!is_number) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, kRetryAfterMax));
}

client::ClientOptions options_of(const ClusterConfig& cluster, Credentials& credentials) {
  client::ClientOptions options;
  options.host = cluster.host;
  options.port = cluster.port;
  options.server_name = cluster.server_name;
  options.tls = [&credentials] { return credentials.tls(); };
  options.connect_max = ApiClient::kConnectMax;
  options.head_wait = ApiClient::kHeadWait;
  options.resting_max = ApiClient::kRestingMax;
  options.rest_max = ApiClient::kRestMax;
  options.connect.vanished_after = ApiClient::kVanishedAfter;
  return options;
}

}  // namespace

std::string message_of(const ApiAnswer& answer) {
  const auto status = parse_object(answer.body);
  return status.ok() ? config::shown_message(text_in(*status, "message")) : "";
}

ApiExchange::ApiExchange(ApiClient& client, std::unique_ptr<client::Exchange> exchange, std::string token)
    : client_(client),
      exchange_(std::move(exchange)),
      token_(std::move(token)),
      retry_after_(retry_after_of(exchange_->head())) {}

bool ApiExchange::has_newer_token() { return client_.credentials_->refused(token_); }

Task<absl::StatusOr<bool>> ApiExchange::read(runtime::Cancellation& cancellation, std::string& into, Deadline deadline) {
  const client::Outcome<client::Body> body = co_await exchange_->read(cancellation, into, deadline);
  if (!body) co_return client_.explained(body.error());
  co_return *body == client::Body::kGoesOn;
}

Task<absl::StatusOr<ApiAnswer>> ApiExchange::read_all(runtime::Cancellation& cancellation, std::size_t bytes_max,
                                                      Deadline deadline) {
  ApiAnswer answer;
  answer.status = status();
  answer.retry_after = retry_after_;
  const client::Outcome<void> read = co_await exchange_->read_all(cancellation, answer.body, bytes_max, deadline);
  if (!read) co_return client_.explained(read.error());
  co_return answer;
}

ApiClient::ApiClient(runtime::Shard& control, runtime::Resolver& resolver, ClusterConfig cluster,
                     std::unique_ptr<Credentials> credentials)
    : cluster_(std::move(cluster)),
      name_("API server " + cluster_.authority()),
      credentials_(std::move(credentials)),
      http_(control, resolver, options_of(cluster_, *credentials_)) {}

absl::StatusOr<std::unique_ptr<ApiClient>> ApiClient::make(runtime::Shard& control, runtime::Resolver& resolver,
                                                           ClusterConfig cluster) {
  auto credentials = Credentials::make(cluster, control.clock());
  if (!credentials.ok()) return credentials.status();
  return std::unique_ptr<ApiClient>(new ApiClient(control, resolver, std::move(cluster), std::move(*credentials)));
}

absl::Status ApiClient::explained(const client::Error& error) const {
  const absl::Status status = client::status_of(error);
  return absl::Status(status.code(), name_ + ": " + std::string(status.message()));
}

client::Request ApiClient::with_token(ApiRequest request, const std::string& token) const {
  client::Request with;
  with.method = std::move(request.method);
  with.target = cluster_.base_path + request.path;
  with.fields = {{"User-Agent", "inference-router"}, {"Accept", "application/json"}};
  if (!token.empty()) with.fields.emplace_back("Authorization", "Bearer " + token);
  if (!request.content_type.empty()) with.fields.emplace_back("Content-Type", std::move(request.content_type));
  with.body = std::move(request.body);
  with.deadline = request.deadline;
  return with;
}

Task<absl::StatusOr<std::unique_ptr<ApiExchange>>> ApiClient::open(runtime::Cancellation& cancellation, ApiRequest request) {
  std::string token = credentials_->token();
  client::Request with = with_token(std::move(request), token);
  client::Outcome<std::unique_ptr<client::Exchange>> exchange = co_await http_.open(cancellation, std::move(with));
  if (!exchange) co_return explained(exchange.error());
  co_return std::make_unique<ApiExchange>(*this, std::move(*exchange), std::move(token));
}

Task<absl::StatusOr<ApiAnswer>> ApiClient::request(runtime::Cancellation& cancellation, ApiRequest request) {
  for (bool again = false;; again = true) {
    const auto exchange = co_await open(cancellation, request);
    if (!exchange.ok()) co_return exchange.status();
    const Deadline deadline = std::min(request.deadline, deadline_after(shard().now(), kBodyWait));
    auto answer = co_await (*exchange)->read_all(cancellation, kBodyMax, deadline);
    const bool tries_again = answer.ok() && answer->status == 401 && !again && (*exchange)->has_newer_token();
    if (!tries_again) co_return answer;
  }
}

}  // namespace router::kubernetes
