"""Steady load from many clients. Each client keeps its connection open; every outcome is recorded."""

import asyncio
import itertools
import random
import socket
import struct
import time
import uuid
from dataclasses import dataclass, field

from .client import request


@dataclass
class Plan:
    """One request, and whether its client waits for the end of the answer."""
    method: str = "POST"
    body: bytes = b"x"
    headers: dict = field(default_factory=dict)
    key: str = None  # None: the key of the load
    leave_after: float = None  # seconds after the head was sent at which the client closes the connection
    leave_by_reset: bool = False
    upload: float = 0.0  # seconds that the second half of the body takes to send
    path: str = None  # None: the usual endpoint


@dataclass
class Outcome:
    id: str
    plan: Plan
    client: int
    begun: float
    ended: float = 0.0
    status: int = 0  # 0: no whole answer
    why: str = ""  # x-router-reason
    retry_after: str = ""
    pod: str = ""
    echo_id: str = ""
    body: bytes = b""
    broken: str = ""  # how the connection ended before the answer did
    left: bool = False  # the client closed the connection on purpose

    @property
    def served(self):
        """Whether this is the pod's own, whole answer to this very request."""
        return self.status == 200 and self.echo_id == self.id and not self.broken


class _Cut(Exception):
    pass


class _Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    def end(self, reset=False):
        sock = self.writer.get_extra_info("socket")
        if reset and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort() if reset else self.writer.close()

    async def line(self):
        line = await self.reader.readline()
        if not line.endswith(b"\n"):
            raise _Cut("the connection ended")
        return line.rstrip(b"\r\n")

    async def answer(self, method):
        """Returns (status, headers, body) of the next whole answer."""
        version, status, _ = ((await self.line()).decode("latin-1") + " ").split(" ", 2)
        if version != "HTTP/1.1":
            raise _Cut(f"not HTTP: {version!r}")
        headers = {}
        while line := await self.line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = b""
        if method == "HEAD":
            return int(status), headers, body
        if "transfer-encoding" in headers:
            while size := int(await self.line(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.line()
        else:
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(status), headers, body


class Load:
    """`clients` clients together send about `rate` requests a second. On a slow machine the rate is lower, since each client waits for its
    answer before it sends again. `plan(number)` makes each request; `port` may be a list, of which each client uses one."""

    PATIENCE = 60.0  # seconds for one answer

    def __init__(self, background, port, rate, clients, plan=lambda number: Plan(), tls=None, key=None,
                 host="127.0.0.1"):
        self.outcomes = []
        self._host = host
        self.key = key
        self._ports = port if isinstance(port, list) else [port]
        self._plan, self._tls = plan, tls
        self._numbers = itertools.count()
        self._stopping = False
        self._background = background
        self._running = [background.start(self._client(number, clients / rate)) for number in range(clients)]
        self.begun = time.monotonic()

    def stop(self):
        """Sends no new requests, waits for the answers that are still due, and returns the outcomes."""
        self._stopping = True
        self.ended = time.monotonic()
        for one in self._running:
            one.result(self.PATIENCE + 10)
        return self.outcomes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    async def _client(self, number, period):
        connection = None
        port = self._ports[number % len(self._ports)]
        next_at = time.monotonic() + random.random() * period
        while not self._stopping:
            pause = next_at - time.monotonic()
            if pause > 0:
                await asyncio.sleep(min(pause, 0.2))
                continue
            next_at = max(next_at + period, time.monotonic() - period)
            connection = await self._one(number, port, connection)
        if connection:
            connection.end()

    async def _one(self, client, port, connection):
        """Sends one request. Returns the connection if it can be used again."""
        plan = self._plan(next(self._numbers))
        outcome = Outcome(str(uuid.uuid4()), plan, client, time.monotonic())
        self.outcomes.append(outcome)
        try:
            if connection is None:
                connection = _Connection(*await self._open(port))
            exchange = self._exchange(connection, plan, outcome)
            if plan.leave_after is None:
                keep = await asyncio.wait_for(exchange, self.PATIENCE)
            else:
                keep = await asyncio.wait_for(exchange, plan.leave_after)
        except asyncio.TimeoutError:
            outcome.left = plan.leave_after is not None
            outcome.broken = "" if outcome.left else f"no answer within {self.PATIENCE} s"
            keep = False
        except (_Cut, OSError, EOFError, ValueError) as error:
            outcome.broken = repr(error)
            keep = False
        outcome.ended = time.monotonic()
        if keep:
            return connection
        if connection:
            connection.end(plan.leave_by_reset and outcome.left)
        return None

    def _open(self, port):
        name = {"server_hostname": "router.test"} if self._tls else {}
        return asyncio.open_connection(self._host, port, ssl=self._tls, **name)

    async def _exchange(self, connection, plan, outcome):
        key = plan.key or self.key
        given = {name: value for name, value in (("key", key), ("path", plan.path)) if value}
        data = request(plan.body, method=plan.method, headers={"x-request-id": outcome.id, **plan.headers}, **given)
        later = len(plan.body) // 2 if plan.upload else 0
        connection.writer.write(data[:len(data) - later])
        sending = asyncio.create_task(self._upload(connection, data[len(data) - later:], plan.upload)) if later else None
        try:
            status, headers, body = await connection.answer(plan.method)
        finally:
            if sending:
                sending.cancel()
        outcome.status, outcome.body = status, body
        outcome.why, outcome.retry_after = headers.get("x-router-reason", ""), headers.get("retry-after", "")
        outcome.pod, outcome.echo_id = headers.get("x-pod", ""), headers.get("x-echo-id", "")
        return headers.get("connection") != "close"

    async def _upload(self, connection, data, seconds):
        pieces = 10
        size = -(-len(data) // pieces)
        for start in range(0, len(data), size):
            await asyncio.sleep(seconds / pieces)
            connection.writer.write(data[start:start + size])
