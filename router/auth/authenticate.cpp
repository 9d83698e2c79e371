#include "router/auth/authenticate.h"

#include <openssl/crypto.h>

#include <string_view>

#include "router/base/text.h"

namespace router::auth {
namespace {

const char* name_of(config::KeyName name) { return name == config::KeyName::kPrimary ? "primary" : "secondary"; }

/// Takes the same time wherever the texts differ. A different length may be visible in the time.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (!starts_with_ignoring_case(authorization, kScheme)) return {};
  std::string_view token = authorization.substr(kScheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token;
}

/// The one credential of a request. Fails if there is none, or more than one.
Result<std::string_view> credential(const http::Fields& fields) {
  using http::Field;
  if (fields.repeats(Field::kAuthorization) || fields.repeats(Field::kApiKey)) {
    return Failure::downstream(Reason::kUnauthorized, "more than one Authorization or api-key field");
  }
  const bool by_api_key = fields.has(Field::kApiKey);
  if (by_api_key && fields.has(Field::kAuthorization)) {
    return Failure::downstream(Reason::kUnauthorized, "both Authorization and api-key: one credential is expected");
  }
  const std::string_view key = by_api_key ? fields.get(Field::kApiKey) : bearer_token(fields.get(Field::kAuthorization));
  if (key.empty()) return Failure::downstream(Reason::kUnauthorized, "no bearer key in Authorization, and none in api-key");
  return key;
}

}  // namespace

Result<model::Caller> authenticate(const http::RequestHead& head, const model::Endpoint& endpoint) {
  if (endpoint.auth_mode != config::AuthMode::kKey) {
    return Failure::downstream(Reason::kUnauthorized, "the endpoint's auth_mode is not supported yet");
  }
  const Result<std::string_view> given = credential(head.fields);
  if (!given) return given.error();
  const char* matched = nullptr;
  for (const config::Secret& key : endpoint.keys) {  // compares every key, even after a match
    if (equal_in_constant_time(key.value, *given)) matched = name_of(key.name);
  }
  if (matched == nullptr) return Failure::downstream(Reason::kUnauthorized, "the key is not one of the endpoint's");
  return model::Caller{model::AuthType::kKey, matched};
}

}  // namespace router::auth
