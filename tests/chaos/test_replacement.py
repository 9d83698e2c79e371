"""All replicas are replaced under load, one after another."""

import itertools
import os
import signal
from collections import Counter

from support.load import Plan
from support.reliability import access_lines_of, leaked, was_dispatched
from support.replica import times
from support.settings import deployment, endpoint
from support.wait import eventually

REPLICAS, SLOTS = 4, 4
ROUNDS = 2
RATE = 300
SETTINGS = {"slots": SLOTS, "max_queue_wait_ms": 20000, "request_timeout_ms": 60000}


def mixed(number):
    """Mostly POSTs that take the replica 5 ms; every fifth request is a GET."""
    return Plan(method="GET", body=b"") if number % 5 == 0 else Plan(body=b"%d " % number * 20)


class Rollout:
    """Writes the deployment file again whenever the list of replicas changes."""

    def __init__(self, start, replica):
        self._new = lambda: replica(sleep=0.005)
        self.all = replica.all
        self.current = [self._new() for _ in range(REPLICAS)]
        self.router = start(self._described())

    def _described(self):
        return endpoint(deployment(self.current, **SETTINGS))

    def _take_up(self):
        """Waits until the router's table has exactly these replicas, all ready."""
        self.router.write_endpoint(self._described())
        wanted = {one.address for one in self.current}
        eventually(lambda: {one["address"] for one in self.router.deployments()[0]["replicas"] if one["ready"]} == wanted
                   and len(self.router.deployments()[0]["replicas"]) == len(wanted), "the new table", patience=30)

    def replace_all(self, end):
        for _ in range(ROUNDS * REPLICAS):
            self.replace(self.current[0], end)

    def replace(self, old, end):
        """Starts a new replica before the old one ends; the old one ends while it is still listed."""
        self.current.append(self._new())
        self._take_up()
        end(old)
        self.current.remove(old)
        self._take_up()


def test_graceful_replacement_loses_nothing(start, replica, load, table):
    rollout = Rollout(start, replica)
    router = rollout.router
    with load(router, RATE, clients=40, plan=mixed) as running:
        eventually(lambda: len(running.outcomes) > 100, "100 requests", patience=30)
        rollout.replace_all(lambda one: one.stop())
    outcomes = running.outcomes
    lost = [one for one in outcomes if not one.served]
    table.add(fault="every replica replaced: the new one starts first, then the old one finishes its requests and exits",
              injected=ROUNDS * REPLICAS, requests=len(outcomes), failed=0, why="", lost=len(lost), leaked=leaked(router))
    assert all(count == 1 for count in times(rollout.all, "delivered").values())
    assert {one.pod for one in outcomes} == {one.name for one in rollout.all}
    table.figure(f"Replacement: second attempts over new connections {retries(router, 'stale_connection')}, at other replicas "
                 f"{retries(router, 'connection_refused')}.")


def test_killing_replicas_fails_only_what_they_had(start, replica, load, table):
    rollout = Rollout(start, replica)
    router = rollout.router
    with load(router, RATE, clients=40, plan=mixed) as running:
        eventually(lambda: len(running.outcomes) > 100, "100 requests", patience=30)
        rollout.replace_all(lambda one: one.kill())
    outcomes = running.outcomes
    killed = {one.address for one in rollout.all if not one.is_alive()}
    lines = access_lines_of(router, outcomes)
    failed = [one for one in outcomes if not one.served]
    rightly = [one for one in failed if lines[one.id]["Replica"] in killed and was_dispatched(one, lines[one.id])]
    deaths = Counter(lines[one.id]["Replica"] for one in rightly)
    table.add(fault="every replica replaced: the new one starts first, then the old one gets SIGKILL", injected=ROUNDS * REPLICAS,
              requests=len(outcomes), failed=len(rightly), lost=len(failed) - len(rightly), leaked=leaked(router),
              why="502: sent to the killed replica, which may have acted; at most one for each of its slots")
    assert all(count <= SLOTS for count in deaths.values()), deaths
    posts = {one.id for one in outcomes if one.plan.method == "POST"}
    twice = {one: count for one, count in times(rollout.all, "delivered").items() if count > 1 and one in posts}
    assert not twice, "a POST was delivered to an application twice"


def test_the_kernel_tells_a_killed_replica_from_a_slow_one(start, replica, load, table):
    """SIGSTOP, then SIGKILL: a request that was sent to a stopped process is not sent again when the process dies."""
    victim, other = replica(sleep=0.005), replica(sleep=0.005)
    router = start(endpoint(deployment([victim, other], **SETTINGS)))
    numbers = itertools.count()
    with load(router, 100, clients=20, plan=lambda _: Plan(body=b"%d" % next(numbers))) as running:
        eventually(lambda: len(running.outcomes) > 50, "50 requests", patience=30)
        os.kill(victim.pid, signal.SIGSTOP)
        eventually(lambda: router.slots_in_use() >= SLOTS, "the slots of the stopped replica to be full", patience=30)
        victim.kill()
        before = len(running.outcomes)
        eventually(lambda: len(running.outcomes) > before + 100, "requests after the kill", patience=30)
    outcomes = running.outcomes
    lines = access_lines_of(router, outcomes)
    failed = [one for one in outcomes if not one.served]
    rightly = [one for one in failed if one.why == "upstream_reset" and lines[one.id]["Replica"] == victim.address]
    table.add(fault="a replica is stopped (SIGSTOP) with requests in its sockets, then gets SIGKILL", injected=1, requests=len(outcomes),
              failed=len(rightly), why="502: the replica may have acted", lost=len(failed) - len(rightly),
              leaked=leaked(router))
    assert len(rightly) <= SLOTS
    assert all(count == 1 for count in times([victim, other], "delivered").values())


def retries(router, reason):
    return int(router.metrics().value("retries_total", reason=reason))
