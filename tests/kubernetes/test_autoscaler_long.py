"""The autoscaler over minutes: windows that end, and a run in which much happens."""

import os
import random
import time

import pytest
from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.scaling_fixtures import MANAGER, assert_explained, leader, wait_leader
from support.load import Plan
from support.wait import eventually, stays

pytestmark = pytest.mark.long

SLEEP = 0.05  # seconds of a request
WINDOW = 60  # seconds for which replicas are kept, and a foreign write stays; the shortest that there is
NEVER_READY = {"test/ready-delay": "never"}
SECONDS = float(os.environ.get("SCALING_SECONDS", "300"))
STEP = 8  # seconds between two events of the run


def begin(fleet_load, fleet, one, slots, clients=30):
    return fleet_load(fleet, slots / SLEEP, clients, plan=lambda number: Plan(body=b"%d" % number, path=one.score))


def wait_replicas(one, count, patience=30):
    eventually(lambda: one.replicas() == count, f"{count} replicas", patience, 0.1)


def ready_replicas(router, one):
    return next(each["replicas_ready"] for endpoint in router.status()["endpoints"] if endpoint["name"] == one.endpoint
                for each in endpoint["deployments"])


def see_a_start(one):
    """The leader then knows how long a start takes, and the window is the shortest. Afterwards there are two replicas."""
    one.want(2)
    wait_replicas(one, 2)


def test_one_eight_zero_one_under_load(scaling, fleet_load):
    """Idle for 60 s."""
    one = scaling.scale(replicas=1, least=0, most=8, sleep=SLEEP, scaling={"idle_time": 60}).watch()
    fleet = scaling.routers()
    wait_leader(fleet, one)
    begun = time.monotonic()

    def reached(count, patience):
        wait_replicas(one, count, patience)
        print(f"{count} replicas {time.monotonic() - begun:.1f} s after the begin of the load")
    running = begin(fleet_load, fleet, one, slots=5.5, clients=40)
    reached(8, 60)
    scaling.cluster.pods.ready(one.namespace, 8)
    stays(lambda: one.replicas() == 8, 5, "eight replicas")
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
    print(f"{len(result.served)} served, none failed; the load ended after {time.monotonic() - begun:.1f} s")
    reached(0, 400)
    scaling.cluster.pods.ready(one.namespace, 0)
    eventually(lambda: not any(ready_replicas(router, one) for router in fleet), "the routers to know it")
    asked = time.monotonic()
    assert Asked(fleet[0], path=one.score, timeout=60).answer(60).status == 200
    print(f"a request at zero was answered after {time.monotonic() - asked:.2f} s")
    assert one.replicas() == 1 or one.replicas() == 2  # one slot of demand at 70 %
    print(f"written: {assert_explained(fleet, one)}")


def test_writes_go_on_two_windows_after_an_hpa_has_gone(scaling):
    one = scaling.scale(replicas=1).watch()
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    see_a_start(one)
    path = one.conflict()
    eventually(lambda: one.reason() == "ConflictingAutoscaler", "the conflict")
    one.want(3)
    scaling.cluster.api.delete(path)
    gone = time.monotonic()
    stays(lambda: one.replicas() == 2, 2 * WINDOW - 5, "two replicas")
    wait_replicas(one, 3)
    print(f"written {time.monotonic() - gone:.0f} s after the HPA had gone")


def test_a_foreign_write_stays_for_a_window(scaling):
    one = scaling.scale(replicas=1).watch()
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    see_a_start(one)
    one.kubectl_scale(1)
    at = time.monotonic()
    stays(lambda: one.replicas() == 1, WINDOW - 5, "what was set stays")
    wait_replicas(one, 2)
    print(f"written {time.monotonic() - at:.0f} s after somebody else had")
    assert assert_explained(fleet, one) == [(1, 2), (1, 2)]


