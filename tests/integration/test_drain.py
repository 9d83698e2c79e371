"""Contract, section 10: the process ends under load."""

import random
import select
import signal
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import request
from support.http import Gone
from support.pod import Held
from support.router import is_listening
from support.settings import deployment, endpoint
from support.wait import eventually

DRAIN = {"drain_delay_ms": 1000, "drain_grace_ms": 8000}


def drain_by_signal(router):
    router.signal(signal.SIGTERM)


def drain_by_interrupt(router):
    router.signal(signal.SIGINT)


def drain_by_request(router):
    status, _ = router.admin("/drain", "POST")
    assert status in (200, 202, 204)


@pytest.mark.parametrize("begin", [drain_by_signal, drain_by_interrupt, drain_by_request], ids=["SIGTERM", "SIGINT", "POST /drain"])
def test_readiness_fails_while_accepting_goes_on_and_answers_say_close(pod, start, begin):
    router = start(endpoint(deployment([pod()])), **DRAIN)
    with router.connect() as old, router.connect() as idle:
        assert old.exchange(b"x").headers.get("connection") is None
        begin(router)
        eventually(lambda: router.observe("/readyz")[0] == 503, "readiness to fail")
        assert router.observe("/healthz")[0] == 200  # the process itself is healthy
        answer = router.score(b"new")
        assert (answer.status, answer.body) == (200, b"new")
        assert answer.headers.get("connection") == "close"
        health = router.score(method="GET", path="/healthz", key=None)
        assert health.status == 503 and health.headers.get("connection") == "close"
        answer = old.exchange(b"old")
        assert answer.status == 200 and answer.headers.get("connection") == "close"
        assert old.is_closed()
        assert is_listening(router.port)
        assert idle.is_closed()  # after the delay
    assert router.wait_exit() == 0


def bytes_acknowledged(sock):
    """Returns how many of the sent bytes the peer's kernel has acknowledged (tcpi_bytes_acked)."""
    return struct.unpack_from("Q", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 120)[0]


def has_ended(sock):
    """Whether the peer has closed with a FIN and sent nothing before it. A reset raises an error."""
    return bool(select.select([sock], [], [], 0)[0]) and sock.recv(1, socket.MSG_PEEK) == b""


class LoadThroughDrain:
    """Clients that send requests until no connection is accepted any more. `failures` has each event that the contract forbids.

    Two events are allowed, only for requests sent after the delay, and each has to be proved:
    - `raced`: a kept connection was idle and was closed with a FIN; the router's kernel acknowledged no byte of the request.
    - `unaccepted`: a new connection arrived after the listener had accepted its last one. The router's count of accepted connections
      must lack exactly these."""

    def __init__(self, router):
        self._router, self._lock = router, threading.Lock()
        self.closes = float("inf")  # before that, neither idle connections nor listeners may close
        self.failures, self.raced, self.unaccepted = [], [], []
        self.connects = self.answered = self.told_to_close = self.answered_across = self.closed_idle = 0

    def drain(self, delay):
        self.closes = time.monotonic() + delay
        self._router.signal(signal.SIGTERM)

    def connect(self):
        """Returns None when no connection is accepted any more."""
        try:
            client = self._router.connect()
        except ConnectionRefusedError:
            assert time.monotonic() >= self.closes, "refused before the delay was over"
            return None
        with self._lock:
            self.connects += 1
        return client

    def keep_asking(self, number):
        """Sends one request after another, and keeps a connection until an answer says that it closes."""
        turn = 0
        while client := self.connect():
            with client:
                kept = False
                while self.ask(client, f"steady {number}.{turn}".encode(), kept):
                    turn, kept = turn + 1, True
            turn += 1

    def ask_around_the_close(self, number, offset):
        """Sends a request on a connection that has been idle since before the drain, `offset` seconds after the end of the delay (before
        it, if negative)."""
        with self.connect() as client:
            assert self.ask(client, f"idle {number}.0".encode(), kept=False)
            eventually(lambda: self.closes < float("inf"), "the drain", patience=60)
            time.sleep(max(0.0, self.closes + offset - time.monotonic()))  # the subject of the test, not a wait
            self.ask(client, f"idle {number}.1".encode(), kept=True)

    def wait_to_be_closed(self, number):
        """Keeps a connection on which it sends nothing any more."""
        with self.connect() as client:
            assert self.ask(client, f"silent {number}".encode(), kept=False)
            client.socket.settimeout(60)
            if not client.is_closed() or time.monotonic() < self.closes:
                self.failures.append(("not closed, or too early", number))

    def ask(self, client, body, kept):
        """Returns True if the connection stays open."""
        if kept and has_ended(client.socket):
            with self._lock:
                self.closed_idle += 1
            if time.monotonic() < self.closes:
                self.failures.append(("an idle connection was closed before the delay was over", body))
            return False
        taken = bytes_acknowledged(client.socket)
        sent = time.monotonic()
        try:
            client.send(request(body))
            client.reader.fill()
        except (Gone, OSError) as error:
            orderly = isinstance(error, Gone) and error.__cause__ is None
            self._note_no_answer(client, body, kept, sent, orderly, taken)
            return False
        try:
            answer = client.response()
        except (Gone, OSError) as error:
            self.failures.append(("cut in the middle of its answer", body, repr(error)))
            return False
        return self._note_answer(answer, body, sent)

    def _note_no_answer(self, client, body, kept, sent, orderly, taken):
        late = sent >= self.closes
        if late and kept and orderly and bytes_acknowledged(client.socket) == taken:
            self.raced.append(body)
        elif late and not kept and not orderly:
            self.unaccepted.append(body)
        else:
            self.failures.append(("no answer", body, {"kept": kept, "late": late, "orderly": orderly}))

    def _note_answer(self, answer, body, sent):
        closes = answer.headers.get("connection") == "close"
        with self._lock:
            self.answered += 1
            self.told_to_close += closes
            self.answered_across += sent < self.closes <= time.monotonic()
        if (answer.status, answer.body) != (200, body):
            self.failures.append((answer.status, answer.why, body))
        return not closes


