"""The CPU time of one request that is sent on, at both routers, beside that of a local one at the home: in interleaved pairs.

Both requests of a pair go through the same home process, which has a core of its own, in two ways:
- `direct`: bench_client speaks as another router, so for both requests the other core has the load and the replicas and nothing else.
- `through`: another router sends on. It shares the other core, and so both requests come at the same fixed rate: the less a home has to do, the
  more often it sleeps and wakes for each request.

CPU time without load (beats between routers, probes, clocks) is measured first and subtracted from each run for as long as that took. Other work on
the home's core makes both requests dearer by about as much, and so their ratio smaller. The home gets precedence there, where that is allowed (root);
where it waits for its core all the same, nothing is judged."""
import os
import statistics
import subprocess
import sys
import time
import types
import uuid

import cases
import checks
import loads
import processes
from pairs import interval, verdict
from proxies import ENDPOINT, REPLICAS, Stub
from routers import Routers

SLOTS = 1024            # of a replica: nothing waits
CORES = 2               # of the home for which a rate is computed
RATE_MIN = 10_000       # requests of 1 KB a second, sent on to a home with so many cores
HOME_MAX = 20           # percent that a request which was sent on may cost the home more than a local one over TLS
RATE_SHARE = 0.6        # of the rate that the load reaches through the other router: the fixed rate
PAIRS = 9
WAITED_MAX = 0.1        # s in each second that the home may wait for its core
WARM_UP_SECONDS = 0.6   # connections, buffers, caches
IDLE_SECONDS = 3
FIGURES = ("user", "system", "all")
BODY = 1024             # bytes
KEY = "key-of-a-benchmark-of-rates"


class Used:
    """CPU microseconds of a process by request, in user mode, in the kernel and in all, between `begin` and `end`."""

    def __init__(self, pids, idle=None):
        self.pids, self.idle = pids, idle or dict.fromkeys(FIGURES, 0.0)

    def begin(self):
        self.begun, self.before = time.monotonic(), processes.cpu_seconds_by_mode(self.pids)

    def end(self):
        passed = time.monotonic() - self.begun
        now = processes.cpu_seconds_by_mode(self.pids)
        self.seconds = {figure: now[figure] - self.before[figure] - self.idle[figure] * passed for figure in FIGURES}
        self.per_second = {figure: (now[figure] - self.before[figure]) / passed for figure in FIGURES}


class Rates:
    """Two routers of one fleet, the replicas and the load."""

    def __init__(self, options, cores):
        self.options, self.folder = options, options.folder / "rate"
        self.folder.mkdir()
        self.routers, self.stub = None, Stub(options.build / "bench" / "bench_stub", cores[0], self.folder, REPLICAS)
        try:
            self.routers = Routers(options.router, self.folder / "fleet", cores[0], KEY, [{"start_new_session": True}, {}],
                                   replicas=[self.stub.ports], slots=SLOTS, certificates=options.certificates)
            self.routers.wait_answered(KEY)
            processes.move(self.routers.home.pids, cores[-1])
            processes.precede(self.routers.home.popen.pid)
            environment = os.environ | {"BENCH_KEY": KEY, "BENCH_FLEET_KEY": self.routers.fleet_key}
            self.load = types.SimpleNamespace(load_core=cores[0], client=options.build / "bench" / "bench_client", environment=lambda: environment)
            self.idle = {name: self.measure_idle(router.pids) for name, router in (("home", self.routers.home), ("away", self.routers.away))}
        except BaseException:
            self.stop()
            raise

    def stop(self):
        if self.routers is not None:
            self.routers.stop()
        self.stub.stop()

    @staticmethod
    def measure_idle(pids):
        used = Used(pids)
        used.begin()
        time.sleep(IDLE_SECONDS)
        used.end()
        return used.per_second

    def command(self, name, seconds, rate):
        """The load. `rate` 0: as many as its connections carry."""
        home, away = self.routers.home, self.routers.away
        member = types.SimpleNamespace(https={"member": self.routers.home_port})
        facts = f"{self.routers.home_id} 0 - 1 - /{ENDPOINT}/blue\t127.0.0.1\thttp\t127.0.0.1:{away.http}\t1.1 router-1\t{uuid.uuid4()}"
        to, tls, more = {"sent on": (away, "", {}), "sent on, direct": (member, "member", {"facts": facts}),
                         "local, TLS": (home, "ecdsa", {}), "local": (home, "", {})}[name]
        more |= {"path": "/score"} if more else {"path": loads.PATH}
        more |= {"rate": rate} if rate else {}
        return loads.client_command(self.load, to, "steady" if rate else "closed", tls, seconds=seconds, connections=cases.FEW, body=BODY, **more)

    def measure(self, name, seconds, rate=0):
        """CPU us of one request at the home and, if sent on, at the other router."""
        used = {"home": Used(self.routers.home.pids, self.idle["home"]), "away": Used(self.routers.away.pids, self.idle["away"])}
        whole = WARM_UP_SECONDS + seconds + loads.TAIL_SECONDS
        run = subprocess.Popen(self.command(name, whole, rate), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=self.load.environment())
        try:
            time.sleep(WARM_UP_SECONDS)
            requests, begun, waited = self.stub.requests(), time.monotonic(), processes.waited_seconds(self.routers.home.pids)
            for each in used.values():
                each.begin()
            time.sleep(seconds)
            for each in used.values():
                each.end()
            requests, passed = self.stub.requests() - requests, time.monotonic() - begun
            waited = processes.waited_seconds(self.routers.home.pids) - waited
            output = run.communicate(timeout=whole + 90)[0]
            checks.require(run.returncode == 0 and requests > 0, f"{name}: bench_client printed {output}")
        finally:
            if run.poll() is None:
                run.kill()
                run.wait()
        found = {who: {figure: each.seconds[figure] / requests * 1e6 for figure in FIGURES} for who, each in used.items()}
        return found | {"per_second": requests / passed, "waited": waited / passed}

    def pair(self, number, names, rate=0):
        """`names`: what was sent on, then what is local."""
        found = {}
        for name in names if number % 2 == 0 else reversed(names):  # neither is always the first one
            found[name] = self.measure(name, 1 if self.options.quick else 2, rate)
        shown = "  ".join(f"{name} {found[name]['home']['all']:.1f}" for name in names)
        print(f"CPU us at the home, pair {number + 1}: {shown}", file=sys.stderr)
        return {name: found[name] for name in names}


