"""The process of harness/pods.py: model servers that count their exchanges and connections.

An exchange counts from its whole head until just before its last byte is sent, or until the pod notices that the connection has ended. A
connection counts from its first request that is no probe until the pod notices its end. The counting is on the pod's side alone: what a
router believes does not matter.

`x-do` selects what to do with a request: words separated by commas, each with an optional `=value`: `sleep=SECONDS`, `stream=PIECES`,
`status=CODE`. Commands come as lines of JSON on stdin; each is answered by one line on stdout."""

import asyncio
import json
import select
import socket
import struct
import sys
import time
from collections import Counter

RECORDED_MAX = 200_000  # exchanges of one pod
OVER_MAX = 10_000  # what one pod writes down of what must never happen


class Pod:
    def __init__(self, name, slots, sleep, host="127.0.0.1", port=0):
        self.name, self.slots, self.sleep = name, slots, sleep
        self.host, self.port, self.server = host, port, None
        self.ready = True
        self.open, self.running = set(), set()  # connections that count; those of them with an exchange
        self.most_connections = self.most_exchanges = self.probes = 0
        self.begun, self.ended = [], []  # [request id, time]
        self.aborted = []  # [request id, time]
        self.over = []  # what must never happen
        self.routers = Counter()  # by the last name in Via
        self.lives = 0
        self.transports = set()

    async def listen(self):
        self.lives += 1
        self.server = await asyncio.get_running_loop().create_server(lambda: Connection(self), self.host, self.port, backlog=512)
        self.port = self.server.sockets[0].getsockname()[1]

    def die(self):
        """Ends as a killed process: its port refuses, every connection is reset."""
        self.server.close()
        for transport in list(self.transports):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    def count(self, which, connection, kind):
        """Adds a connection to a set. Others whose end has arrived, and is not read yet, have ended: the kernel's order tells."""
        if connection not in which and self.slots and len(which) >= self.slots:
            for other in [other for other in which if has_ended(other)]:
                other.gone()
        which.add(connection)
        if self.slots and len(which) > self.slots and len(self.over) < OVER_MAX:
            self.over.append({"at": time.monotonic(), "pod": self.name, "kind": kind, "slots": self.slots,
                              "of": [{"id": one.id, "router": one.router, "peer": one.peer, "since": one.since} for one in which]})

    def figures(self):
        return {"name": self.name, "exchanges": len(self.running), "connections": len(self.open), "probes": self.probes,
                "most_exchanges": self.most_exchanges, "most_connections": self.most_connections, "over": self.over,
                "begun": len(self.begun), "ended": len(self.ended), "aborted": len(self.aborted), "routers": self.routers,
                "lives": self.lives}


def has_ended(connection):
    poll = select.poll()
    poll.register(connection.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


class Connection(asyncio.Protocol):
    def __init__(self, pod):
        self.pod, self.data, self.timer = pod, b"", None
        self.id, self.router, self.since = "", "", 0.0  # of the newest request; the last router in Via is the one that had the client
        self.peer = ""  # the address of the router that has the connection
        self.left = 0  # of the request's body

    def connection_made(self, transport):
        self.transport = transport
        self.pod.transports.add(transport)
        self.peer = transport.get_extra_info("peername")[0]
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def eof_received(self):
        self.gone()

    def connection_lost(self, _):
        self.pod.transports.discard(self.transport)
        self.gone()

    def gone(self):
        if self.timer:
            self.timer.cancel()
            self.timer = None
        if self in self.pod.running:
            self.pod.running.discard(self)
            self.pod.aborted.append([self.id, time.monotonic()])
        self.pod.open.discard(self)

    def data_received(self, data):
        self.data += data
        while self not in self.pod.running and b"\r\n\r\n" in self.data and not self.transport.is_closing():
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            self.begin(*parse(head))
        if self in self.pod.running and self.timer is None:
            self.body_arrived()

    def begin(self, target, headers):
        if target == "/ready":
            self.pod.probes += 1
            self.transport.write(head_of(200 if self.pod.ready else 503, 0))
            return
        self.headers = headers
        self.id, self.since = headers.get("x-request-id", ""), time.monotonic()
        self.router = headers.get("via", "").rpartition(" ")[2]
        pod = self.pod
        pod.count(pod.open, self, "connections")
        pod.count(pod.running, self, "exchanges")
        pod.most_connections = max(pod.most_connections, len(pod.open))
        pod.most_exchanges = max(pod.most_exchanges, len(pod.running))
        pod.routers[self.router] += 1
        if len(pod.begun) < RECORDED_MAX:
            pod.begun.append([self.id, self.since])
        self.do = dict(word.partition("=")[::2] for word in headers.get("x-do", "").split(",") if word)
        self.left = int(headers.get("content-length", "0"))
        self.body = b""

    def body_arrived(self):
        if len(self.body) < self.left:
            piece = self.data[:self.left - len(self.body)]
            self.body, self.data = self.body + piece, self.data[len(piece):]
        if len(self.body) == self.left:
            sleep = float(self.do.get("sleep", self.pod.sleep))
            self.timer = asyncio.get_running_loop().call_later(sleep, self.stream if "stream" in self.do else self.answer)

    def answer(self):
        head = head_of(int(self.do.get("status", "200")), len(self.body), f"x-echo-id: {self.id}", f"x-pod: {self.pod.name}")
        self.finish(head + self.body)

    def stream(self, number=0):
        if number == 0:
            self.transport.write(head_of(200, None, "Transfer-Encoding: chunked", f"x-echo-id: {self.id}", f"x-pod: {self.pod.name}"))
        if number == int(self.do["stream"]):
            self.finish(b"0\r\n\r\n")
            return
        self.transport.write(b"8\r\n%08d\r\n" % number)
        self.timer = asyncio.get_running_loop().call_later(0.01, self.stream, number + 1)

    def finish(self, data):
        self.timer = None
        self.pod.running.discard(self)
        self.pod.ended.append([self.id, time.monotonic()])
        self.transport.write(data)
        if self.data:
            self.data_received(b"")


def parse(head):
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return first.split(" ")[1], headers


def head_of(status, length, *more):
    fields = [f"Content-Length: {length}"] if length is not None else []
    return "\r\n".join([f"HTTP/1.1 {status} Fine", *fields, *more, "", ""]).encode()


async def obey(pods, command):
    pod = pods.get(command.get("pod"))
    match command["do"]:
        case "figures":
            return [one.figures() for one in pods.values()]
        case "set":
            for name in ("sleep", "slots", "ready"):
                setattr(pod, name, command.get(name, getattr(pod, name)))
        case "record":
            return {"begun": pod.begun, "ended": pod.ended, "aborted": pod.aborted}
        case "die":
            pod.die()
        case "live":
            await pod.listen()
    return True


async def main():
    pods = {one["name"]: Pod(**one) for one in json.loads(sys.argv[1])}
    for pod in pods.values():
        await pod.listen()
    print(json.dumps({name: pod.port for name, pod in pods.items()}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():  # the end of the test's process ends this one
        print(json.dumps(await obey(pods, json.loads(line))), flush=True)


asyncio.run(main())
