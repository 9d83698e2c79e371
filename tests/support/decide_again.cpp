// Computes decisions of the autoscaler again: each line of the input holds the figures of one, as the log shows them. Prints
// for each line `REPLICAS REASON WRITE` (1 or 0), or `unreadable`.

#include <iostream>
#include <string>

#include "router/scaling/decide.h"
#include "router/scaling/figures_text.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const std::optional<router::scaling::Figures> figures = router::scaling::read_figures(line);
    if (!figures) {
      std::cout << "unreadable\n";
      continue;
    }
    const router::scaling::Decision decision = router::scaling::decide(*figures);
    std::cout << decision.replicas << " " << router::scaling::name_of(decision.reason) << " " << decision.write << "\n";
  }
}
