#pragma once

#include "router/proxy/downstream.h"
#include "router/proxy/record.h"
#include "router/proxy/view.h"

namespace router::proxy {

class ShardServer;

/// Tells of an exchange, exactly once, on every way out: metrics, and a line of the access log if there is one.
void account(ShardServer& server, const View& view, const Downstream& downstream, const Record& record);

}  // namespace router::proxy
