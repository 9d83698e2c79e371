"""Shows the benefit of choosing a replica only when one is free: how long requests wait, compared with proxies that choose at once.

Eight replicas serve one request at a time each. A plan of arrivals and service times goes through each proxy; the replicas' stub
records when the service of each request began. The ideal for comparison is one queue in front of eight servers, in order of arrival,
computed from the actual arrivals and the same service times.
"""
import heapq
import itertools
import json
import math
import os
import random
import secrets
import shutil
import statistics
import subprocess
import sys

import checks
import processes
from proxies import ENDPOINT, Proxy, Stub, envoy_binary, find, make_certificates

REPLICAS = 8
MEAN_MS = 50
DISTRIBUTIONS = ("constant", "exponential", "log-normal")
VARIATION = 2                  # of log-normal: standard deviation over mean
UTILISATIONS = (0.5, 0.8, 0.95)
SEEDS = (1, 2, 3)
ARRIVALS = 20_000
QUICK_ARRIVALS = 800
CONNECTIONS = 6_000            # that the client may open: more than requests that ever wait
WARM_UP = 0.05                 # share of the arrivals that does not count, since the queue is empty at first
IDLE_ENOUGH = 0.5              # share of the machine; with less, the processes wait for one another
LATE_ENOUGH_MS = 2             # p99 of how late the client sends
SLOTS = {  # of a replica: one if the proxy can queue the others, otherwise no limit: nginx and Envoy would refuse them
    "router": 1, "haproxy": 1, "nginx": 0, "envoy": 10_000}


def service_ms(distribution, numbers):
    if distribution == "constant":
        return MEAN_MS
    if distribution == "exponential":
        return numbers.expovariate(1 / MEAN_MS)
    sigma = math.sqrt(math.log(1 + VARIATION ** 2))
    return numbers.lognormvariate(math.log(MEAN_MS) - sigma ** 2 / 2, sigma)


def write_plan(path, distribution, utilisation, seed, arrivals):
    numbers = random.Random(f"{distribution} {utilisation} {seed}")
    rate = REPLICAS * utilisation / (MEAN_MS / 1000)
    at = 0.0
    with path.open("w") as file:
        for _ in range(arrivals):
            at += numbers.expovariate(rate)
            file.write(f"{at * 1e9:.0f} {max(1, round(service_ms(distribution, numbers) * 1000))}\n")


