#pragma once

#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// Whether a server may read `name` as `known` (lower case). Names are compared without case, and `_` equals `-`, since CGI and
/// WSGI pass fields to a program as variables of one name (HTTP_X_FORWARDED_FOR).
bool may_mean(std::string_view name, std::string_view known);

/// The field of that name, compared without case; kOther for fields that the router only passes on.
Field identify(std::string_view name);

}  // namespace router::http
