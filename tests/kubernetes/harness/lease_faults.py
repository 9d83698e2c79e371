"""Random faults for a fleet with a Lease. Each fault is an activity, a generator that does one thing after the other and yields while it
waits; several go on at once."""

import time
from collections import Counter

from fleet.harness.faults import FaultLog

from .lease_fleet import COVERAGE, GRACE_S, roster_in

KINDS = {"kill": 5, "freeze": 5, "drain": 2, "partition": 4, "api": 1, "rolling": 1, "scale": 1, "pods": 2, "lease": 1}  # how often
HEALS = 30.0  # seconds within which everything is as before once all faults have ended
EXITS = 30.0  # seconds within which a router that is told to end does
LOOK = 0.02  # seconds between two looks
KEPT = 0.1  # seconds after a kill in which a client may still use the connection that it kept
LATE = 0.5  # seconds that a router needs at most after a pause to see what time it is
SILENT = 2.0  # seconds after which the others may call a router silent
CONNECT = 0.5  # seconds that a connection to a pod may take
DRAIN_DELAY, DRAIN_GRACE = 1.0, 10.0  # seconds; the harness's own grace
# A standstill counts as time for which slots were held. The next queue there may take the wait of a request for too long, until some
# dozens have been served, or nobody has been for a minute (router/dispatch/pace.h).
STANDSTILL, FORGOTTEN = 1.0, 60.0  # seconds
STANDSTILL_MAX = 10.0  # seconds
QUEUE = 20.0  # seconds that a request may wait: harness/resources.py
TIMEOUT = 60.0  # seconds that a request may last once its pod has begun, and that a client waits
REMOVED = 5.0  # seconds in which a router that was killed is taken out of the Lease, and its next process joins
UNREAD = b"this router has not read its endpoints yet"
LOST = ("partition", "partition without the API server")


