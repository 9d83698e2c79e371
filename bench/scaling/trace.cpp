#include "bench/scaling/trace.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numbers>
#include <random>
#include <stdexcept>

namespace bench::scaling {
namespace {
constexpr double kHour = 3600;
constexpr double kBlock = 300;  // seconds that stay together
constexpr double kPerPromptToken = 0.00025;
constexpr double kPerGeneratedToken = 0.015;

struct Burst {
  double begin, end, factor;
};

std::vector<Burst> bursts(std::mt19937_64& random) {
  std::vector<Burst> all;
  std::exponential_distribution<> pause(1 / 900.0);
  std::uniform_real_distribution<> length(20, 120);
  std::uniform_real_distribution<> factor(2, 6);
  for (double at = pause(random); at < kHour; at += pause(random)) all.push_back({at, at + length(random), factor(random)});
  return all;
}

double burst_factor(const std::vector<Burst>& all, double at) {
  for (const Burst& each : all) {
    if (each.begin <= at && at < each.end) return each.factor;
  }
  return 1;
}

Trace shuffled(const Trace& trace, std::uint64_t seed) {
  const auto blocks = static_cast<std::size_t>(std::ceil(trace.back().arrival / kBlock));
  std::vector<std::size_t> place(blocks);
  for (std::size_t block = 0; block < blocks; ++block) place[block] = block;
  std::mt19937_64 random(seed);
  std::shuffle(place.begin(), place.end(), random);
  Trace made = trace;
  for (Request& each : made) {
    const auto block = std::min(blocks - 1, static_cast<std::size_t>(each.arrival / kBlock));
    each.arrival += kBlock * (static_cast<double>(place[block]) - static_cast<double>(block));
  }
  std::sort(made.begin(), made.end(), [](const Request& one, const Request& another) { return one.arrival < another.arrival; });
  return made;
}
}  // namespace

Trace read_llm(const std::string& file, std::uint64_t seed) {
  std::ifstream input(file);
  if (!input) throw std::runtime_error(file + " cannot be read");
  Trace trace;
  std::string line;
  std::getline(input, line);
  double first = -1;
  while (std::getline(input, line)) {
    int hour = 0, minute = 0, prompt = 0, generated = 0;
    double second = 0;
    if (std::sscanf(line.c_str(), "%*d-%*d-%*d %d:%d:%lf,%d,%d", &hour, &minute, &second, &prompt, &generated) != 5) continue;
    const double at = hour * kHour + minute * 60 + second;
    if (first < 0) first = at;
    trace.push_back({at - first, prompt * kPerPromptToken + generated * kPerGeneratedToken});
  }
  if (trace.empty()) throw std::runtime_error(file + " has no requests");
  return seed == 0 ? trace : shuffled(trace, seed);
}

Trace synthetic(std::uint64_t seed) {
  constexpr double kRate = 20, kMost = 1.8 * 6 * kRate, kMean = 0.2, kVariation = 2;
  std::mt19937_64 random(seed + 1000);
  const std::vector<Burst> all = bursts(random);
  const double sigma2 = std::log(1 + kVariation * kVariation);
  std::lognormal_distribution<> service(std::log(kMean) - sigma2 / 2, std::sqrt(sigma2));
  std::exponential_distribution<> pause(kMost);
  std::uniform_real_distribution<> part(0, kMost);
  Trace trace;
  for (double at = pause(random); at < kHour; at += pause(random)) {
    const double rate = kRate * (1 + 0.8 * std::sin(2 * std::numbers::pi * at / kHour)) * burst_factor(all, at);
    if (part(random) < rate) trace.push_back({at, service(random)});
  }
  return trace;
}

}  // namespace bench::scaling
