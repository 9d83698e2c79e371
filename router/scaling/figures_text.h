#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "router/scaling/decide.h"

namespace router::scaling {

/// All figures as a JSON object, as the log and /status show them: whoever reads it can compute the decision again. Times are
/// in seconds. A number is written with all digits that it needs.
std::string figures_text(const Figures& figures);

/// Reads what `figures_text` wrote, in that order; nothing if it is anything else.
std::optional<Figures> read_figures(std::string_view text);

/// The name of a hindrance in that object; empty: none.
std::string_view name_of(Hindrance hindrance);

}  // namespace router::scaling
