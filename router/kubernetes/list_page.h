#pragma once

#include <absl/status/statusor.h>

#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace router::kubernetes {

struct ListPage {
  std::string version;  // of the whole list; not empty
  std::string next;     // the token of the next page; empty: this was the last page
};

/// Parses one page of a list and appends its objects to `into`. The error quotes nothing of the body, which may contain
/// secrets.
absl::StatusOr<ListPage> take_page(std::string_view body, std::vector<boost::json::object>& into);

}  // namespace router::kubernetes
