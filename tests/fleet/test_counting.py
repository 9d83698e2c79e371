"""Whatever happens to the routers, no pod ever has more exchanges or connections than slots. The pods count (harness/pod_process.py)."""

import os
import random
import time
from collections import Counter

import pytest
from harness.fleet import is_home
from harness.load import sort, told
from harness.scenes import patient
from support.load import Plan
from support.settings import endpoint

pytestmark = pytest.mark.serial
SECONDS = float(os.environ.get("FLEET_SECONDS", "20"))
SERVICE = 0.04  # seconds of an exchange
LOAD = 0.8
GRACE = 10  # seconds: drain_grace_ms of the harness
KEPT = 0.1  # seconds after a kill in which a client may still use the connection that it kept
KINDS = ("kill", "kill", "freeze", "freeze", "drain")


class Faults:
    """One fault after the other at a random router; at least one router is left alone at any time."""

    def __init__(self, fleet, chance):
        self._fleet, self._chance = fleet, chance
        self.counts = Counter()
        self.deaths = []  # (begin, end, router) of each kill
        self.freezes = []  # the same of each freeze
        self.story = []  # (moment, what, router)
        self._frozen = {}  # router: (since when, until when)
        self._draining = set()

    def step(self):
        for router in [one for one, (_, until) in self._frozen.items() if until < time.monotonic()]:
            self._tell("thaw", router)
            self._thaw(router)
        self._draining = {one for one in self._draining if one.is_running()}
        router = self._chance.choice(self._fleet.routers)
        if not router.is_running():
            self._tell("restart", router)
            router.restart()
        elif len(self._untouched() - {router}) >= 1 and router in self._untouched():
            self._hit(router, self._chance.choice(KINDS))

    def _thaw(self, router):
        begun, _ = self._frozen.pop(router)
        router.thaw()
        self.freezes.append((begun, time.monotonic(), router))

    def _untouched(self):
        """Routers that run, are ready, and have no fault."""
        return {one for one in self._fleet.running() if one not in self._frozen and one not in self._draining and one.is_ready()}

    def _tell(self, what, router):
        home = [one.name for one in self._fleet.routers if one.is_running() and one not in self._frozen and is_home(one)]
        self.story.append(f"{time.monotonic():.3f} {what} {router.name} ({router.port}); home: {home}")

    def _hit(self, router, kind):
        self.counts[kind] += 1
        self._tell(kind, router)
        if kind == "kill":
            begun = time.monotonic()
            router.end_at_once()
            self.deaths.append((begun, time.monotonic(), router))
        elif kind == "drain":
            self._draining.add(router)
            router.drain()
        else:
            self._frozen[router] = (time.monotonic(), time.monotonic() + self._chance.uniform(0.1, 4.0))
            router.freeze()

    def explain(self, failed):
        """Whether a fault has taken the request along. A kill: of the router that had its client, which then got nothing at all; or of the
        home, which only one reason may say. A freeze: of the router that connected to a pod for it, for longer than that may take; or of
        the home, until the grace of the client's router, which drained, was over. A drain alone takes none."""
        killed = [router for begun, ended, router in self.deaths if begun <= failed.ended and failed.begun <= ended + KEPT]
        frozen = [router for begun, ended, router in self.freezes if begun <= failed.ended and failed.begun <= ended]
        if failed.status == 0:
            return any(router.port == failed.client for router in killed)
        if (failed.status, failed.why) == (502, "upstream_connect_failed"):
            return any(router.port == failed.client for router in frozen)
        if (failed.status, failed.why) == (503, "draining"):
            return failed.ended - failed.begun > GRACE and any(router.port != failed.client for router in frozen)
        return (failed.status, failed.why) == (502, "upstream_reset") and any(router.port != failed.client for router in killed)

    def heal(self):
        for router in list(self._frozen):
            self._thaw(router)
        for router in self._draining:
            assert router.wait_exit(30) == 0
        for router in self._fleet:
            if not router.is_running():
                router.restart()
        self._fleet.wait_agreed()


def scene(counting, fleet):
    """Pods with one slot, a pod with four, and a pod with one slot that two deployments name. Returns (fleet, pods, exchanges a second)."""
    single = counting(4, slots=1, sleep=SERVICE)
    broad = counting(1, slots=4, sleep=SERVICE)
    both = counting(1, slots=1, sleep=SERVICE)
    described = endpoint(patient(single, "single"), patient(broad, "broad", slots=4), patient(both, "one"), patient(both, "other"),
                         traffic={"single": 44, "broad": 44, "one": 6, "other": 6})
    return fleet(described, drain_delay_ms=300), (single, broad, both), 9 / SERVICE


def test_no_pod_is_ever_overcommitted_by_random_faults(counting, fleet, load):
    seed = int(os.environ.get("FLEET_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: FLEET_SEED={seed}")
    routers, pods, capacity = scene(counting, fleet)
    faults = Faults(routers, random.Random(seed))
    running = load(routers, LOAD * capacity, clients=60, plan=lambda number: Plan(body=b"%d" % number))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        faults.step()
        time.sleep(faults._chance.uniform(0.1, 0.7))
    faults.heal()
    result = sort(running.stop())
    print(dict(faults.counts), len(result.served), "served", len(result.failed), "failed", len(result.refused), "not connected")
    print(*faults.story, sep="\n")
    for one in pods:
        one.assert_never_over()
    assert len(result.served) > 0.2 * LOAD * capacity * SECONDS
    unexplained = [one for one in result.failed if not faults.explain(one)]
    assert not unexplained, told(unexplained)
