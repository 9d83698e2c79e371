#pragma once

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::auth {

/// Checks the credential of a request against its endpoint, before its deployment is chosen (contract, section 3):
/// `Authorization: Bearer KEY` or `api-key: KEY`, the primary or the secondary key, compared in constant time. A request has
/// one credential: both fields, or one of them twice, are refused, whatever they say. An auth_mode that is not supported yet,
/// or an endpoint without keys, lets nobody in. Fails with unauthorized.
Result<model::Caller> authenticate(const http::RequestHead& head, const model::Endpoint& endpoint);

}  // namespace router::auth
