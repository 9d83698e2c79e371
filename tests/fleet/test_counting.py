"""Whatever happens to the routers, no pod ever has more exchanges or connections than slots. The pods count (harness/pod_process.py)."""

import os
import random
import time
from collections import Counter

import pytest
from harness.load import sort, told
from harness.scenes import patient
from support.load import Plan
from support.settings import endpoint

pytestmark = pytest.mark.serial
SECONDS = float(os.environ.get("FLEET_SECONDS", "30"))
SERVICE = 0.04  # seconds of an exchange
LOAD = 0.8
KINDS = ("kill", "kill", "freeze", "freeze", "drain")


class Faults:
    """One fault after the other at a random router; at least one router is left alone at any time."""

    def __init__(self, fleet, chance):
        self._fleet, self._chance = fleet, chance
        self.counts = Counter()
        self.deaths = []  # moments at which requests may have been lost
        self._frozen = {}  # router: until when
        self._draining = set()

    def step(self):
        for router in [one for one, until in self._frozen.items() if until < time.monotonic()]:
            router.thaw()
            del self._frozen[router]
        self._draining = {one for one in self._draining if one.is_running()}
        router = self._chance.choice(self._fleet.routers)
        if not router.is_running():
            router.restart()
        elif len(self._untouched() - {router}) >= 1 and router in self._untouched():
            self._hit(router, self._chance.choice(KINDS))

    def _untouched(self):
        """Routers that run, are ready, and have no fault."""
        return {one for one in self._fleet.running() if one not in self._frozen and one not in self._draining and one.is_ready()}

    def _hit(self, router, kind):
        self.counts[kind] += 1
        if kind == "kill":
            self.deaths.append(time.monotonic())
            router.end_at_once()
        elif kind == "drain":
            self._draining.add(router)
            router.drain()
        else:
            self._frozen[router] = time.monotonic() + self._chance.uniform(0.1, 4.0)
            router.freeze()

    def heal(self):
        for router in self._frozen:
            router.thaw()
        self._frozen.clear()
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
    for one in pods:
        one.assert_never_over()
    assert len(result.served) > 0.2 * LOAD * capacity * SECONDS
    unexplained = [one for one in result.failed if not any(one.begun - 0.1 <= at <= one.ended + 0.1 for at in faults.deaths)]
    assert not unexplained, told(unexplained)
    assert len(result.failed) <= faults.counts["kill"] * 60
