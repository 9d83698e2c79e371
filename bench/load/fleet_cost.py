"""The exact cost of one request that is sent on, at both routers, beside a local one: as exchange.py counts, with two routers in lockstep."""
import contextlib
import dataclasses
import os
import statistics
import types

from exchange import Bench, Case, FIGURES
from lockstep import Lockstep, Shard
from routers import Routers

KEY = "key-of-the-benchmark-that-counts"
ONE_MAX = 1.01   # instructions in a fleet of one, to a router without a fleet
HOME_MAX = 1.20  # instructions at the home for a request that was sent on, to a local one over TLS: between routers there is TLS


@dataclasses.dataclass(frozen=True)
class Place:
    """A router whose cost is counted. `size`: of its fleet; 0: none. `number`: 0 is the home."""
    name: str
    size: int
    number: int = 0
    transport: str = "plaintext"  # of the client
    client: int = 0               # the router that it is connected to
    logging: str = "off"

    def __str__(self):
        return self.name


PLACES = (Place("local, no fleet", 0), Place("local, TLS, no fleet", 0, transport="tls"), Place("local, fleet of one", 1),
          Place("local, TLS, fleet of one", 1, transport="tls"), Place("local, fleet of two", 2),
          Place("sent on: the home", 2, 0, client=1), Place("sent on: the other router", 2, 1, client=1))


class Both:
    """The shards of two routers: at rest when each is asleep while the other is."""

    def __init__(self, counted, others):
        self.thread, self.number, self.shards = counted.thread, counted.number, [counted, *others]

    def wait_until_it_sleeps(self):
        for _ in range(3):
            for shard in self.shards:
                shard.wait_until_it_sleeps()

    def close(self):
        for shard in self.shards:
            shard.close()


class FleetBench(Bench):
    @contextlib.contextmanager
    def router(self, binary, case, under=(), environment=()):
        """As Bench.router; `case` is a Place. The tools are for the router that is counted."""
        if case.size == 0:
            with super().router(binary, Case(case.transport, 1), under, environment) as found:
                yield found
            return
        self.started += 1
        folder = self.folder / f"{self.started:02}-{case.size}-{case.number}"
        own = [{"under": under, "env": os.environ | dict(environment)} if number == case.number else {} for number in range(case.size)]
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        with contextlib.ExitStack() as stack:
            routers = Routers(binary, folder, cores, KEY, own, replicas=[[self.replica.port]], slots=1, certificates=self.folder)
            stack.callback(routers.stop)
            shards = [Shard(router.popen.pid) for router in routers.all]
            both = Both(shards[case.number], [shard for number, shard in enumerate(shards) if number != case.number])
            stack.callback(both.close)
            lockstep = Lockstep(both, self.replica, routers.all[case.client], KEY, case.transport == "tls", 1)
            stack.callback(lockstep.close)
            counted = routers.all[case.number]
            yield counted.folder, counted, both, lockstep


def measure(options):
    figures = ("calls", "allocations", "instructions") if not options.quick else ("calls", "instructions")
    bench = FleetBench(types.SimpleNamespace(build=options.build, exchanges=200, rounds=1 if options.quick else 3, figures=figures))
    return {place.name: bench.rounds(options.router, place) for place in PLACES}


def report(found):
    """Prints the table. True if a goal is missed."""
    median = {name: {figure: statistics.median(values[figure]) for figure in FIGURES if figure in values} for name, values in found.items()}
    print("\nthe exact cost of one 1 KB POST at one router" + "".join(f"{FIGURES[figure][0].split(' (')[0]:>16}" for figure in next(iter(median.values()))))
    for name, values in median.items():
        print(f"  {name:43}" + "".join(f"{max(value, 0):>16.{FIGURES[figure][1]}f}" for figure, value in values.items()))

    def ratio(name, other):
        return median[name]["instructions"] / median[other]["instructions"]
    goals = [("a fleet of one, to no fleet", ratio("local, fleet of one", "local, no fleet"), ONE_MAX),
             ("the same with TLS", ratio("local, TLS, fleet of one", "local, TLS, no fleet"), ONE_MAX),
             ("the home of a request that was sent on, to a local one with TLS", ratio("sent on: the home", "local, TLS, fleet of one"), HOME_MAX)]
    print("instructions")
    for goal, value, bound in goals:
        print(f"  {goal:70}{value:6.3f}, at most {bound:.2f}: {'met' if value <= bound else 'MISSED'}")
    return any(value > bound for _, value, bound in goals)
