// Autoscaling rules against traces of arrivals: how many pod-seconds a rule needs so that at most so many requests are refused.
// Usage: bench_scaling DATA SEEDS [RULE...]
// Writes a line of CSV for each trace, number of slots, start of a pod, rule and target: the means over all seeds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>

#include "bench/scaling/rules.h"

namespace bench::scaling {
namespace {

constexpr int kTargets = 14;
constexpr double kTargetLeast = 0.25, kTargetMost = 1.6;

struct Workload {
  std::string name;
  int slots_most;  // in all pods
  std::vector<Trace> traces;
};

double target(int number) { return kTargetLeast * std::pow(kTargetMost / kTargetLeast, number / (kTargets - 1.0)); }

void run_target(const Workload& workload, const Pods& pods, const NamedRule& rule, double aim) {
  Result sum;
  double seconds = 0;
  for (const Trace& trace : workload.traces) {
    const std::unique_ptr<Rule> made = rule.make(pods, aim);
    const Result result = simulate(trace, pods, *made);
    sum.refused += result.refused;
    sum.pod_seconds += result.pod_seconds;
    sum.changes += result.changes;
    seconds += trace.back().arrival;
  }
  const auto runs = static_cast<double>(workload.traces.size());
  std::printf("%s,%d,%g,%s,%.4f,%.6f,%.1f,%.1f,%.1f\n", workload.name.c_str(), pods.slots, pods.start, rule.name.c_str(), aim,
              sum.refused / runs, sum.pod_seconds / runs, sum.changes / runs, seconds / runs);
}

void run(const Workload& workload, const std::vector<std::string>& names) {
  for (const int slots : {1, 4, 16}) {
    for (const double start : {10.0, 30.0, 60.0, 180.0}) {
      const Pods pods{.slots = slots, .start = start, .most = workload.slots_most / slots};
      for (const NamedRule& rule : all_rules()) {
        const bool chosen = names.empty() || std::find(names.begin(), names.end(), rule.name) != names.end();
        for (int number = 0; chosen && number < kTargets; ++number) run_target(workload, pods, rule, target(number));
      }
    }
  }
}

int run_all(const std::string& data, std::uint64_t seeds, const std::vector<std::string>& names) {
  std::puts("trace,slots,start,rule,target,refused,pod_seconds,changes,seconds");
  Workload conv{"conv", 320, {}}, code{"code", 80, {}}, made{"synthetic", 80, {}};
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    conv.traces.push_back(read_llm(data + "/AzureLLMInferenceTrace_conv.csv", seed));
    code.traces.push_back(read_llm(data + "/AzureLLMInferenceTrace_code.csv", seed));
    made.traces.push_back(synthetic(seed));
  }
  for (const Workload& workload : {std::cref(conv), std::cref(code), std::cref(made)}) run(workload, names);
  return 0;
}

}  // namespace
}  // namespace bench::scaling

int main(int count, char** arguments) {
  if (count < 3) {
    std::fputs("usage: bench_scaling DATA SEEDS [RULE...]\n", stderr);
    return 2;
  }
  try {
    return bench::scaling::run_all(arguments[1], std::strtoull(arguments[2], nullptr, 10), {arguments + 3, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_scaling: %s\n", error.what());
    return 1;
  }
}
