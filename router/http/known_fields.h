#pragma once

#include <string_view>

#include "router/http/head.h"

namespace router::http {

/// Whether `name` may be taken for `known` (lower case) at the end of the way: it is compared without case, and `_` stands for
/// `-` as well, since CGI and WSGI hand fields to a program as variables of one name (HTTP_X_FORWARDED_FOR).
bool may_mean(std::string_view name, std::string_view known);

/// The field of that name, compared without case; kOther for those that the router only passes on.
Field identify(std::string_view name);

}  // namespace router::http
