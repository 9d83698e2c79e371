"""Whatever happens to routers with a Lease, no pod ever has more exchanges or connections than slots. The pods count."""

import os
import random
import time
from collections import Counter
from datetime import datetime

import pytest
from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.fleet_fixtures import score_path
from harness.lease_faults import DRAIN_DELAY, LOOK, LeaseFaults
from support.load import Plan

SECONDS = float(os.environ.get("FLEET_SECONDS", "60"))
SERVICE = 0.04  # seconds of an exchange
LOAD = 0.8
SLOTS = (3, 4, 1)  # of each namespace's pods
SPARE = 1  # pods that the first namespace has beside them
PATIENT = 1.5  # clients for each request a second, so that the others go on while some stand still with a router
SERVED = 0.4  # of the load, at least: most of the time a router or two of three are away


class Loads:
    """Load on each namespace of its own, so that one whose home is lost takes nothing from the others. Counts what has ended."""

    def __init__(self, fleet_load, fleet):
        self.running, self.served, self.failed, self.refused = [], 0, [], 0
        for number, slots in enumerate(SLOTS):
            rate = LOAD * slots / SERVICE
            balancer = self.running[0].balancer if self.running else None
            plan = Plan(path=score_path(f"model-{number}"))
            self.running.append(fleet_load(fleet, rate, int(PATIENT * rate), balancer=balancer, plan=lambda _, plan=plan: plan))
        self.balancer = self.running[0].balancer

    def count(self, outcomes):
        result = sort(outcomes)
        self.served += len(result.served)
        self.refused += len(result.refused)
        self.failed += result.failed
        return result.failed

    def take(self):
        """Counts what has ended since, and returns what of it has failed."""
        return [one for load in self.running for one in self.count(load.take_ended())]

    def stop(self):
        for load in self.running:
            self.count(load.stop())


def make(scene):
    """Returns the fleet, and a function that changes the pods of the first namespace."""
    first = scene.serve(SLOTS[0] + SPARE, sleep=SERVICE)
    scene.serve(1, slots=SLOTS[1], sleep=SERVICE)
    scene.serve(1, slots=SLOTS[2], sleep=SERVICE, names=("one", "other"))
    fleet = scene.fleet(3, drain_delay_ms=int(1000 * DRAIN_DELAY))

    def set_pods(chance):
        chosen = chance.sample(list(first), chance.randint(SLOTS[0], SLOTS[0] + SPARE))
        scene.set_pods(0, chosen)
        return " ".join(sorted(one.name for one in chosen))
    return fleet, set_pods


def ask_all(fleet):
    """Asks each router for each namespace at once. Returns what is not served."""
    asked = {(router.name, number): Asked(router, path=score_path(f"model-{number}")) for router in fleet for number in range(len(SLOTS))}
    answers = {at: one.answer() for at, one in asked.items()}
    return {at: (one.status, one.why) for at, one in answers.items() if one.status != 200}


def heal(faults, fleet):
    """All faults end. Soon each router serves every namespace."""
    until = faults.heal()
    while refused := ask_all(fleet):
        assert time.monotonic() < until, refused
        faults.log.tell("not served", more=str(refused))
    faults.log.tell("all served")


@pytest.mark.long
def test_no_pod_is_ever_overcommitted_by_random_faults(scene, fleet_load, cluster, tmp_path):
    seed = int(os.environ.get("FLEET_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"seed {seed}: FLEET_SEED={seed}; {time.monotonic():.3f} is {datetime.now():%H:%M:%S.%f}")
    chance = random.Random(seed)
    fleet, set_pods = make(scene)
    loads = Loads(fleet_load, fleet)
    faults = LeaseFaults(fleet, cluster, loads.balancer, chance, lambda: set_pods(chance))
    for pods in scene.pods:
        pods.excused = faults.excuses
    try:
        run(faults, loads, chance, fleet)
    finally:
        faults.save_logs()
        print(dict(faults.log.counts), f"healed {len(faults.healed)} times, after {max(faults.healed, default=0):.1f} s at most")
        print(loads.served, "served", len(loads.failed), "failed", loads.refused, "not connected")
        print(Counter((one.status, one.why, one.broken) for one in loads.failed))
        print(*faults.log.story, sep="\n")
        (tmp_path / "failed").write_text("\n".join(map(str, loads.failed)))
    for pods in scene.pods:
        pods.assert_never_over()
    assert loads.served > SERVED * LOAD * sum(SLOTS) / SERVICE * SECONDS
    unexplained = [one for one in loads.failed if not faults.explain(one)]
    print("not explained:", Counter((one.status, one.why, one.broken) for one in unexplained))
    print(told(unexplained, most=1000))
    assert not unexplained, told(unexplained)


def run(faults, loads, chance, fleet):
    begun = time.monotonic()
    heal_at, next_at = begun + chance.uniform(30, 90), begun + 1
    while time.monotonic() < begun + SECONDS:
        if time.monotonic() >= next_at:
            faults.begin()
            next_at = time.monotonic() + chance.uniform(0.2, 2.5)
        faults.step()
        if time.monotonic() >= heal_at:
            heal(faults, fleet)
            loads.take()
            heal_at = time.monotonic() + chance.uniform(30, 90)
        time.sleep(LOOK)
    heal(faults, fleet)
    loads.stop()
