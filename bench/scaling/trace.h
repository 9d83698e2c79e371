#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench::scaling {

struct Request {
  double arrival = 0;  // seconds since the begin of the trace
  double service = 0;  // seconds that it holds a slot
};

/// Ordered by arrival.
using Trace = std::vector<Request>;

/// A trace of data/. A prompt token takes 0.25 ms, a generated one 15 ms. Seed 0 is the trace itself; each other one puts its
/// minutes, five at a time, in another order: the same load and the same bursts, other histories.
Trace read_llm(const std::string& file, std::uint64_t seed);

/// One hour of 20 requests a second x (1 + 0.8 sin), and each quarter of an hour or so 2 to 6 times as many for 20 to 120 s.
/// The services are lognormal: mean 0.2 s, coefficient of variation 2.
Trace synthetic(std::uint64_t seed);

}  // namespace bench::scaling
