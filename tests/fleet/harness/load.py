"""Load over a fleet: a balancer that follows /readyz, and clients that go where it points."""

import asyncio
import math
import time
from dataclasses import dataclass

from support.load import Load

POLL = 0.1  # seconds between two looks at one router's readiness
LOOK_MAX = 2.5  # seconds that a look, and the pause before it, may take on a busy machine


class Balancer:
    """Knows which routers are ready, as a load balancer does. A router that does not answer is out of rotation at once."""

    def __init__(self, background, routers):
        self._background = background
        self.ready = list(routers)
        self.hosts = {}  # by port
        self.changes = []  # (time, router, whether it is in rotation since then)
        self._turn = 0
        self._polls = {}
        for one in routers:
            self.add(one)

    def add(self, router):
        """Follows one more router."""
        self.hosts[router.port] = router.host
        self._polls[router] = self._background.start(self._follow(router))

    def remove(self, router):
        """Forgets a router that has ended for good."""
        self._polls.pop(router).cancel()
        self._background.call(self._take_out, router)

    def _take_out(self, router):
        if router in self.ready:
            self.changes.append((time.monotonic(), router, False))
        self.ready = [one for one in self.ready if one is not router]

    def noticed(self, router, since):
        """When it has taken the router out of rotation after that time. It may not see that a router was away for a moment only; then the
        clients have noticed that themselves by the time of a look."""
        return min(next((at for at, one, ready in self.changes if one is router and at > since and not ready), math.inf), since + LOOK_MAX)

    def pick(self):
        ready = self.ready
        if not ready:
            return None
        self._turn += 1
        return ready[self._turn % len(ready)]

    def stop(self):
        for one in self._polls.values():
            one.cancel()

    async def _follow(self, router):
        while True:
            await asyncio.sleep(POLL)
            try:
                ready = await asyncio.wait_for(_is_ready(router.host, router.observe_port), 2)
            except (OSError, EOFError, asyncio.TimeoutError):
                ready = False
            if ready and router not in self.ready:
                self.changes.append((time.monotonic(), router, True))
                self.ready = [*self.ready, router]
            elif not ready:
                self._take_out(router)


async def _is_ready(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).split(b" ")[1] == b"200"
    finally:
        writer.close()


class FleetLoad(Load):
    """`clients` clients together send about `rate` requests a second, each to the next router in rotation, on a connection that is kept
    for that router. `client` of an outcome is the router's port."""

    def __init__(self, background, balancer, rate, clients, **options):
        self._balancer = balancer
        super().__init__(background, 0, rate, clients, **options)

    def add(self, router):
        self._balancer.add(router)

    def take_ended(self):
        """Returns the outcomes that have ended, and forgets them: those of an hour would need a gigabyte."""
        return self._background.call(self._take_ended)

    def _take_ended(self):
        ended = [one for one in self.outcomes if one.ended]
        self.outcomes = [one for one in self.outcomes if not one.ended]
        return ended

    async def _client(self, number, period):
        kept = {}
        next_at = time.monotonic() + period * number / 10
        while not self._stopping:
            self._close(kept)
            router = self._balancer.pick()
            pause = next_at - time.monotonic()
            if pause > 0 or router is None:
                await asyncio.sleep(min(max(pause, 0.01), 0.2))
                continue
            next_at = max(next_at + period, time.monotonic() - period)
            connection = await self._one(router.port, router.port, kept.pop(router.port, None))
            if connection:
                kept[router.port] = connection
        for connection in kept.values():
            connection.end()

    async def _open(self, port):
        try:
            return await asyncio.open_connection(self._balancer.hosts[port], port)
        except OSError as error:  # asyncio says so of those only that fail later
            raise OSError(error.errno, f"Connect call failed: {error}") from error

    def _close(self, kept):
        """Gives up the connections to routers out of rotation, and those that have ended, as a load balancer does."""
        ready = {one.port for one in self._balancer.ready}
        for port in [port for port, one in kept.items() if port not in ready or one.reader.at_eof()]:
            kept.pop(port).end()


@dataclass
class Sorted:
    """The outcomes of a load: a connection that could not be made is not a request."""
    served: list
    failed: list
    refused: list


def sort(outcomes):
    refused = [one for one in outcomes if "ConnectionRefused" in one.broken or "Connect call failed" in one.broken]
    ids = {one.id for one in refused}
    sent = [one for one in outcomes if one.id not in ids]
    return Sorted([one for one in sent if one.served], [one for one in sent if not one.served], refused)


def told(outcomes, most=20):
    """One line for each, for the message of an assertion."""
    return "\n".join(f"{one.id} at {one.client}: {one.begun:.3f} to {one.ended:.3f}, {one.status} {one.why} {one.broken} {one.body[:300]}"
                     for one in outcomes[:most])
