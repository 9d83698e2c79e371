"""Contract, section 5: the client may close its connection at any moment. The pod notices it, and the slot is free again."""

import threading

import pytest
from support.client import request
from support.pod import Held
from support.settings import deployment, endpoint
from support.wait import eventually

PATIENT = {"max_queue_wait_ms": 60000, "request_timeout_ms": 60000}


def leave_by_close(client):
    client.close()


def leave_by_reset(client):
    client.reset()


def leave_by_fin(client):
    client.finish_sending()


WAYS = [leave_by_close, leave_by_reset, leave_by_fin]


@pytest.fixture(params=WAYS, ids=["close", "reset", "fin"])
def leave(request):
    return request.param


def served_again(router, pod, behave):
    """Asserts that the slot is free: the next request is served."""
    pod.behave = behave
    answer = router.score(b"next")
    assert (answer.status, answer.body) == (200, b"next")


def echo(exchange):
    exchange.answer(200, exchange.body())


def test_while_the_pod_computes(pod, start, leave):
    blue = pod(lambda exchange: (exchange.body(), exchange.wait_for_close()))
    router = start(endpoint(deployment([blue], **PATIENT)))
    client = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the pod to compute")
    leave(client)
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended", patience=1)
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free", patience=1)
    served_again(router, blue, echo)
    client.close()


def test_while_waiting_in_the_queue(pod, start, leave):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], **PATIENT)))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    leave(waiting)
    eventually(lambda: router.queue_length() == 0, "the queue to be empty", patience=1)
    hold.release.set()
    assert running.response().status == 200
    assert len(blue.requests) == 1
    running.close(), waiting.close()


def test_while_waiting_with_a_body_that_fills_the_buffer(pod, start, leave):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], **PATIENT)))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    waiting = router.connect()
    waiting.send(request(headers={"Content-Length": "1000000"}) + b"y" * 80000)
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    leave(waiting)
    eventually(lambda: router.queue_length() == 0, "the queue to be empty", patience=3)
    hold.release.set()
    assert running.response().status == 200
    assert len(blue.requests) == 1
    running.close(), waiting.close()


def test_while_the_answer_streams(pod, start, leave):
    def stream(exchange):
        exchange.body()
        exchange.begin_chunks()
        exchange.chunk(b"first")
        exchange.wait_for_close()

    blue = pod(stream)
    router = start(endpoint(deployment([blue], **PATIENT)))
    client = router.start_request(b"x")
    assert client.head().status == 200 and client.chunk() == b"first"
    leave(client)
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended", patience=1)
    served_again(router, blue, echo)
    client.close()


def test_while_uploading(pod, start, leave):
    arrived = threading.Event()

    def upload(exchange):
        for _ in exchange.pieces():
            arrived.set()

    blue = pod(upload)
    router = start(endpoint(deployment([blue], **PATIENT)))
    client = router.connect()
    client.send(request(headers={"Content-Length": "100000"}) + b"z" * 1000)
    assert arrived.wait(5)
    leave(client)
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended", patience=1)
    served_again(router, blue, echo)
    client.close()


def test_while_a_large_answer_is_not_read(pod, start):
    def flood(exchange):
        exchange.body()
        exchange.head(200, {"Content-Length": str(100 << 20)})
        while True:
            exchange.send(b"f" * 65536)

    blue = pod(flood)
    router = start(endpoint(deployment([blue], **PATIENT)))
    client = router.start_request(b"x")
    assert client.head().status == 200
    client.reset()
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended", patience=2)
    served_again(router, blue, echo)


def test_between_two_requests_nothing_happens(pod, start, leave):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    client = router.connect()
    assert client.exchange(b"x").status == 200
    leave(client)
    eventually(lambda: router.metrics().value("connections_active") == 0, "the connection to end", patience=3)
    assert blue.aborts == 0
    assert router.metrics().value("requests_total", code="499") == 0
    client.close()


def test_a_pod_that_ignores_the_abort_gets_its_slot_back_after_abort_wait(pod, start):
    release = threading.Event()
    deaf = pod(lambda exchange: (exchange.body(), release.wait(20)))
    router = start(endpoint(deployment([deaf], **PATIENT, router={"abort_wait_ms": 400})))
    client = router.start_request(b"x")
    eventually(lambda: deaf.concurrent == 1, "the pod to compute")
    client.close()
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free", patience=2)
    release.set()


def test_with_drain_on_abort_the_answer_is_read_and_the_slot_held(pod, start):
    release = threading.Event()

    def hold(exchange):
        exchange.body()
        assert release.wait(20)
        exchange.answer(200, b"a" * 1000)

    blue = pod(hold)
    router = start(endpoint(deployment([blue], **PATIENT, router={"drain_on_abort": True, "abort_wait_ms": 50})))
    client = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the pod to compute")
    client.close()
    eventually(lambda: router.metrics().value("connections_active") <= 1, "the router to notice")
    waiting = router.start_request(b"y")
    eventually(lambda: router.queue_length() == 1, "the next request to wait for the held slot")
    assert blue.aborts == 0
    release.set()
    assert waiting.response().status == 200
    assert blue.aborts == 0 and blue.accepted <= 2 + blue.probes
    waiting.close()


def test_a_client_that_half_closes_after_a_whole_answer_is_no_failure(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    client = router.connect()
    assert client.exchange(b"x").status == 200
    client.finish_sending()
    assert client.is_closed()
    client.close()
    line = router.access_lines(1)[0]
    assert line["ResponseCode"] == 200
