"""How long requests wait, and in which order they are served, when several proxies share the replicas: three routers of one fleet, one router,
three HAProxys that have a third of the replicas each, and one HAProxy. Each plan of arrivals is split among the proxies' clients.

All proxies of a round run at the same time, each with replicas of its own, which only sleep. The waits of a contender are compared with those
of the router alone in the same round."""
import json
import os
import random
import statistics
import subprocess
import sys

import checks
import placement
import processes
from proxies import ENDPOINT, Proxy, Stub, find
from routers import Routers

REPLICAS = 9              # of one slot: a third is a whole number
CONTENDERS = ("three routers", "one router", "three HAProxys", "one HAProxy")
CONNECTIONS = 3000        # of each client, at most
ROUND_TRIP_NS = 500_000   # between two routers, with some reserve: what arrives closer together has no order
TOLERANCE_NS = ROUND_TRIP_NS + 1_000_000
WAITED_NS = 1_000_000     # from its sending to its begin at the replica; less is the way there
P99_MAX = 1.25            # three routers to one
OUT_OF_ORDER_MAX = 0.001  # share of the requests that waited
EARLIER_MAX_MS = 20       # nobody is served before a request that arrived that much earlier


def write_plans(folder, options, seed, shares):
    """One plan for each share of the clients. Returns their paths and the services (ns), by id: the plans follow one another."""
    numbers = random.Random(f"shared {seed}")
    rate = REPLICAS * options.utilisation / (options.mean_ms / 1000)
    lines = [[] for _ in shares]
    at = 0.0
    for _ in range(options.arrivals):
        at += numbers.expovariate(rate)
        work = max(1, round(placement.service_ms("log-normal", numbers) * 1000 * options.mean_ms / placement.MEAN_MS))
        lines[numbers.choices(range(len(shares)), shares)[0]].append((at * 1e9, work))
    paths = []
    for number, own in enumerate(lines):
        paths.append(folder / f"{seed}-{len(shares)}-{number}.plan")
        paths[-1].write_text("".join(f"{when:.0f} {work}\n" for when, work in own))
    return paths, [work * 1000 for own in lines for _, work in own]


def order(sent, started):
    """(requests that waited, those served before one that arrived more than TOLERANCE_NS earlier, by how much at most in ms)"""
    waited = sum(1 for number, at in started.items() if at - sent[number] > WAITED_NS)
    found, most = 0, 0
    earliest = float("inf")  # arrival among those that began later
    for number in sorted(started, key=started.get, reverse=True):
        if sent[number] - earliest > TOLERANCE_NS:
            found, most = found + 1, max(most, sent[number] - earliest)
        earliest = min(earliest, sent[number])
    return waited, found, most / 1e6


class Trial:
    """One plan through one contender."""

    def __init__(self, name, options, folder, cores, seed):
        folder.mkdir(parents=True)
        self.name, self.folder, self.options, self.clients, self.proxies = name, folder, options, [], []
        self.key = "key-of-a-benchmark-that-waits"
        self.stub = Stub(options.build / "bench" / "bench_stub", cores[0], folder, REPLICAS, folder / "served")
        try:
            self._start(folder, cores[-1])
            for proxy in self.proxies:
                checks.wait_until(lambda: checks.answers_score(proxy.http, self.key), f"{name} answers 200")  # noqa: B023
        except BaseException:
            self.end()
            raise
        self.plans, self.work = write_plans(folder, options, seed, options.shares if len(self.proxies) > 1 else (1,))

    def _start(self, folder, core):
        count = 3 if "three" in self.name else 1
        if self.name == "three routers":
            self.proxies = Routers(self.options.router, folder / "fleet", core, self.key, [{}] * 3, replicas=[self.stub.ports], slots=1,
                                   certificates=self.options.certificates).all
            return
        program = self.options.router if "router" in self.name else find("haproxy")
        for number in range(count):
            self.proxies.append(Proxy("router" if "router" in self.name else "haproxy", program, folder / f"proxy-{number}", core, self.key,
                                      [self.stub.ports[number::count]], slots=1, certificates=self.options.certificates))

    def begin(self):
        first = 0
        environment = os.environ | {"BENCH_KEY": self.key}
        for number, (proxy, plan) in enumerate(zip(self.proxies, self.plans)):
            command = ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[0]), self.options.build / "bench" / "bench_client", "steady",
                       "--port", proxy.http, "--plan", plan, "--record", self.folder / f"sent-{number}", "--connections", CONNECTIONS,
                       "--body", 100, "--path", f"/api/v1/endpoint/{ENDPOINT}/score", "--first", first]
            self.clients.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                                 env=environment))
            first += len(plan.read_text().splitlines())

    def finish(self, patience):
        outputs = [client.communicate(timeout=patience)[0] for client in self.clients]
        for client, output in zip(self.clients, outputs):
            checks.require(client.returncode == 0, f"{self.name}: {output}")
        for proxy in self.proxies:
            proxy.must_run()
        self.end()  # the stub's record is complete now
        sent = {}
        for number in range(len(self.clients)):
            lines = map(str.split, (self.folder / f"sent-{number}").read_text().splitlines())
            sent |= {int(words[0]): int(words[2]) for words in lines}
        started = {int(words[0]): int(words[3]) for words in map(str.split, (self.folder / "served").read_text().splitlines())}
        checks.require(len(sent) == len(started) == len(self.work), f"{self.name}: {len(self.work)} planned, {len(started)} served")
        ideal = placement.ideal_waits([(number, time, self.work[number]) for number, time in sent.items()], REPLICAS)
        counted = sorted(sent, key=sent.get)[int(len(sent) * placement.WARM_UP):]
        waited, out_of_order, earlier_ms = order(sent, started)
        return {"p99_ms": placement.percentile([(started[number] - sent[number]) / 1e6 for number in counted], 0.99),
                "ideal_p99_ms": placement.percentile([ideal[number] / 1e6 for number in counted], 0.99),
                "late_ms": max(json.loads(output)["sent_late_p99_us"] for output in outputs) / 1000,
                "waited": waited, "out_of_order": out_of_order, "earlier_ms": earlier_ms}

    def end(self):
        for client in self.clients:
            if client.poll() is None:
                client.kill()
                client.wait()
        for process in (*self.proxies, self.stub):
            if process.popen.poll() is None:
                process.stop()


