"""One client and one replica that run in lockstep with the router's only shard: each step waits until the shard sleeps. The number of
polls without result, and so the number of system calls of an exchange, is then the same each time."""
import contextlib
import os
import pathlib
import platform
import queue
import socket
import threading
import time

import checks
from checks import require
from proxies import wait_until

PATIENCE_SECONDS = 60
WARM_UP = 150  # exchanges, twice: after them buffers, caches and OpenSSL's lazy objects are allocated
BODY = b"x" * 1024
TRUST_SECONDS = 0.15  # the router trusts a replica whose connection has stayed open for more than 100 ms after an answer
REST_SECONDS = 0.4  # longer than the router keeps an idle connection in its slot (router/upstream)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" + b"x" * 200
WAITS = {"x86_64": (232, 281), "aarch64": (22,)}  # epoll_wait, epoll_pwait


class Shard:
    """The thread that serves requests. There is only one: `threads: 1`."""

    def __init__(self, pid):
        wait_until(lambda: self._find(pid), "the shard's thread begins")
        self.file = os.open(f"/proc/{pid}/task/{self.thread}/syscall", os.O_RDONLY)

    def _find(self, pid):
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())  # in the order in which they began
        shards = [task for task in tasks if (task / "comm").read_text().startswith("shard")]
        require(len(shards) < 2, "only one shard is wanted")
        if shards:
            self.thread, self.number = int(shards[0].name), tasks.index(shards[0]) + 1
        return bool(shards)

    def close(self):
        os.close(self.file)

    def _sleeps(self):
        """Whether the shard waits in epoll_wait with a timeout; when the poller only looks, its timeout is 0."""
        words = os.pread(self.file, 256, 0).split()  # the call's number and arguments, or `running`
        return len(words) > 4 and words[0].isdigit() and int(words[0]) in WAITS[platform.machine()] and int(words[4], 16) != 0

    def wait_until_it_sleeps(self):
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._sleeps():
            require(time.monotonic() < until, "the shard does not come to rest")
            os.sched_yield()


class Replica:
    """Answers readiness probes; passes connections that begin with a POST to Lockstep. Runs until the process ends."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.posts = queue.Queue()  # connection, bytes that were read from it
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            threading.Thread(target=self._begin, args=self.listener.accept()[:1], daemon=True).start()

    def _begin(self, connection):
        connection.settimeout(PATIENCE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            begun = connection.recv(65536)
            if begun.startswith(b"POST"):
                self.posts.put((connection, begun))
                return
            with connection:
                connection.sendall(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


def _read_message(connection, begun=b""):
    """Reads the rest of a message that begins with `begun`; returns all of it."""
    while True:
        head, empty_line, body = begun.partition(b"\r\n\r\n")
        if empty_line and len(body) >= int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]):
            return begun
        piece = connection.recv(65536)
        require(piece, f"a connection ended within an exchange, after {begun!r}")
        begun += piece


class Renewed(Exception):
    """The machine paused for so long that the router closed the idle connection to the replica: the figures include that."""


class Lockstep:
    """A warmed-up, kept-alive connection through the router to the replica."""

    def __init__(self, shard, replica, proxy, key, tls, slots):
        self.shard, self.replica, self.upstream = shard, replica, None
        self.rest = REST_SECONDS if slots else 0  # without limit it is in the shard's pool, which keeps it for longer
        self.request = (f"POST {checks.PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
                        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n").encode() + BODY
        self.client = socket.create_connection(("127.0.0.1", proxy.https["ecdsa"] if tls else proxy.http), PATIENCE_SECONDS)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.client = checks.client_context().wrap_socket(self.client)
        self._exchange()
        time.sleep(TRUST_SECONDS)
        for _ in range(2):
            with contextlib.suppress(Renewed):
                self.run(WARM_UP)

    def run(self, exchanges):
        """Runs exchanges. Before and after them the connection to the replica is idle for so long that the router closes it. So the first
        exchange always opens a new one, however long the counting tool takes to start."""
        time.sleep(self.rest)
        self._exchange()
        upstream = self.upstream
        for _ in range(exchanges):
            self._exchange()
        time.sleep(self.rest)
        self.shard.wait_until_it_sleeps()
        if self.upstream is not upstream:
            raise Renewed

    def _exchange(self):
        self.client.sendall(self.request)
        self._read_request()
        self.shard.wait_until_it_sleeps()
        self.upstream.sendall(ANSWER)
        answer = _read_message(self.client)
        require(answer.startswith(b"HTTP/1.1 200 "), f"the router answered {answer!r}")
        self.shard.wait_until_it_sleeps()

    def _read_request(self):
        begun = self.upstream.recv(65536) if self.upstream else b""
        if not begun:  # closed by the router, or there was none
            self._forget_upstream()
            self.upstream, begun = self.replica.posts.get(timeout=PATIENCE_SECONDS)
        _read_message(self.upstream, begun)

    def _forget_upstream(self):
        if self.upstream:
            self.upstream.close()

    def close(self):
        self.client.close()
        self._forget_upstream()
