#pragma once

#include <string>

namespace router::kubernetes {

/// Whether resourceVersion `a` of an object, or of a list, is older than `b`. API servers count up. False if one of them is not
/// a number, since other versions have no known order.
bool is_older(const std::string& a, const std::string& b);

}  // namespace router::kubernetes
