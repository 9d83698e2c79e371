#include "router/auth/authenticate.h"

#include <openssl/crypto.h>

#include <string_view>

#include "router/base/text.h"

namespace router::auth {
namespace {

const char* name_of(config::KeyName name) { return name == config::KeyName::kPrimary ? "primary" : "secondary"; }

/// Takes the same time wherever the two differ; that their lengths differ may show.
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

}  // namespace

Result<model::Caller> authenticate(const http::RequestHead& head, const model::Endpoint& endpoint) {
  if (endpoint.auth_mode != config::AuthMode::kKey) {
    return Failure::downstream(Reason::kUnauthorized, "the endpoint's auth_mode is not supported yet");
  }
  std::size_t credentials = 0;
  for (const http::FieldLine& line : head.fields) credentials += line.id == http::Field::kAuthorization;
  if (credentials > 1) return Failure::downstream(Reason::kUnauthorized, "more than one Authorization field");
  const std::string_view token = bearer_token(head.fields.get(http::Field::kAuthorization));
  if (token.empty()) return Failure::downstream(Reason::kUnauthorized, "no bearer key in Authorization");
  const char* matched = nullptr;
  for (const config::Secret& key : endpoint.keys) {  // every one is compared, whichever matches
    if (equal_in_constant_time(key.value, token)) matched = name_of(key.name);
  }
  if (matched == nullptr) return Failure::downstream(Reason::kUnauthorized, "the key is not one of the endpoint's");
  return model::Caller{model::AuthType::kKey, matched};
}

}  // namespace router::auth