class LeaseFaults:
    """`balancer`: that of the load, which has to know new routers. `set_pods()`: changes the pods of one deployment. At any time at least
    one router that is ready has no fault of its own."""

    def __init__(self, fleet, cluster, balancer, chance, set_pods):
        self._fleet, self._cluster, self._balancer, self._chance, self._set_pods = fleet, cluster, balancer, chance, set_pods
        self.log = FaultLog()
        self._activities = []
        self._held = set()  # routers with a fault
        self._cut = set()  # those of them that do not reach the API server
        self._lossy = Counter()  # (sender, receiver): partitions in which its packets are lost
        self._resizing = self._api_away = self._lease_lost = self._over = False
        self.healed = []  # seconds that it took each time

    # what goes on
    def step(self):
        """Goes on with every activity."""
        for one in list(self._activities):
            if next(one, self) is self:
                self._activities.remove(one)
        for one in self._fleet:
            assert one in self._held or one.is_running(), f"{one.name} ended with {one.process.returncode}:\n{one.log[-4000:]}"

    def begin(self):
        """Begins one more fault, if the one that is drawn is possible now."""
        kind = self._chance.choices(list(KINDS), KINDS.values())[0]
        if kind in ("kill", "freeze", "drain", "partition"):
            victim = self._chance.choice(self._fleet.routers)
            if victim not in self._held and self._leaves_one(victim):
                self._start(getattr(self, f"_{kind}")(victim))
        elif kind in ("rolling", "scale"):
            if not self._resizing:
                self._resizing = True
                self._start(getattr(self, f"_{kind}")())
        elif not self._api_away and not self._lease_lost and (kind == "pods" or not self._cut):
            self._start(getattr(self, f"_{kind}")())

    def heal(self):
        """Ends all faults, and asserts that everything is as before soon. Then faults may go on. Returns when it has to be so."""
        self._over = True
        begun = time.monotonic()
        while self._activities:
            self.step()
            assert time.monotonic() < begun + HEALS, "\n".join(["faults did not end", *self.log.story[-40:]])
            time.sleep(LOOK)
        self._fleet.wait_agreed(patience=begun + HEALS - time.monotonic())
        self.healed.append(time.monotonic() - begun)
        self.log.tell("healed", more=f"after {self.healed[-1]:.1f} s")
        self._over = False
        return begun + HEALS

    def _start(self, activity):
        self._activities.append(activity)

    def _wait(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._over:
            yield

    def _draw(self, least, most):
        return self._chance.uniform(least, most)

    def _is_quiet(self, router):
        return router not in self._held and router.is_running() and router.is_ready()

    def _leaves_one(self, *victims):
        return any(self._is_quiet(one) for one in self._fleet if one not in victims)

    def _hold(self, router):
        self._held.add(router)

    def _release(self, router):
        self._held.discard(router)

    # one router
    def _kill(self, router):
        self._hold(router)
        self._end_at_once(router)
        yield from self._wait(self._chance.choice((0.0, 0.2, self._draw(0, 5))))
        self._restart(router)

    def _end_at_once(self, router):
        fault = self.log.begin("kill", router)
        router.end_at_once()
        self.log.end(fault)

    def _restart(self, router):
        fault = self.log.begin("restart", router)
        router.restart()
        self.log.end(fault)
        self._release(router)

    def _freeze(self, router):
        self._hold(router)
        seconds = STANDSTILL_MAX if self._chance.random() < 0.04 else self._draw(0.1, 4.0)
        fault = self.log.begin("freeze", router, f"{seconds:.1f} s")
        router.freeze()
        yield from self._wait(seconds)
        router.thaw()
        self.log.end(fault, "thaw")
        self._release(router)

    def _drain(self, router):
        """It may be killed before it has ended."""
        yield from self._leave(router, self._draw(0, 0.5) if self._chance.random() < 0.2 else None)
        yield from self._wait(self._draw(0, 3))
        self._restart(router)

    def _leave(self, router, kill_after=None):
        self._hold(router)
        fault = self.log.begin("drain", router)
        router.drain()
        if kill_after is not None:
            yield from self._wait(kill_after)
            if router.is_running():
                self._end_at_once(router)
        while router.is_running():
            assert time.monotonic() < fault.begun + EXITS, f"{router.name} does not end:\n{router.log[-4000:]}"
            yield
        self.log.end(fault, "ended")

    def _partition(self, router):
        """Packets between it and the others are lost, or only those in one direction, or also those between it and the API server."""
        self._hold(router)
        others = [one for one in self._fleet if one is not router]
        way = self._chance.choice(("both ways", "out", "in"))
        no_api = not self._api_away and not self._lease_lost and self._chance.random() < 0.4
        fault = self.log.begin(LOST[no_api], router, way)
        if no_api:
            self._cut.add(router)
            router.cut_api()
        pairs = [(router, one) for one in others if way != "in"] + [(one, router) for one in others if way != "out"]
        for sender, receiver in pairs:
            self._lose_packets(sender, receiver, 1)
        yield from self._wait(self._draw(0.3, 12))
        for sender, receiver in pairs:
            self._lose_packets(sender, receiver, -1)
        if no_api:
            self._cut.discard(router)
            router.heal_api()
        self.log.end(fault, "no partition")
        self._release(router)

    def _lose_packets(self, sender, receiver, more):
        """A pair of routers may belong to two partitions at once."""
        before = self._lossy[sender, receiver]
        self._lossy[sender, receiver] += more
        if sender in self._fleet.routers and before == 0:
            sender.block(receiver)
        elif sender in self._fleet.routers and before + more == 0:
            sender.unblock(receiver)

    # all of them
    def _api(self):
        self._api_away = True
        way = self._chance.choice(("lost", "reset", "paused"))
        fault = self.log.begin("api", more=way)
        if way == "paused":
            self._cluster.pause_api_server()
        else:
            self._fleet.cut_api(reset=way == "reset")
        yield from self._wait(self._draw(2, 20))
        if way == "paused":
            self._cluster.resume_api_server()
        else:
            self._fleet.heal_api()
        self.log.end(fault, "the API server is back")
        self._api_away = False

    def _lease(self):
        """Not while a router is cut off from the API server: beside a lost Lease, that is an exception of the promise (docs/fleet.md)."""
        self._lease_lost = True
        before = self._fleet.roster()["epoch"]["number"]
        fault = self.log.begin("lease")
        self._fleet.delete_lease()
        while not ((lease := self._fleet.lease()) and roster_in(lease)["epoch"]["number"] > before):
            yield
        self.log.end(fault, "the Lease is back")
        self._lease_lost = False

    def _pods(self):
        self.log.begin("pods", more=self._set_pods())
        return
        yield

    # how many there are
    def _rolling(self):
        fault = self.log.begin("rolling")
        for old in list(self._fleet):
            yield from self._add(1)
            yield from self._retire(old)
            if self._over:
                break
        self.log.end(fault, "the update has ended")
        self._resizing = False

    def _scale(self):
        fault = self.log.begin("scale")
        yield from self._add(2)
        yield from self._wait(self._draw(0, 10))
        for old in self._chance.sample(self._fleet.routers, 2):
            yield from self._retire(old)
        self.log.end(fault, "scaled down")
        self._resizing = False

    def _add(self, count):
        """Also newcomers may be hit by faults, so it may last."""
        added = self._fleet.add(count, wait=False)
        for one in added:
            self.log.tell("new", one)
            self._balancer.add(one)
        while not all(self._is_quiet(one) for one in added):
            yield

    def _retire(self, router):
        while router in self._held or not self._leaves_one(router):
            yield
        yield from self._leave(router)
        self._balancer.remove(router)
        self._fleet.retire(router)
        self._release(router)
        (router.folder / "log").write_text(router.log)

    # judgement
    def excuses(self, over):
        """Connections, not exchanges, of a router that stood still for longer than its coverage and the grace, from before that: an
        exception of the promise, since it could not close them."""
        if over["kind"] != "connections":
            return False
        frozen = [one for one in self.log.faults if one.kind == "freeze" and one.begun + COVERAGE + GRACE_S <= over["at"] <= one.ended + LATE]
        kept = [one for one in over["of"]
                if any(one["peer"] == each.router.host and one["since"] <= each.begun + KEPT for each in frozen)]
        return len(over["of"]) - len(kept) <= over["slots"]

    def explain(self, failed):
        """Whether a fault has taken the request along. Drains, rolling updates, changes of the number, other pods, a deleted Lease, and
        the API server's absence alone take none. Silent: for so long that the others may give the router up."""
        near = self.log.near(failed, after=LATE)
        silent = near.of("freeze", *LOST, after=LATE, least=SILENT)
        why, seconds = (failed.status, failed.why), failed.ended - failed.begun
        if failed.status == 0 and seconds >= TIMEOUT:  # the reset of the home's connection was lost when its pod had begun
            return bool(near.of(*LOST, after=LATE))
        if failed.status == 0:  # or its answer had begun when the home was killed
            return self._met_its_end(failed, near) or bool(near.of("kill", after=KEPT, here=False))
        if why == (502, "upstream_reset"):
            return bool(silent or near.of("kill", after=KEPT, here=False) or self._killed_unseen(failed, near))
        if why == (503, "no_ready_replica"):  # it says at /readyz that it is not ready
            return UNREAD in failed.body and any(failed.begun <= self._noticed(one) + KEPT for one in self._restarts(failed))
        if why == (502, "upstream_connect_failed"):
            return bool(near.of("freeze", after=LATE, least=CONNECT))
        if why == (503, "fleet_uncovered"):
            beside = near.of("kill", "freeze", *LOST, after=LATE)
            return any(one.seconds >= COVERAGE - SILENT for one in silent) or bool(beside and near.of("api", after=LATE))
        if why == (503, "draining"):
            return bool(silent and near.of("drain", here=True)) and seconds > DRAIN_GRACE - DRAIN_DELAY
        if why == (503, "deadline_unmeetable"):
            return bool(self.log.near(failed, after=FORGOTTEN).of("freeze", after=FORGOTTEN, least=STANDSTILL))
        if why == (504, "upstream_timeout"):  # TCP sends again as long after a partition as that has lasted
            return bool(near.of(*LOST, after=LATE, least=SILENT)) and seconds > QUEUE
        return why == (503, "queue_timeout") and seconds > QUEUE - LATE and bool(silent or self._without_majority(near))

    def _noticed(self, fault):
        """When the load balancer has noticed that the router is not ready since then."""
        return max(fault.ended, self._balancer.noticed(fault.router, fault.begun))

    def _met_its_end(self, failed, near):
        """Its router was killed, or the load balancer sent it there later than a router that drains waits for it."""
        kills = [one for one in self.log.faults if one.kind == "kill" and one.is_at(failed) and one.begun <= failed.ended]
        late = [one for one in near.of("drain", after=LATE, here=True) if self._balancer.noticed(one.router, one.begun) >= one.begun + DRAIN_DELAY - KEPT]
        return any(failed.begun <= self._noticed(one) + KEPT for one in kills[-1:]) \
            or any(failed.begun <= self._balancer.noticed(one.router, one.begun) + KEPT for one in late)

    def _without_majority(self, near):
        """Routers were killed while the API server was away, or so soon before that they were still members: the rest is no majority."""
        return [one for one in self.log.faults for away in near.of("api", least=COVERAGE)
                if one.kind == "kill" and away.begun - REMOVED <= one.begun <= away.ended]

    def _killed_unseen(self, failed, near):
        """The home was killed while the client's router stood still; when it woke it sent the request there."""
        return [one for one in self.log.near(failed, after=STANDSTILL_MAX).of("kill", after=STANDSTILL_MAX, here=False)
                for each in near.of("freeze", after=LATE, here=True) if each.begun <= one.begun <= each.ended]

    def _restarts(self, failed):
        """What the router of its client was killed or drained by before it was started again."""
        ends = [one for one in self.log.faults if one.kind in ("kill", "drain") and one.is_at(failed) and one.begun <= failed.begun]
        return ends[-1:]

    def save_logs(self):
        for one in self._fleet:
            (one.folder / "log").write_text(one.log)

