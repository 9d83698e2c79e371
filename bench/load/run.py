#!/usr/bin/env python3
"""What a request costs in the router, and in nginx and HAProxy doing the same. See docs/performance.md.

  run.py ROUTER_BINARY BUILD_DIR [--quick] [--rounds N] [--seconds N] [--logging off|on]

BUILD_DIR is a build with ROUTER_BENCH=ON: it holds the replica stub, and gets load.json.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

import checks
import processes
import system_calls
from proxies import Bench, find

HERE = pathlib.Path(__file__).parent
CONNECTIONS = (32, 256)
TRANSPORTS = ("plaintext", "tls")
WARM_UP_SECONDS = 0.7  # connections are made, buffers and caches filled; not measured
TAIL_SECONDS = 0.2     # the measurement ends before the load does
COUNT_SECONDS = 2      # of load while system calls are counted
METRICS = {  # what a row tells: digits to print, and whether less is better
    "cpu_us_per_request": (1, True),
    "requests_per_second": (0, False),
    "syscalls_per_request": (2, True),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="3 short rounds: under 3 minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of load in each measurement")
    parser.add_argument("--logging", choices=("off", "on"), default="off", help="access logs of all proxies")
    found = parser.parse_args()
    found.rounds = found.rounds or (3 if found.quick else 5)
    found.seconds = found.seconds or (2 if found.quick else 4)
    if found.rounds < 1 or found.seconds < 2:
        parser.error("at least 1 round of 2 seconds")
    return found


class Load:
    """wrk against one proxy; it must end without a single failed request."""

    def __init__(self, bench, name, proxy, transport, connections, seconds, core):
        self.what = f"{name}, {transport}, {connections} connections"
        url = f"https://127.0.0.1:{proxy.https}" if transport == "tls" else f"http://127.0.0.1:{proxy.http}"
        self.patience = seconds + 20
        self.popen = subprocess.Popen(
            ["taskset", "-c", str(core), find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "post.lua", url + checks.PATH],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=bench.environment())

    def finish(self):
        """How many requests were answered."""
        output = self.popen.communicate(timeout=self.patience)[0]
        counted = re.findall(r"^\{.*\}$", output, re.MULTILINE)
        checks.require(self.popen.returncode == 0 and counted, f"{self.what}: wrk said {output}")
        counts = json.loads(counted[-1])
        requests = counts.pop("requests")
        checks.require(requests > 0 and not any(counts.values()), f"{self.what}: failed requests: {counts}")
        return requests

    def abandon(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()


def measure(bench, name, proxy, transport, connections, seconds, core):
    load = Load(bench, name, proxy, transport, connections, seconds, core)
    try:
        end = time.monotonic() + seconds - TAIL_SECONDS
        time.sleep(WARM_UP_SECONDS)
        begun, cpu, requests = time.monotonic(), processes.cpu_seconds(proxy.pids), bench.stub.requests()
        time.sleep(end - begun)
        ended, cpu, requests = time.monotonic(), processes.cpu_seconds(proxy.pids) - cpu, bench.stub.requests() - requests
        answered = load.finish()
    finally:
        load.abandon()
    checks.require(requests > 0, f"{load.what}: no request in the time measured")
    return {"cpu_us_per_request": cpu / requests * 1e6, "requests_per_second": requests / (ended - begun),
            "busy": cpu / (ended - begun), "answered": answered}


def count_system_calls(bench, name, proxy, transport, connections, core):
    """(Who counted, system calls a request by name), those of making the connections included; None where nobody may count."""
    def load():
        before = bench.stub.requests()
        running = Load(bench, name, proxy, transport, connections, COUNT_SECONDS, core)
        try:
            running.finish()
        finally:
            running.abandon()
        return bench.stub.requests() - before

    return system_calls.count(proxy.pids, load)


def machine():
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    version = {program: subprocess.run([find(program), "-v"], capture_output=True, text=True, check=False) for program in ("nginx", "haproxy")}
    numbers = {program: re.search(r"[0-9]+\.[0-9]+\.[0-9]+", done.stdout + done.stderr)[0] for program, done in version.items()}
    return {"cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(), **numbers,
            "load_average": round(os.getloadavg()[0], 1)}


def spread(values):
    return (max(values) - min(values)) / statistics.median(values) if values else None


def make_row(workload, metric, rounds, logging):
    """Medians of the rounds, and how far the rounds of the least steady proxy lie apart, relative to its median."""
    median = {name: statistics.median(values) for name, values in rounds.items() if values}
    row = {"workload": "post-1k", **workload, "metric": metric, "logging": logging}
    row.update({name: round(value, 3) for name, value in median.items()})
    if "router" in median and {"nginx", "haproxy"} & set(median):
        peers = {name: median[name] for name in ("nginx", "haproxy") if name in median}
        best = (min if METRICS[metric][1] else max)(peers.values())
        row["ratio"] = round(median["router"] / best, 3)
        for name, value in peers.items():
            row[f"ratio_{name}"] = round(median["router"] / value, 3)
    row["spread"] = round(max(spread(values) for name, values in rounds.items() if values and name != "direct"), 3)
    row["rounds"] = {name: [round(value, 3) for value in values] for name, values in rounds.items() if values}
    return row


def print_rows(rows):
    print(f"\n{'':29}{'router':>9}{'nginx':>9}{'haproxy':>9}{'direct':>9}   {'/nginx':>7}{'/haproxy':>9}{'/best':>7}  spread")
    for metric, (digits, _) in METRICS.items():
        print(metric)
        for row in rows:
            if row["metric"] != metric:
                continue
            cells = "".join(f"{row[name]:>9.{digits}f}" if name in row else f"{'-':>9}" for name in ("router", "nginx", "haproxy", "direct"))
            ratios = "".join(f"{row[key]:>{width}.2f}" if key in row else f"{'-':>{width}}"
                             for key, width in (("ratio_nginx", 7), ("ratio_haproxy", 9), ("ratio", 7)))
            label = f"  {row['workload']} {row['transport']}, {row['connections']}"
            print(f"{label:29}{cells}   {ratios}  ±{row['spread'] * 50:.0f} %")


def workloads():
    return [{"transport": transport, "connections": connections} for transport in TRANSPORTS for connections in CONNECTIONS]


def measure_rounds(bench, proxies, options, core):
    """All proxies of a workload in turn, round after round, so that what disturbs the machine disturbs all of them."""
    rows, through_router, busiest = [], 0, []
    for workload in workloads():
        rounds = {metric: {name: [] for name in proxies} for metric in METRICS}
        for number in range(options.rounds):
            for name, proxy in proxies.items():
                if workload["transport"] == "tls" and not proxy.https:
                    continue
                got = measure(bench, name, proxy, **workload, seconds=options.seconds, core=core)
                through_router += got["answered"] if name == "router" else 0
                rounds["requests_per_second"][name].append(got["requests_per_second"])
                if name != "direct":
                    rounds["cpu_us_per_request"][name].append(got["cpu_us_per_request"])
                    busiest.append((got["busy"], name))
                print(f"{workload['transport']}, {workload['connections']}, round {number + 1}: {name:8}{got['cpu_us_per_request']:7.1f} us"
                      f" {got['requests_per_second']:8.0f}/s, busy {got['busy']:.0%}", file=sys.stderr)
        rows += [make_row(workload, metric, rounds[metric], options.logging) for metric in ("cpu_us_per_request", "requests_per_second")]
    return rows, through_router, busiest


def trace_all(bench, proxies, options, core):
    rows = []
    for transport in TRANSPORTS:
        workload = {"transport": transport, "connections": CONNECTIONS[0]}
        calls = {name: count_system_calls(bench, name, proxy, **workload, core=core) for name, proxy in proxies.items() if name != "direct"}
        if not all(calls.values()):
            print("system calls: neither perf nor strace may look here; not counted")
            return []
        tools = {tool for tool, _ in calls.values()}
        calls = {name: counted for name, (_, counted) in calls.items()}
        rows.append(make_row(workload, "syscalls_per_request", {name: [sum(each.values())] for name, each in calls.items()}, options.logging))
        rows[-1]["counted_by"] = " ".join(sorted(tools))
        rows[-1]["calls"] = {name: {call: round(count, 3) for call, count in each.items() if count >= 0.005} for name, each in calls.items()}
        print(f"\nsystem calls a request, {transport}, {CONNECTIONS[0]} connections (counted by {rows[-1]['counted_by']})")
        for name, each in calls.items():
            common = sorted(((count, call) for call, count in each.items() if count >= 0.02), reverse=True)
            print(f"  {name:8}{sum(each.values()):6.2f}  " + ", ".join(f"{call} {count:.2f}" for count, call in common))
    return rows


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what was started is ended, too
    cores = sorted(os.sched_getaffinity(0))
    checks.require(len(cores) >= 2, "two cores are needed: one for the proxy, one for the load and the replica")
    folder = options.build.resolve() / "load"
    about = machine()
    bench = Bench(options.router.resolve(), options.build.resolve() / "bench" / "bench_stub", folder, cores[-1], cores[0], options.logging)
    try:
        proxies = {"router": bench.router, "nginx": bench.nginx, "haproxy": bench.haproxy, "direct": bench.stub}
        checks.check_before(bench, proxies)
        traced = trace_all(bench, proxies, options, cores[0])
        rows, through_router, busiest = measure_rounds(bench, proxies, options, cores[0])
        checks.check_after(bench, proxies, through_router)
    finally:
        bench.stop()
    rows += traced
    result = options.build / "load.json"
    result.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")
    print_rows(rows)
    low, high = min(busiest), max(busiest)
    print(f"\nThe proxies' core was busy {low[0]:.0%} ({low[1]}) to {high[0]:.0%} ({high[1]}): below 100 % requests a second are the load's own limit.")
    print(f"Goal: CPU a request near or below the best peer's (/best <= 1.0). Written: {result}")


if __name__ == "__main__":
    main()
