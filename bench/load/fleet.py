#!/usr/bin/env python3
"""What several routers that share slots cost, and how long requests wait in them. See docs/performance.md.

  fleet.py ROUTER_BINARY BUILD_DIR [--quick] [--parts A,B] [--rounds N] [--arrivals N] [--utilisation U] [--mean-ms M] [--shares A/B/C]

BUILD_DIR is a build with ROUTER_BENCH=ON; fleet.json is written there. Parts: `waiting` (bench/placement/shared.py), `cost` (system calls,
allocations and instructions of one request that is sent on, at both routers, beside those of a local one), `rate` (CPU time of such a request
under load). The exit status is 1 if a goal is missed, or if the
machine was too busy to judge the waits.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import sys
import types

import cases
import checks
import fleet_cost
import loads
import processes
from proxies import ROOT, REPLICAS, Stub, make_certificates
from routers import Routers
from run import words_of

sys.path.insert(0, str(ROOT / "bench" / "placement"))
import shared  # noqa: E402

PARTS = ("waiting", "cost", "rate")
SLOTS = 1024          # of a replica while the rate is measured: nothing waits
CORES = 2             # of the home for which a rate is computed
RATE_MIN = 10_000     # requests of 1 KB a second, sent on to a home with so many cores


def shares_of(text):
    found = tuple(float(word) for word in text.split("/"))
    if len(found) != 3 or min(found) <= 0:
        raise argparse.ArgumentTypeError(f"{text}: three shares, like 70/20/10")
    return found


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="short rounds: about 3 minutes")
    parser.add_argument("--parts", type=words_of(PARTS), default=PARTS)
    parser.add_argument("--rounds", type=int, help="of each part")
    parser.add_argument("--arrivals", type=int, help="requests of each round of waiting")
    parser.add_argument("--utilisation", type=float, default=0.8)
    parser.add_argument("--mean-ms", type=float, default=50, help="of the service")
    parser.add_argument("--shares", type=shares_of, default=(1, 1, 1), help="of the three routers' clients: 70/20/10")
    parser.add_argument("--contenders", type=words_of(shared.CONTENDERS), default=shared.CONTENDERS)
    parser.add_argument("--seed", type=int, default=1)
    found = parser.parse_args()
    found.rounds = found.rounds or (3 if found.quick else 5)
    found.arrivals = found.arrivals or (1500 if found.quick else 6000)
    found.router, found.build = found.router.resolve(), found.build.resolve()
    found.folder = found.certificates = found.build / "fleet"
    return found


# --- CPU under load

def measure_rate(options, cores):
    """CPU microseconds of one request at the home and at the router that sends on, and the requests a second of that run. The home has a core of
    its own; the other router shares one with the load and the replicas."""
    folder = options.folder / "rate"
    folder.mkdir()
    key = "key-of-a-benchmark-of-rates"
    stub, routers = Stub(options.build / "bench" / "bench_stub", cores[0], folder, REPLICAS), None
    try:
        routers = Routers(options.router, folder / "fleet", cores[0], key, [{}, {}], replicas=[stub.ports], slots=SLOTS,
                          certificates=options.certificates)
        routers.wait_answered(key)
        processes.move(routers.home.pids, cores[-1])
        load = types.SimpleNamespace(stub=stub, load_core=cores[0], environment=lambda: os.environ | {"BENCH_KEY": key})
        rounds, runs = [], {"local": ("plaintext", routers.home), "local, TLS": ("tls", routers.home), "sent on": ("plaintext", routers.away)}
        for number in range(options.rounds):
            found = {}
            for name, (transport, to) in runs.items():
                case = cases.closed("post-1k", transport, cases.FEW)
                before = processes.cpu_seconds(routers.home.pids), stub.requests()
                got = loads.closed_loop(load, to, case, 1 if options.quick else 4)
                used, requests = processes.cpu_seconds(routers.home.pids) - before[0], stub.requests() - before[1]
                found[name] = {"home_us": used / requests * 1e6, "client_us": got["cpu_us_per_request"], "per_second": got["requests_per_second"]}
            rounds.append(found)
            print(f"rate, round {number + 1}: {found}", file=sys.stderr)
        return rounds
    finally:
        if routers is not None:
            routers.stop()
        stub.stop()


def report_rate(rounds):
    def median(name, figure):
        return statistics.median(one[name][figure] for one in rounds)
    home = median("sent on", "home_us")
    reached = CORES * 1e6 / home
    print(f"\nCPU of one 1 KB request at the home under load ({cases.FEW} connections), us")
    for name in ("local", "local, TLS"):
        ratio = statistics.median(one["sent on"]["home_us"] / one[name]["home_us"] for one in rounds)
        print(f"  {name:20}{median(name, 'home_us'):7.1f}   one that was sent on needs {ratio:.2f} of it")
    print(f"  {'sent on':20}{home:7.1f}   and {median('sent on', 'client_us'):.1f} at the other router; {median('sent on', 'per_second'):.0f} a second in this run")
    print(f"  a home with {CORES} cores is busy at {reached:.0f} requests a second; goal {RATE_MIN}: {'met' if reached >= RATE_MIN else 'MISSED'}")
    return reached < RATE_MIN


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
             "rate": (lambda: measure_rate(options, cores), report_rate)}
    found = {name: measure() for name, (measure, _) in parts.items() if name in options.parts}
    (options.build / "fleet.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"Load average: {os.getloadavg()[0]:.1f}")
    missed = [parts[name][1](figures) for name, figures in found.items()]
    sys.exit(1 if any(missed) else 0)


if __name__ == "__main__":
    main()
