#pragma once

#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// The field of that name, compared without case; kOther for those that the router only passes on.
Field identify(std::string_view name);

}  // namespace router::http