@pytest.mark.serial
@pytest.mark.long
def test_no_accepted_request_is_lost_or_cut_when_the_process_ends_under_load(pod, start):
    release = threading.Event()

    def serve(exchange):
        if exchange.body() == b"held":
            exchange.wait(release)
        exchange.wait(None, random.uniform(0.005, 0.1))
        exchange.answer(200, exchange.request.body)

    blue = pod(serve)
    router = start(endpoint(deployment([blue], slots=0, request_timeout_ms=60000)), **DRAIN)
    load = LoadThroughDrain(router)
    offsets = [-0.2 + 0.4 * number / 24 for number in range(24)]
    with ThreadPoolExecutor(64) as pool, router.start_request(b"held") as held:
        running = [pool.submit(load.keep_asking, number) for number in range(16)]
        running += [pool.submit(load.ask_around_the_close, number, offset) for number, offset in enumerate(offsets)]
        running += [pool.submit(load.wait_to_be_closed, number) for number in range(8)]
        try:
            eventually(lambda: load.answered > 200, "load")
        finally:
            load.drain(DRAIN["drain_delay_ms"] / 1000)
        for one in running:
            one.result()
        # A held request keeps the process alive while the test reads the metrics.
        accepted = router.metrics().value("connections_total")
        release.set()
        answer = held.response()
        assert (answer.status, answer.body, answer.headers.get("connection")) == (200, b"held", "close")
    assert router.wait_exit() == 0
    assert time.monotonic() < load.closes + (DRAIN["drain_grace_ms"] - DRAIN["drain_delay_ms"]) / 1000
    assert load.failures == []
    reached = {one.body for one in blue.requests}
    assert reached.isdisjoint(load.raced + load.unaccepted)
    assert accepted == 1 + load.connects - len(load.unaccepted), "an accepted connection was dropped"
    assert len(reached) == 1 + load.answered == len(blue.requests)
    assert load.told_to_close > 10 and load.answered_across > 0 and load.closed_idle > 0


def test_a_running_stream_is_served_to_its_end(pod, start):
    release = threading.Event()

    def stream(exchange):
        exchange.body()
        exchange.begin_chunks()
        exchange.chunk(b"before")
        exchange.wait(release)
        exchange.chunk(b"after")
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(stream)])))
    with router.start_request(b"x") as client:
        client.head()
        assert client.chunk() == b"before"
        router.signal(signal.SIGTERM)
        eventually(lambda: not is_listening(router.port), "the listener to close")
        release.set()
        assert client.chunk() == b"after" and client.chunk() == b""
        assert client.reader.fields() == [] and client.is_closed()
    assert router.wait_exit() == 0


