#include <algorithm>
#include <boost/json/serialize.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "router/kubernetes/json.h"
#include "router/kubernetes/list_page.h"
#include "router/kubernetes/watch_events.h"
#include "tests/fuzz/support.h"

/// Input of an API server: the body of a watch, and a page of a list. The events of a watch must not depend on how its bytes
/// arrive. Accepted objects have the parts that are used later. The first byte chooses the sizes of the pieces.
namespace router::kubernetes {
namespace {

using fuzz::require;

/// The events of `body`, written again, as far as they can be read; `?` stands for one that cannot be read.
std::vector<std::string> events_of(std::string_view body, std::size_t piece) {
  EventLines lines;
  std::vector<std::string> events;
  for (std::size_t used = 0; used < body.size(); used += piece) {
    lines.bytes().append(body.substr(used, piece));
    while (const auto line = lines.next()) {
      require(line->find('\n') == line->npos);
      const auto event = parse_event(*line);
      events.push_back(event.ok() ? std::to_string(static_cast<int>(event->type)) + boost::json::serialize(event->object)
                                  : "?");
    }
    require(!lines.is_too_long());
  }
  return events;
}

void try_page(std::string_view body) {
  std::vector<boost::json::object> objects;
  const auto page = take_page(body, objects);
  if (!page.ok()) return;
  require(!page->version.empty());
  const auto list = parse_object(body);
  require(list.ok());
  const boost::json::value& items = list->at("items");
  require(objects.size() == (items.is_array() ? items.get_array().size() : 0));
}

}  // namespace
}  // namespace router::kubernetes

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view body = router::fuzz::text_of(data + 1, size - 1);
  const auto whole = router::kubernetes::events_of(body, std::max<std::size_t>(body.size(), 1));
  router::fuzz::require(router::kubernetes::events_of(body, data[0] % 64 + 1) == whole);
  router::kubernetes::try_page(body);
  return 0;
}
