#pragma once

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::auth {

/// Checks the credential of a request against its endpoint, before a deployment is chosen (contract, section 3):
/// `Authorization: Bearer KEY` or `api-key: KEY`, with the primary or the secondary key, compared in constant time. A request
/// must have exactly one credential: both fields, or one of them twice, are refused. An endpoint without keys, or with an
/// auth_mode that is not supported yet, refuses every request. Fails with unauthorized.
Result<model::Caller> authenticate(const http::RequestHead& head, const model::Endpoint& endpoint);

}  // namespace router::auth