def test_waiting_requests_are_served_during_the_grace(pod, start):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=30000, request_timeout_ms=30000)))
    clients = [router.start_request(b"x") for _ in range(5)]
    eventually(lambda: router.queue_length() == 4, "four requests to wait")
    router.signal(signal.SIGTERM)
    eventually(lambda: not is_listening(router.port), "the listener to close")
    hold.release.set()
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert router.wait_exit() == 0


def test_when_the_grace_ends_waiting_requests_are_refused_and_the_rest_is_cut(pod, start):
    blue = pod(lambda exchange: exchange.wait_for_close())
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000)), drain_grace_ms=1000)
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    router.signal(signal.SIGTERM)
    answer = waiting.response()
    assert (answer.status, answer.why) == (503, "draining")
    assert answer.headers.get("connection") == "close"
    running.reader.until_close()
    assert router.wait_exit() == 0
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended")
    assert len(blue.requests) == 1, "the router sent a waiting request when a request was cut"
    running.close(), waiting.close()


def test_when_the_grace_ends_no_freed_slot_goes_to_who_waits(pod, start):
    """Many requests run and many wait, over all shards: the slots of those that are cut first must not go to the others."""
    blue = pod(lambda exchange: exchange.wait_for_close())
    settings = dict(slots=20, max_queue_wait_ms=60000, request_timeout_ms=60000)
    router = start(endpoint(deployment([blue], **settings)), drain_grace_ms=500)
    running = [router.start_request(b"runs") for _ in range(20)]
    eventually(lambda: blue.concurrent == 20, "the running requests")
    waiting = [router.start_request(b"waits") for _ in range(20)]
    eventually(lambda: router.queue_length() == 20, "the waiting requests")
    router.signal(signal.SIGTERM)
    for client in waiting:
        answer = client.response()
        assert (answer.status, answer.why) == (503, "draining")
    for client in running:
        client.reader.until_close()
    assert router.wait_exit() == 0
    assert len(blue.requests) == 20
    for client in running + waiting:
        client.close()


def test_what_has_arrived_before_the_listener_closes_is_served(pod, start):
    """The kernel still holds some connections when the router stops accepting: they are served."""
    router = start(endpoint(deployment([pod()], slots=0)))
    clients = [router.start_request(b"x") for _ in range(50)]
    router.signal(signal.SIGTERM)
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert router.wait_exit() == 0


def test_a_new_connection_may_still_send_its_first_request(pod, start):
    """A client that has just connected may still send its request after the listener has closed."""
    router = start(endpoint(deployment([pod()])))
    client = router.connect()
    router.signal(signal.SIGTERM)
    eventually(lambda: not is_listening(router.port), "the listener to close")
    answer = client.exchange(b"x")
    assert (answer.status, answer.body) == (200, b"x")
    assert answer.headers.get("connection") == "close" and client.is_closed()
    assert router.wait_exit() == 0


@pytest.mark.serial
def test_a_new_connection_that_asks_nothing_delays_the_end_by_a_second(pod, start):
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        begun = time.monotonic()
        router.signal(signal.SIGTERM)
        assert client.is_closed()
        assert 0.9 < time.monotonic() - begun < 10
    assert router.wait_exit() == 0


@pytest.mark.serial
def test_an_idle_process_ends_at_once_and_its_ports_are_free(pod, start):
    router = start(endpoint(deployment([pod()])))
    begun = time.monotonic()
    router.signal(signal.SIGTERM)
    assert router.wait_exit() == 0
    assert time.monotonic() - begun < 3
    for port in (router.port, router.observe_port, router.admin_port):
        assert not is_listening(port)


def test_a_head_that_is_never_completed_does_not_outlast_the_grace(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"header_timeout_ms": 600_000}, drain_grace_ms=500)
    with router.connect() as client:
        client.send(b"GET /healthz HTTP/1.1\r\nX: ")
        eventually(lambda: router.metrics().value("connections_active") == 1, "the connection to be accepted")
        router.signal(signal.SIGTERM)
        assert client.is_closed()
        assert router.wait_exit() == 0


def test_a_proxy_header_that_is_never_completed_does_not_outlast_the_delay(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"header_timeout_ms": 600_000}, trusted_proxies=["127.0.0.1"],
                   listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}])
    with router.connect() as client:
        client.send(b"PROXY TCP4 ")
        eventually(lambda: router.metrics().value("connections_active") == 1, "the connection to be accepted")
        router.signal(signal.SIGTERM)
        assert client.is_closed()
        assert router.wait_exit() == 0
