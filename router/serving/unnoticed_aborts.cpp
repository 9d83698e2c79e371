#include "router/serving/unnoticed_aborts.h"

#include <absl/strings/str_cat.h>

#include <new>

#include "router/base/log.h"

namespace router::serving {

void UnnoticedAborts::expired() {
  try {
    look();
  } catch (const std::bad_alloc&) {
    log::error("memory is short: the warning about unnoticed aborts is logged later");
  }
  start();
}

void UnnoticedAborts::look() {
  const TimePoint now = control_.now();
  std::erase_if(told_, [this](const auto& told) { return !live_.all().contains(told.first); });
  for (const auto& [key, live] : live_.all()) {
    const std::uint64_t aborts = live->metrics->aborts_unnoticed();
    if (aborts == 0) continue;
    Told& told = told_[key];
    const bool again = told.aborts == 0 || now - told.when >= kLogAgain;
    if (aborts == told.aborts || !again) continue;
    log::warning(absl::StrCat("deployment ", live->endpoint, "/", live->name, ": ", aborts - told.aborts,
                              " exchanges were given up and the pod kept its connection open beyond abort_wait_ms; ", kHint));
    told = {aborts, now};
  }
}

}  // namespace router::serving
