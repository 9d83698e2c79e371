#!/usr/bin/env python3
"""What a request costs in CPU time, beside the router before a change: in interleaved pairs, each with its own replica.

  pairs.py ROUTER_BINARY BUILD_DIR --against BINARY [--workloads A,B] [--transports A,B] [--pairs N] [--seconds S] [--bound PERCENT]

The ratio is the geometric mean over the pairs, with the 95 % interval of its mean (Student's t over the logarithms). A row passes if the upper end
of the interval is within the bound, fails if the lower end is beyond it, and is undecided otherwise. The last row compares the memory of idle TLS
connections in the same way."""
import argparse
import json
import math
import os
import pathlib
import signal
import statistics
import sys

import cases
import checks
import loads
from proxies import Fleet
from run import words_of

T_95 = {3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262, 11: 2.228, 12: 2.201, 15: 2.145, 20: 2.093}  # of a number between two: that of the smaller one, which is wider
MEMORY_BOUND = 1.0  # percent


def interval(befores, afters):
    """(lower end, mean, upper end) of the ratio after / before."""
    logs = [math.log(after / before) for before, after in zip(befores, afters)]
    mean, count = statistics.mean(logs), len(logs)
    t = T_95[max(known for known in T_95 if known <= count)]
    reach = t * statistics.stdev(logs) / math.sqrt(count)
    return math.exp(mean - reach), math.exp(mean), math.exp(mean + reach)


def verdict(low, high, bound):
    if high <= 1 + bound / 100:
        return "pass"
    return "FAIL" if low > 1 + bound / 100 else "undecided"


class Pairs:
    def __init__(self, options):
        build = options.build.resolve()
        cores = sorted(os.sched_getaffinity(0))
        checks.require(len(cores) >= 2, "two cores are needed: one for the router, one for the load and the replicas")
        self.fleets, self.rows = {}, []
        try:
            for which, binary in (("before", options.against), ("after", options.router)):
                self.fleets[which] = Fleet(binary.resolve(), build, build / f"pairs-{which}", cores[-1], cores[0], ["router"])
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for fleet in self.fleets.values():
            fleet.stop()

    def measure(self, name, metric, pairs, once):
        found = {which: [] for which in self.fleets}
        for number in range(pairs):
            order = list(self.fleets) if number % 2 == 0 else list(reversed(self.fleets))  # neither is always the first one
            for which in order:
                found[which].append(once(self.fleets[which])[metric])
            print(f"{name}, pair {number + 1}: " + "  ".join(f"{which} {values[-1]:.2f}" for which, values in found.items()), file=sys.stderr)
        return found

    def row(self, name, found, bound):
        low, mean, high = interval(found["before"], found["after"])
        medians = {which: statistics.median(values) for which, values in found.items()}
        print(f"{name:42}{medians['before']:12.2f}{medians['after']:12.2f}{mean:9.3f}   {low:.3f} to {high:.3f}  {verdict(low, high, bound)}", flush=True)
        self.rows.append({"row": name, **found, "ratio": mean, "interval": [low, high], "verdict": verdict(low, high, bound)})


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path, required=True, help="the binary before the change (`./dev bench --pairs` takes a commit, too)")
    parser.add_argument("--workloads", type=words_of(loads.WORKLOADS), default=("post-1k", "post-100k", "answer-1m"))
    parser.add_argument("--transports", type=words_of(cases.TRANSPORTS), default=cases.TRANSPORTS)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--bound", type=float, default=2, help="percent of CPU time")
    found = parser.parse_args()
    if found.pairs < min(T_95):
        parser.error(f"at least {min(T_95)} pairs")
    return found


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all started processes are ended
    pairs = Pairs(options)
    try:
        print(f"{'CPU of a request, us':42}{'before':>12}{'after':>12}{'ratio':>9}   95 % interval   bound +{options.bound:g} %")
        for workload in options.workloads:
            for transport in options.transports:
                case = cases.closed(workload, transport, cases.FEW)
                pairs.row(f"{case}", pairs.measure(f"{case}", "cpu_us_per_request", options.pairs, lambda fleet, case=case: loads.closed_loop(
                    fleet, fleet.get("router"), case, options.seconds)), options.bound)
        for fleet in pairs.fleets.values():
            fleet.keep_only([])
        name = "bytes of an idle TLS connection"
        pairs.row(name, pairs.measure(name, "bytes_per_idle_tls_connection", options.pairs, lambda fleet: loads.idle_memory(fleet, "router")), MEMORY_BOUND)
    finally:
        pairs.stop()
    (options.build / "pairs.json").write_text(json.dumps(pairs.rows, indent=1) + "\n")
    sys.exit(1 if any(row["verdict"] == "FAIL" for row in pairs.rows) else 0)


if __name__ == "__main__":
    main()
