#include "tls/certificate_choice.h"

#include <algorithm>
#include <map>
#include <set>

namespace router::tls {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

Selection valid_ones(const std::vector<Candidate>& candidates, sys_seconds at) {
  Selection selection;
  std::set<int> types;
  for (const Candidate& each : candidates) {
    if (each.is_valid(at) && types.insert(each.key_type).second) selection.push_back(each.index);
  }
  return selection;
}

Selection last_to_end(const std::vector<Candidate>& candidates) {
  std::map<int, const Candidate*> last;
  for (const Candidate& each : candidates) {
    const Candidate*& known = last[each.key_type];
    if (known == nullptr || each.not_after > known->not_after) known = &each;
  }
  Selection selection;
  for (const Candidate& each : candidates) {
    if (last[each.key_type] == &each) selection.push_back(each.index);
  }
  return selection;
}

}  // namespace

std::vector<Offer> offers_of(const std::vector<Candidate>& candidates) {
  std::set<sys_seconds> changes{sys_seconds::min()};
  for (const Candidate& each : candidates) {
    changes.insert(each.not_before);
    changes.insert(each.not_after + seconds(1));
  }
  std::vector<Offer> offers;
  for (const sys_seconds from : changes) {
    Offer offer{from, valid_ones(candidates, from), true};
    if (offer.selection.empty()) offer = {from, last_to_end(candidates), false};
    const bool differs = offers.empty() || offers.back().selection != offer.selection || offers.back().valid != offer.valid;
    if (differs) offers.push_back(std::move(offer));
  }
  return offers;
}

}  // namespace router::tls