def measure(options, cores):
    rates = Rates(options, cores)
    try:
        rate = int(rates.measure("sent on", 2)["per_second"] * RATE_SHARE) // 100 * 100
        found = {"idle": rates.idle, "rate": rate, "direct": [], "through": []}
        for number in range(options.pairs):
            found["direct"].append(rates.pair(number, ("sent on, direct", "local, TLS", "local")))
            found["through"].append(rates.pair(number, ("sent on", "local, TLS"), rate))
        return found
    finally:
        rates.stop()


def print_rows(title, rounds):
    """Prints what was measured in one way. Returns the verdict; fewer than nine pairs judge nothing."""
    sent_on, *others = rounds[0]

    def median(name, who, figure):
        return statistics.median(one[name][who][figure] for one in rounds)
    waited = statistics.median(one[name]["waited"] for one in rounds for name in one)
    print(f"{title}, {len(rounds)} pairs; the home waited {waited:.2f} s a second for its core")
    print(f"  {'':28}" + "".join(f"{figure:>9}" for figure in FIGURES) + f"{'a second':>11}")
    for line, name, who in [(name, name, "home") for name in rounds[0]] + [("sent on: the other router", sent_on, "away")]:
        per_second = statistics.median(one[name]["per_second"] for one in rounds)
        if median(name, who, "all") > 1:  # it was not asked
            print(f"  {line:28}" + "".join(f"{median(name, who, figure):>9.1f}" for figure in FIGURES) + f"{per_second:>11.0f}")
    result = None
    for other in others:
        for figure in FIGURES:
            values = [[one[name]["home"][figure] for one in rounds] for name in (other, sent_on)]
            if min(map(min, values)) <= 0:
                print(f"  the home, to {other}, {figure}: the rounds are too short for the kernel's ticks")
                continue
            low, mean, high = interval(*values)
            line = f"{f'  the home, to {other}, {figure}':40}{mean:6.3f}   95 %: {low:.3f} to {high:.3f}"
            if len(rounds) >= PAIRS and (other, figure) == ("local, TLS", "all"):
                result = verdict(low, high, HOME_MAX) if waited <= WAITED_MAX else "undecided, the machine was busy"
                line += f"   at most {1 + HOME_MAX / 100:.2f}: {result}"
            print(line)
    return result


def report(found):
    """True if a goal is missed."""
    idle = found["idle"]["home"]["all"] * 1e3
    print(f"\nCPU of one 1 KB request, us ({cases.FEW} connections; {idle:.1f} ms a second without load are subtracted)")
    verdicts = [print_rows("bench_client as the other router, as many as possible", found["direct"]),
                print_rows(f"through another router, {found['rate']} a second", found["through"])]
    reached = CORES * 1e6 / statistics.median(one["sent on, direct"]["home"]["all"] for one in found["direct"])
    met = reached >= RATE_MIN
    print(f"  a home with {CORES} cores is busy at {reached:.0f} requests a second that were sent on; goal {RATE_MIN}: {'met' if met else 'MISSED'}")
    return not met or "FAIL" in verdicts
