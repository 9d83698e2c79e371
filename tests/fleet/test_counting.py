"""Whatever happens to the routers, no pod ever has more exchanges or connections than slots. The pods count (harness/pod_process.py)."""

import os
import random
import time
from collections import Counter

import pytest
from harness.faults import FaultLog
from harness.fleet import is_home
from harness.load import sort, told
from harness.scenes import PATIENT, patient
from support.load import Plan
from support.settings import endpoint

pytestmark = pytest.mark.serial
SECONDS = float(os.environ.get("FLEET_SECONDS", "20"))
SERVICE = 0.04  # seconds of an exchange
LOAD = 0.8
QUEUE = PATIENT["max_queue_wait_ms"] / 1000  # seconds that a request may wait
GRACE = 10  # seconds: drain_grace_ms of the harness
DRAIN_DELAY = 0.3  # seconds
CONNECT = 0.5  # seconds that a connection to a pod may take
RECENT = 5.0  # seconds before a request in which what it did not know may have happened
KEPT = 0.1  # seconds after a kill in which a client may still use the connection that it kept
KINDS = ("kill", "kill", "freeze", "freeze", "drain")


class Faults:
    """One fault after the other at a random router; at least one router is left alone at any time."""

    def __init__(self, fleet, balancer, chance):
        self._fleet, self._balancer, self._chance = fleet, balancer, chance
        self.log = FaultLog()
        self._frozen = {}  # router: (the fault, until when)
        self._draining = {}  # router: the fault

    def step(self):
        for router in [one for one, (_, until) in self._frozen.items() if until < time.monotonic()]:
            self._thaw(router)
        ended = [one for one in self._fleet.routers if not one.is_running()]
        for router in [one for one in self._draining if one in ended]:
            self.log.end(self._draining.pop(router))
        router = self._chance.choice(self._fleet.routers)
        if router in ended:
            self.log.tell("restart", router, self._homes())
            router.restart()
        elif len(self._untouched() - {router}) >= 1 and router in self._untouched():
            self._hit(router, self._chance.choice(KINDS))

    def _thaw(self, router):
        fault, _ = self._frozen.pop(router)
        router.thaw()
        self.log.end(fault, "thaw")

    def _untouched(self):
        """Routers that run, are ready, and have no fault."""
        return {one for one in self._fleet.running() if one not in self._frozen and one not in self._draining and one.is_ready()}

    def _homes(self):
        return f"home: {[one.name for one in self._fleet.routers if one.is_running() and one not in self._frozen and is_home(one)]}"

    def _hit(self, router, kind):
        fault = self.log.begin(kind, router, self._homes())
        if kind == "kill":
            router.end_at_once()
            self.log.end(fault)
        elif kind == "drain":
            self._draining[router] = fault
            router.drain()
        else:
            self._frozen[router] = (fault, time.monotonic() + self._chance.uniform(0.1, 4.0))
            router.freeze()

    def explain(self, failed):
        """Whether a fault has taken the request along. A drain alone takes none."""
        near = self.log.near(failed, after=RECENT)
        why = (failed.status, failed.why)
        frozen, frozen_here = near.of("freeze", least=CONNECT), near.of("freeze", here=True)
        if failed.status == 0:
            return bool(near.of("kill", after=KEPT, here=True)) or self._sent_late(failed, near)
        if why == (502, "upstream_connect_failed"):  # while the home connected, which may be the client's router
            return bool(frozen)
        if why == (503, "draining"):  # the home stood still until the grace was over
            return bool(near.of("freeze", here=False)) and any(failed.ended >= one.begun + GRACE for one in near.of("drain", here=True))
        if why in ((503, "queue_timeout"), (503, "no_ready_replica")):  # the latter if the home has just started
            return failed.ended - failed.begun >= QUEUE and bool(near.of("kill", "freeze"))
        if why != (502, "upstream_reset"):
            return False
        # The home was killed while the client's router stood still; when it woke it sent the request there.
        unseen = [one for one in near.of("kill", after=RECENT, here=False) for each in frozen_here if each.begun <= one.begun <= each.ended]
        return bool(near.of("kill", after=KEPT, here=False) or unseen)

    def _sent_late(self, failed, near):
        """The load balancer noticed the drain later than the router waits for that."""
        return any(failed.begun <= self._balancer.noticed(one.router, one.begun) + KEPT for one in near.of("drain", after=RECENT, here=True)
                   if self._balancer.noticed(one.router, one.begun) >= one.begun + DRAIN_DELAY - KEPT)

    def heal(self):
        for router in list(self._frozen):
            self._thaw(router)
        for router, fault in self._draining.items():
            assert router.wait_exit(30) == 0
            self.log.end(fault)
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
    return fleet(described, drain_delay_ms=int(1000 * DRAIN_DELAY)), (single, broad, both), 9 / SERVICE


def test_no_pod_is_ever_overcommitted_by_random_faults(counting, fleet, load):
    seed = int(os.environ.get("FLEET_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: FLEET_SEED={seed}")
    routers, pods, capacity = scene(counting, fleet)
    running = load(routers, LOAD * capacity, clients=60, plan=lambda number: Plan(body=b"%d" % number))
    faults = Faults(routers, running.balancer, random.Random(seed))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        faults.step()
        time.sleep(faults._chance.uniform(0.1, 0.7))
    faults.heal()
    result = sort(running.stop())
    print(dict(faults.log.counts), len(result.served), "served", len(result.failed), "failed", len(result.refused), "not connected")
    print(*faults.log.story, sep="\n")
    for one in pods:
        one.assert_never_over()
    assert len(result.served) > 0.2 * LOAD * capacity * SECONDS
    unexplained = [one for one in result.failed if not faults.explain(one)]
    print("not explained:", Counter((one.status, one.why, one.broken) for one in unexplained))
    print(told(unexplained, most=1000))
    assert not unexplained, told(unexplained)