def measure(options, cores):
    """Returns {contender: [figures of each round]}."""
    found, idlest = {name: [] for name in options.contenders}, 1.0
    for number in range(options.rounds):
        trials = {}
        try:
            for name in options.contenders:
                trials[name] = Trial(name, options, options.folder / f"{number}-{name.replace(' ', '-')}", cores, options.seed + number)
            idle = processes.Idle()
            for trial in trials.values():
                trial.begin()
            patience = options.arrivals / (REPLICAS * options.utilisation * 1000 / options.mean_ms) * 2 + 120
            for name, trial in trials.items():
                found[name].append(trial.finish(patience))
            idlest = min(idlest, idle.share())
        finally:
            for trial in trials.values():
                trial.end()
        print(f"waiting, round {number + 1}: idle {idlest:.0%} at the least  " + "  ".join(
            f"{name} {rounds[-1]['p99_ms']:.1f} ms (ideal {rounds[-1]['ideal_p99_ms']:.1f}, sent late {rounds[-1]['late_ms']:.2f}, "
            f"{rounds[-1]['out_of_order']} of {rounds[-1]['waited']} out of order, at most {rounds[-1]['earlier_ms']:.1f} ms)"
            for name, rounds in found.items()), file=sys.stderr)
    return {"idle": idlest, "rounds": found}


def print_order(name, rounds):
    """Returns the share of those that waited and were served before one that had arrived earlier, and by how many milliseconds at most."""
    waited, out, earlier = (sum(one["waited"] for one in rounds), sum(one["out_of_order"] for one in rounds),
                            max(one["earlier_ms"] for one in rounds))
    print(f"  {name}, order: {out} of {waited} that waited were served before one that arrived {TOLERANCE_NS / 1e6} ms earlier or more, "
          f"by at most {earlier:.1f} ms")
    return out / max(waited, 1), earlier


def print_goals(goals, measured):
    """Prints {goal: whether it is met}. True if one is missed, or if nothing is known: on a busy machine the processes wait for one another."""
    late = max(one["late_ms"] for rounds in measured["rounds"].values() for one in rounds)
    judged = measured["idle"] >= placement.IDLE_ENOUGH and late <= placement.LATE_ENOUGH_MS
    print(f"  The machine was idle {measured['idle']:.0%} at the least; 99 % of requests were sent within {late:.2f} ms of their time."
          + ("" if judged else " THAT IS TOO BUSY: no verdict."))
    for goal, met in goals.items():
        print(f"  {goal}: {'met' if met else 'MISSED' if judged else 'not met, no verdict'}")
    return not judged or not all(goals.values())


def report(measured, options):
    """Prints the table. True if a goal is missed."""
    found = measured["rounds"]
    print(f"\nwaiting, p99 in ms: {REPLICAS} replicas with one slot, log-normal {options.mean_ms:g} ms, {options.utilisation:.0%}, "
          f"{options.arrivals} arrivals, clients {'/'.join(map(str, options.shares))}, median of {options.rounds}")
    base = "one router" if "one router" in found else next(iter(found))
    ratios = {}
    for name, rounds in found.items():
        ratios[name] = statistics.median(one["p99_ms"] / max(other["p99_ms"], 0.001) for one, other in zip(rounds, found[base]))
        ideal = statistics.median(one["p99_ms"] / max(one["ideal_p99_ms"], 0.001) for one in rounds)
        print(f"  {name:16}{statistics.median(one['p99_ms'] for one in rounds):10.2f}   {ratios[name]:6.2f} of {base}   {ideal:6.2f} of the ideal")
    goals = {}
    if "three routers" in found:
        share, earlier = print_order("three routers", found["three routers"])
        allowed = OUT_OF_ORDER_MAX
        if base == "one router":
            goals[f"p99 at most {P99_MAX} of one router's"] = ratios["three routers"] <= P99_MAX
            # One router serves strictly in order: what is out of order there is what the client cannot tell better.
            allowed = max(allowed, print_order("one router", found["one router"])[0])
        goals[f"at most {allowed:.2%} out of order, none by {EARLIER_MAX_MS} ms"] = share <= allowed and earlier <= EARLIER_MAX_MS
    return print_goals(goals, measured)
