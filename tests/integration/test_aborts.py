"""A pod that does not notice an abort still computes when its slot is free again (contract, section 5). The router counts and logs such
aborts. What happens after a client has its whole answer is not part of the request's durations."""

import threading

import pytest
from support.client import request
from support.settings import SELDOM, deployment, endpoint
from support.wait import eventually


class Deaf:
    """A behaviour of a pod: like a synchronous worker, it does not look at its connection until it has finished computing."""

    def __init__(self):
        self.done = threading.Event()

    def __call__(self, exchange):
        exchange.body()
        self.done.wait(20)
        exchange.answer()


@pytest.fixture
def deaf():
    behave = Deaf()
    yield behave
    behave.done.set()


def unnoticed(router):
    return router.metrics().value("aborts_unnoticed_total", deployment="blue")


def test_a_pod_that_computes_on_after_an_abort_is_counted_and_told(pod, start, deaf):
    blue = pod(deaf)
    router = start(endpoint(deployment([blue], probe=SELDOM, router={"abort_wait_ms": 100}, request_timeout_ms=60000)))
    assert "aborts" not in router.deployments()[0]
    client = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the pod to compute")
    client.close()
    eventually(lambda: unnoticed(router) == 1, "the abort to be counted")
    assert blue.concurrent == 1 and router.slots_in_use() == 0
    told = router.deployments()[0]["aborts"]
    assert told["unnoticed"] == 1 and "drain_on_abort: true" in told["hint"]
    eventually(lambda: "my-endpoint/blue" in router.log and "drain_on_abort: true" in router.log, "the warning in the log", patience=5)
    assert "drain_on_abort" not in router.config_file.read_text()


def test_a_pod_that_notices_the_abort_is_not_counted(pod, start):
    blue = pod(lambda exchange: (exchange.body(), exchange.wait_for_close()))
    router = start(endpoint(deployment([blue], router={"abort_wait_ms": 10000}, request_timeout_ms=60000)))
    client = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the pod to compute")
    client.close()
    (line,) = router.access_lines(1)
    assert line["ResponseCode"] == 499 and unnoticed(router) == 0
    assert "aborts" not in router.deployments()[0]


def test_a_pod_that_answers_and_keeps_its_connection_open_all_the_same_is_not_counted(pod, start, deaf):
    """The pod does not compute any more: its answer was complete."""
    def behave(exchange):
        exchange.body()
        exchange.answer(headers={"Connection": "close"})
        deaf.done.wait(20)

    router = start(endpoint(deployment([pod(behave)], router={"abort_wait_ms": 100})))
    assert router.score(b"x").status == 200
    router.access_lines(1)
    assert unnoticed(router) == 0


def test_the_duration_of_a_504_ends_with_the_clients_last_byte(pod, start, deaf):
    router = start(endpoint(deployment([pod(deaf)], router={"abort_wait_ms": 1000}, request_timeout_ms=300)))
    with router.connect() as client:
        assert client.exchange(b"x").why == "upstream_timeout"
        (line,) = router.access_lines(1)
    assert 300 <= line["TotalDurationMs"] < 900, "the duration includes the time in which the pod was to close"
    assert line["SettleDurationMs"] >= 900
    assert line["RouterOverheadUs"] < 200_000
    assert router.metrics().value("request_duration_seconds_sum", deployment="blue") < 0.9
    assert unnoticed(router) == 1


def test_the_rest_of_a_body_that_nobody_wants_is_no_part_of_the_duration(pod, start):
    router = start(endpoint(deployment([pod(lambda exchange: exchange.answer(404, b"no"))])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "70000"}))
        assert client.response().status == 404
        (line,) = router.access_lines(1)  # written two seconds later, since the rest of the body never arrives
    assert line["TotalDurationMs"] < 1000 < line["SettleDurationMs"]
    assert line["RouterOverheadUs"] < 500_000


def test_a_slow_reader_of_the_last_bytes_is_no_overhead_of_ours(pod, start):
    """The router has the whole answer; the client reads it a second later."""
    answer = b"a" * 6_000_000
    router = start(endpoint(deployment([pod(lambda exchange: (exchange.body(), exchange.answer(200, answer)))])))
    with router.connect(receive_buffer=4096) as client:
        client.send(request(b"x"))
        assert client.head().status == 200
        pause = threading.Event()
        pause.wait(1)
        assert client.reader.exactly(len(answer)) == answer
        (line,) = router.access_lines(1)
    assert line["TotalDurationMs"] > 900 and line["RouterOverheadUs"] < 500_000