def test_replicas_that_do_not_start_are_given_up_and_those_that_serve_stay(scaling, fleet_load):
    one = scaling.scale(replicas=1, sleep=SLEEP, pods=NEVER_READY).watch()
    pods = scaling.cluster.pods
    [first] = pods.all(one.namespace)
    first.set_ready(True)
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    one.want(2)
    second = eventually(lambda: next((each for each in pods.all(one.namespace) if each is not first and each.is_alive()), None), "another pod")
    second.set_ready(True)
    running = begin(fleet_load, fleet, one, slots=1.5)
    one.want(5)
    wait_replicas(one, 5)
    one.want(2)
    head = leader(fleet, one)
    eventually(lambda: one.decided(head)[-1] == "FrozenPodsNotStarting", "the reason", WINDOW + 30, 0.1)
    least = eventually(lambda: one.replicas() < 5 and one.replicas(), "them to be given up", 3 * WINDOW + 150, 0.1)
    result = sort(running.stop())
    assert least >= 2
    assert first.is_ready and second.is_ready
    assert not result.failed, told(result.failed)
    print(f"written: {assert_explained(fleet, one)}")


def test_a_rollout_that_does_not_end_gives_nothing_up(scaling):
    one = scaling.scale(replicas=1).watch()
    fleet = scaling.routers(1)
    head = wait_leader(fleet, one)
    see_a_start(one)
    one.want(4)
    wait_replicas(one, 4)
    one.patch({"spec": {"template": {"metadata": {"annotations": NEVER_READY}}}})
    one.want(1)
    stays(lambda: one.replicas() == 4, 2 * WINDOW, "nothing is given up")
    assert one.decided(head)[-1] == "FrozenRolloutInProgress"
    one.patch({"spec": {"template": {"metadata": {"annotations": {"test/ready-delay": None}}}}})
    wait_replicas(one, 1, 4 * WINDOW)
    assert assert_explained(fleet, one) == [(1, 2), (2, 4), (4, 1)]


class Run:
    """What happens to a deployment and its routers, at random."""

    def __init__(self, seed, fleet, one, fleet_load):
        self.random, self.fleet, self.one, self._load = random.Random(seed), fleet, one, fleet_load
        self.kills, self.outcomes, self.foreign, self._version = [], [], [], 0
        self._running = begin(fleet_load, fleet, one, 1)

    def load(self):
        self.outcomes += self._running.stop()
        self._running = begin(self._load, self.fleet, self.one, self.random.choice((0.1, 0.5, 1, 2, 4, 5)))

    def kill(self):
        """The leader, while nothing was written for a second: one that is killed after its write and before its line could not tell it."""
        head = wait_leader(self.fleet, self.one)
        eventually(lambda: time.monotonic() - self.one.changed_at() > 1, "a pause", 30)
        self.kills.append(time.monotonic())
        head.end_at_once()
        wait_leader(self.fleet, self.one)
        head.restart()
        self.fleet.wait_agreed()

    def write(self):
        replicas = self.random.randint(1, 8)
        if replicas != self.one.replicas():
            self.one.kubectl_scale(replicas)

    def roll_out(self):
        self._version += 1
        self.one.patch({"spec": {"template": {"metadata": {"annotations": {"test/version": str(self._version)}}}}})

    def go_on(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            what = self.random.choices((self.load, self.roll_out, self.kill, self.write), (6, 2, 1, 1))[0]
            print(f"{end - time.monotonic():.0f} s left: {what.__name__}; {self.one.replicas()} replicas, {self.one.reason()}", flush=True)
            what()
            time.sleep(STEP)
        self.outcomes += self._running.stop()


def test_every_change_of_a_run_is_explained(scaling, fleet_load):
    """With load that changes, rollouts, leaders that are killed, and writes of others. `SCALING_SEED=N` repeats a run as far as time
    permits, `SCALING_SECONDS=3600` makes it longer."""
    seed = int(os.environ.get("SCALING_SEED", random.randrange(2**32)))
    print(f"SCALING_SEED={seed}")
    one = scaling.scale(replicas=1, most=8, sleep=SLEEP).watch()
    fleet = scaling.routers(3)
    wait_leader(fleet, one)
    run = Run(seed, fleet, one, fleet_load)
    run.go_on(SECONDS)
    changes = assert_explained(fleet, one)
    result = sort(run.outcomes)
    others = [who for _, _, who in one.changes() if who != MANAGER]
    print(f"{len(changes)} changes by the routers: {changes}; {len(others)} by others; {len(run.kills)} leaders killed; "
          f"{len(result.served)} served, {len(result.failed)} failed")
    assert changes and set(others) <= {"kubectl"}
    unexplained = [each for each in result.failed if not any(each.begun - 0.05 <= at <= each.ended + 0.5 for at in run.kills)]
    assert not unexplained, told(unexplained)
