#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace router::kubernetes {

struct ListPage {
  std::string version;  // of the whole list; not empty
  std::string next;     // the token to continue with; empty: this was the last
};

/// One page of a list; its objects are moved behind `into`. Fails without a word of it, as objects may be secrets.
absl::StatusOr<ListPage> take_page(std::string_view body, std::vector<boost::json::object>& into);

}  // namespace router::kubernetes
