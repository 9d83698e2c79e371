#include "router/kubernetes/resource_version.h"

#include <utility>

namespace router::kubernetes {

bool is_older(const std::string& a, const std::string& b) {
  const auto is_number = [](const std::string& text) { return text.find_first_not_of("0123456789") == text.npos; };
  return is_number(a) && is_number(b) && std::pair(a.size(), a) < std::pair(b.size(), b);
}

}  // namespace router::kubernetes
