#!/usr/bin/env python3
"""What several routers that share slots cost, and how long requests wait in them. See docs/performance.md.

  fleet.py ROUTER_BINARY BUILD_DIR [--quick] [--parts A,B] [--rounds N] [--pairs N] [--arrivals N] [--utilisation U] [--mean-ms M] [--shares A/B/C]

BUILD_DIR is a build with ROUTER_BENCH=ON; fleet.json is written there. Parts: `waiting` (bench/placement/shared.py), `cost` (system calls,
allocations and instructions of one request that is sent on, at both routers, beside those of a local one), `rate` (bench/load/fleet_rate.py: CPU
time of such a request under load, in pairs). The exit status is 1 if a goal is missed, or if the
machine was too busy to judge the waits.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import sys

import checks
import fleet_cost
import fleet_rate
from proxies import ROOT, make_certificates
from run import words_of

sys.path.insert(0, str(ROOT / "bench" / "placement"))
import shared  # noqa: E402

PARTS = ("waiting", "cost", "rate")


def shares_of(text):
    found = tuple(float(word) for word in text.split("/"))
    if len(found) != 3 or min(found) <= 0:
        raise argparse.ArgumentTypeError(f"{text}: three shares, like 70/20/10")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="short rounds: about 5 minutes")
    parser.add_argument("--parts", type=words_of(PARTS), default=PARTS)
    parser.add_argument("--rounds", type=int, help="of waiting")
    parser.add_argument("--pairs", type=int, help="of rate; fewer than nine judge nothing")
    parser.add_argument("--arrivals", type=int, help="requests of each round of waiting")
    parser.add_argument("--utilisation", type=float, default=0.8)
    parser.add_argument("--mean-ms", type=float, default=50, help="of the service")
    parser.add_argument("--shares", type=shares_of, default=(1, 1, 1), help="of the three routers' clients: 70/20/10")
    parser.add_argument("--contenders", type=words_of(shared.CONTENDERS), default=shared.CONTENDERS)
    parser.add_argument("--seed", type=int, default=1)
    found = parser.parse_args()
    found.rounds = found.rounds or (3 if found.quick else 5)
    found.pairs = found.pairs or fleet_rate.PAIRS
    if found.pairs < 3:
        parser.error("at least 3 pairs")
    found.arrivals = found.arrivals or (1500 if found.quick else 6000)
    found.router, found.build = found.router.resolve(), found.build.resolve()
    found.folder = found.certificates = found.build / "fleet"
    return found


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all started processes are ended
    cores = sorted(os.sched_getaffinity(0))
    checks.require(len(cores) >= 2, "two cores are needed")
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    make_certificates(options.folder)
    parts = {"waiting": (lambda: shared.measure(options, cores), lambda found: shared.report(found, options)),
             "cost": (lambda: fleet_cost.measure(options), fleet_cost.report),
             "rate": (lambda: fleet_rate.measure(options, cores), fleet_rate.report)}
    found = {name: measure() for name, (measure, _) in parts.items() if name in options.parts}
    (options.build / "fleet.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"Load average: {os.getloadavg()[0]:.1f}")
    missed = [parts[name][1](figures) for name, figures in found.items()]
    sys.exit(1 if any(missed) else 0)


if __name__ == "__main__":
    main()
