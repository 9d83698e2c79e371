"""Contract, section 10: the end of the process under load."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import request
from support.http import Gone
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
        assert router.observe("/healthz")[0] == 200  # the process itself is well
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


@pytest.mark.long
def test_no_accepted_request_is_lost_or_cut_when_the_process_ends_under_load(pod, start):
    blue = pod(lambda exchange: (exchange.body(), exchange.wait(None, 0.02), exchange.answer(200, exchange.request.body)))
    router = start(endpoint(deployment([blue], slots=0)), drain_delay_ms=1000)
    failures, answered, after = [], [0], [0]
    draining = threading.Event()

    def load(number):
        """Connections that are kept until they are told to close, then opened again until nobody accepts any more."""
        while True:
            try:
                client = router.connect()
            except ConnectionRefusedError:
                return
            except OSError as error:
                failures.append(("connect", error))
                return
            with client:
                while True:
                    body = f"{number}-{answered[0]}".encode()
                    try:
                        client.send(request(body))
                        answer = client.response()
                    except (Gone, OSError, TimeoutError) as error:
                        # An idle connection may be closed after the delay, never with a request accepted before it.
                        if not (draining.is_set() and time.monotonic() > closes[0]):
                            failures.append(("exchange", repr(error)))
                        break
                    answered[0] += 1
                    if (answer.status, answer.body) != (200, body):
                        failures.append((answer.status, answer.why))
                    if answer.headers.get("connection") == "close":
                        after[0] += draining.is_set()
                        break

    closes = [float("inf")]
    with ThreadPoolExecutor(16) as pool:
        loads = [pool.submit(load, number) for number in range(16)]
        eventually(lambda: answered[0] > 100, "load")
        draining.set()
        closes[0] = time.monotonic() + 0.95
        router.signal(signal.SIGTERM)
        for one in loads:
            one.result()
    assert router.wait_exit() == 0
    assert failures == []
    assert after[0] > 10


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


def test_requests_in_line_are_served_during_the_grace(pod, start):
    release = threading.Event()

    def hold(exchange):
        exchange.body()
        exchange.wait(release)
        exchange.answer()

    blue = pod(hold)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=30000, request_timeout_ms=30000)))
    clients = [router.start_request(b"x") for _ in range(5)]
    eventually(lambda: router.queue_length() == 4, "four to wait")
    router.signal(signal.SIGTERM)
    eventually(lambda: not is_listening(router.port), "the listener to close")
    release.set()
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert router.wait_exit() == 0


def test_when_the_grace_ends_the_line_is_refused_and_the_rest_is_cut(pod, start):
    blue = pod(lambda exchange: exchange.wait_for_close())
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000)), drain_grace_ms=1000)
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second")
    router.signal(signal.SIGTERM)
    answer = waiting.response()
    assert (answer.status, answer.why) == (503, "draining")
    assert answer.headers.get("connection") == "close"
    running.reader.until_close()
    assert router.wait_exit() == 0
    eventually(lambda: blue.aborts == 1, "the pod to see the end")
    assert len(blue.requests) == 1, "what waited was sent to the slot of what was cut"
    running.close(), waiting.close()


def test_when_the_grace_ends_no_freed_slot_goes_to_who_waits(pod, start):
    """Many of either, over all shards: those that are cut first must not make room for the others."""
    blue = pod(lambda exchange: exchange.wait_for_close())
    settings = dict(slots=20, max_queue_wait_ms=60000, request_timeout_ms=60000)
    router = start(endpoint(deployment([blue], **settings)), drain_grace_ms=500)
    running = [router.start_request(b"runs") for _ in range(20)]
    eventually(lambda: blue.concurrent == 20, "those that run")
    waiting = [router.start_request(b"waits") for _ in range(20)]
    eventually(lambda: router.queue_length() == 20, "those that wait")
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
    """Connections still in the kernel's queue when accepting ends."""
    router = start(endpoint(deployment([pod()], slots=0)))
    clients = [router.start_request(b"x") for _ in range(50)]
    router.signal(signal.SIGTERM)
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert router.wait_exit() == 0


def test_a_new_connection_may_still_send_its_first_request(pod, start):
    """Who has just connected is about to ask, also when the listener has closed meanwhile."""
    router = start(endpoint(deployment([pod()])))
    client = router.connect()
    router.signal(signal.SIGTERM)
    eventually(lambda: not is_listening(router.port), "the listener to close")
    answer = client.exchange(b"x")
    assert (answer.status, answer.body) == (200, b"x")
    assert answer.headers.get("connection") == "close" and client.is_closed()
    assert router.wait_exit() == 0


def test_a_new_connection_that_asks_nothing_delays_the_end_by_a_second(pod, start):
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        begun = time.monotonic()
        router.signal(signal.SIGTERM)
        assert client.is_closed()
        assert 0.9 < time.monotonic() - begun < 10
    assert router.wait_exit() == 0


def test_an_idle_process_ends_at_once_and_its_ports_are_free(pod, start):
    router = start(endpoint(deployment([pod()])))
    begun = time.monotonic()
    router.signal(signal.SIGTERM)
    assert router.wait_exit() == 0
    assert time.monotonic() - begun < 3
    for port in (router.port, router.observe_port, router.admin_port):
        assert not is_listening(port)
