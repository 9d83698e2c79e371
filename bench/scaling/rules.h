#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/scaling/simulation.h"

namespace bench::scaling {

/// Makes a rule for one run with these pods, which aims at `target` requests for each slot.
using MakeRule = std::unique_ptr<Rule> (*)(const Pods& pods, double target);

struct NamedRule {
  std::string name;
  MakeRule make;
};

/// `ours` (router::scaling::Scaler itself) and its peers, which are written anew from what is published about them (peers.cpp).
const std::vector<NamedRule>& all_rules();

std::unique_ptr<Rule> make_ours(const Pods& pods, double target);
std::unique_ptr<Rule> make_azureml(const Pods& pods, double target);
std::unique_ptr<Rule> make_kpa(const Pods& pods, double target);
std::unique_ptr<Rule> make_hpa(const Pods& pods, double target);

}  // namespace bench::scaling
