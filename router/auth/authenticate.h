#pragma once

#include "router/base/result.h"
#include "router/http/head.h"
#include "router/model/table.h"

namespace router::auth {

/// Checks the credential of a request against its endpoint, before its deployment is chosen (contract, section 3):
/// `Authorization: Bearer KEY`, the primary or the secondary key, compared in constant time. An auth_mode that is not supported
/// yet, or an endpoint without keys, lets nobody in. Fails with unauthorized.
Result<model::Caller> authenticate(const http::RequestHead& head, const model::Endpoint& endpoint);

}  // namespace router::auth