def ideal_waits(arrivals, replicas=REPLICAS):
    """Nanoseconds that each of `arrivals` (id, time, service) waits in one queue in front of the replicas; ties in the order of ids."""
    free = [0] * replicas
    waits = {}
    for number, time, service in sorted(arrivals, key=lambda each: (each[1], each[0])):
        start = max(time, heapq.heappop(free))
        waits[number] = start - time
        heapq.heappush(free, start + service)
    return waits


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Trial:
    """One plan through one proxy, with a stub and a client of its own."""

    def __init__(self, name, program, build, folder, cores, plan, key):
        self.name, self.folder, self.plan = name, folder, plan
        folder.mkdir(parents=True)
        self.proxy = self.client = None
        self.stub = Stub(build / "bench" / "bench_stub", cores[0], folder, REPLICAS, folder / "served")
        try:
            self.proxy = Proxy(name, program, folder / "proxy", cores[-1], key, [self.stub.ports], slots=SLOTS[name], certificates=folder.parent)
            checks.wait_until(lambda: checks.answers_score(self.proxy.http, key), f"{name} answers 200")
        except BaseException:
            self.end()
            raise
        self.command = ["taskset", "-c", str(cores[0]), build / "bench" / "bench_client", "steady", "--port", str(self.proxy.http), "--plan", plan,
                        "--record", folder / "sent", "--connections", str(CONNECTIONS), "--body", "100",
                        "--path", f"/api/v1/endpoint/{ENDPOINT}/score"]
        self.environment = os.environ | {"BENCH_KEY": key}

    def begin(self):
        self.client = subprocess.Popen(list(map(str, self.command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment)

    def finish(self, patience):
        """Waits for the end. Returns the mean and the p99 of the waits (ms), with the proxy and in the ideal."""
        output = self.client.communicate(timeout=patience)[0]
        checks.require(self.client.returncode == 0, f"placement, {self.name}: {output}")
        self.late_ms = json.loads(output)["sent_late_p99_us"] / 1000
        self.proxy.must_run()
        self.end()  # the stub's record is complete now
        work = [int(line.split()[1]) * 1000 for line in self.plan.read_text().splitlines()]
        sent = {int(words[0]): int(words[2]) for words in map(str.split, (self.folder / "sent").read_text().splitlines())}
        started = {int(words[0]): int(words[3]) for words in map(str.split, (self.folder / "served").read_text().splitlines())}
        checks.require(len(sent) == len(started) == len(work), f"placement, {self.name}: {len(work)} planned, {len(started)} served")
        ideal = ideal_waits([(number, time, work[number]) for number, time in sent.items()])
        counted = range(int(len(work) * WARM_UP), len(work))
        waits = [(started[number] - sent[number]) / 1e6 for number in counted]
        ideal_ms = [ideal[number] / 1e6 for number in counted]
        return {"mean": statistics.mean(waits), "p99": percentile(waits, 0.99),
                "ideal_mean": statistics.mean(ideal_ms), "ideal_p99": percentile(ideal_ms, 0.99)}

    def end(self):
        if self.client is not None and self.client.poll() is None:
            self.client.kill()
            self.client.wait()
        for process in (self.proxy, self.stub):
            if process is not None and process.popen.poll() is None:
                process.stop()


def measure_setting(trials, arrivals, utilisation):
    """Runs all trials of a setting at the same time. Returns their waits, the idle share of the machine, and how late requests were sent."""
    patience = arrivals / (REPLICAS * utilisation * 1000 / MEAN_MS) + 120
    idle = processes.Idle()
    try:
        for trial in trials.values():
            trial.begin()
        found = {key: trial.finish(patience) for key, trial in trials.items()}
    finally:
        for trial in trials.values():
            trial.end()
    return found, idle.share(), max(trial.late_ms for trial in trials.values())


def make_rows(distribution, utilisation, found, names, seeds):
    rows = []
    for metric, figure in (("mean_wait_ms", "mean"), ("p99_wait_ms", "p99")):
        row = {"workload": "placement", "transport": "plaintext", "distribution": distribution, "utilisation": utilisation, "metric": metric}
        row["ideal"] = round(statistics.median(found[name, seed][f"ideal_{figure}"] for name in names for seed in seeds), 3)
        row["rounds"] = {}
        for name in names:
            values = [found[name, seed][figure] for seed in seeds]
            ratios = [found[name, seed][figure] / max(found[name, seed][f"ideal_{figure}"], 1e-6) for seed in seeds]
            row[name] = round(statistics.median(values), 3)
            row[f"over_ideal_{name}"] = round(statistics.median(ratios), 3)
            row["rounds"][name] = [round(value, 3) for value in values]
            # With half the replicas free hardly any request waits, and a ratio to almost 0 says nothing.
            if name == "router" and utilisation >= 0.8:
                row["ideal_ratio"], row["ideal_spread"] = round(statistics.median(ratios), 3), round((max(ratios) - min(ratios)) / 2, 3)
        rows.append(row)
    return rows


def measure(router, build, names, cores, quick, arrivals=None):
    """Returns rows like those of the load benchmark, and a remark about the run."""
    folder = build / "placement"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_certificates(folder)
    key = secrets.token_urlsafe(32)
    programs = {"router": router, "envoy": envoy_binary()} | {name: find(name) for name in ("nginx", "haproxy") if name in names}
    names = [name for name in names if programs[name]]
    settings = [("exponential", 0.8)] if quick else list(itertools.product(DISTRIBUTIONS, UTILISATIONS))
    seeds = SEEDS[:1] if quick else SEEDS
    arrivals = arrivals or (QUICK_ARRIVALS if quick else ARRIVALS)
    rows, idlest, latest = [], 1.0, 0.0
    for number, (distribution, utilisation) in enumerate(settings):
        trials = {}
        try:
            for seed in seeds:
                plan = folder / f"{number}-{seed}.plan"
                write_plan(plan, distribution, utilisation, seed, arrivals)
                for name in names:
                    trials[name, seed] = Trial(name, programs[name], build, folder / f"{number}-{seed}-{name}", cores, plan, key)
            found, idle, late = measure_setting(trials, arrivals, utilisation)
        finally:
            for trial in trials.values():
                trial.end()
        idlest, latest = min(idlest, idle), max(latest, late)
        rows += make_rows(distribution, utilisation, found, names, seeds)
        print(f"placement, {distribution}, {utilisation:.0%}: idle {idle:.0%}, sent late at most {late:.2f} ms (p99)  " + "  ".join(
            f"{name} {rows[-2][name]:.2f} ms" for name in names) + f"  ideal {rows[-2]['ideal']:.2f} ms", file=sys.stderr)
    words = (f"Placement: {len(names) * len(seeds)} proxies with {REPLICAS} replicas each ran at the same time; the machine was idle "
             f"{idlest:.0%} at the least, and 99 % of requests were sent within {latest:.2f} ms of their time.")
    if idlest < IDLE_ENOUGH or latest > LATE_ENOUGH_MS:
        words += " THAT IS TOO BUSY: waits are not the proxies' alone."
    return rows, words


def print_table(rows, names):
    print(f"\n{'waiting for a replica, ms':32}" + "".join(f"{name:>10}" for name in (*names, "ideal")) + "   over the ideal: " + ", ".join(names))
    for row in rows:
        cells = "".join(f"{row[name]:>10.2f}" if name in row else f"{'-':>10}" for name in (*names, "ideal"))
        ratios = "  ".join(f"{row[f'over_ideal_{name}']:.2f}" for name in names if f"over_ideal_{name}" in row)
        spread = f"  ±{row['ideal_spread']:.2f}" if "ideal_spread" in row else ""
        print(f"  {row['distribution']}, {row['utilisation']:.0%}, {row['metric'].split('_')[0]:10}".ljust(32) + cells + f"   {ratios}{spread}")
