#include "router/kubernetes/list_page.h"

#include <boost/json/value.hpp>
#include <utility>

#include "router/kubernetes/json.h"

namespace router::kubernetes {

namespace json = boost::json;

absl::StatusOr<ListPage> take_page(std::string_view body, std::vector<json::object>& into) {
  auto list = parse_object(body);
  if (!list.ok()) return list.status();
  json::value* items = list->if_contains("items");
  ListPage page;
  page.version = metadata_text(*list, "resourceVersion");
  page.next = metadata_text(*list, "continue");
  if (items == nullptr || page.version.empty()) return absl::DataLossError("is not a list");
  if (items->is_null()) return page;  // Go writes an empty list as null
  if (!items->is_array()) return absl::DataLossError("is not a list");
  for (json::value& item : items->get_array()) {
    if (!item.is_object()) return absl::DataLossError("is not a list of objects");
    into.push_back(std::move(item.get_object()));
  }
  return page;
}

}  // namespace router::kubernetes
