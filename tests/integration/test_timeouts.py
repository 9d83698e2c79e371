"""Contract, section 5: every timeout, on both sides."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from support.client import request
from support.settings import deployment, endpoint
from support.wait import eventually

pytestmark = pytest.mark.serial


def test_the_request_timeout_ends_where_the_answer_begins(pod, start):
    """A long stream is not cut, although it takes longer than the request timeout."""
    def stream(exchange):
        exchange.body()
        exchange.begin_chunks()
        for number in range(6):
            exchange.chunk(b"%d" % number)
            exchange.wait(None, 0.1)
        exchange.end_chunks()

    router = start(endpoint(deployment([pod(stream)], request_timeout_ms=250)))
    answer = router.score(b"x")
    assert (answer.status, answer.body) == (200, b"012345")


def test_the_request_timeout_does_not_run_while_the_client_uploads(pod, start):
    router = start(endpoint(deployment([pod()], request_timeout_ms=250)))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "6"}))
        for _ in range(6):
            time.sleep(0.1)  # a slow upload is what this test is about
            client.send(b"u")
        answer = client.response()
    assert (answer.status, answer.body) == (200, b"uuuuuu")


def test_a_stream_that_falls_silent_is_cut_and_never_ended_properly(pod, start):
    def stream(exchange):
        exchange.body()
        exchange.begin_chunks()
        exchange.chunk(b"only")
        exchange.wait_for_close()

    blue = pod(stream)
    router = start(endpoint(deployment([blue], router={"stream_idle_timeout_ms": 300})))
    with router.start_request(b"x") as client:
        assert client.head().status == 200
        assert client.chunk() == b"only"
        begun = time.monotonic()
        assert client.is_closed()  # no last chunk: the client knows that the answer is incomplete
        assert time.monotonic() - begun < 3
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended")
    line = router.access_lines(1)[0]
    assert line["ResponseCode"] == 200 and line["ResponseCodeReason"] == "upstream_timeout"


def test_a_client_that_reads_slowly_does_not_count_as_a_silent_pod(pod, start):
    size = 8 << 20

    def flood(exchange):
        exchange.body()
        exchange.answer(200, b"f" * size)

    router = start(endpoint(deployment([pod(flood)], request_timeout_ms=5000, router={"stream_idle_timeout_ms": 300})))
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        head = client.head()
        assert head.status == 200
        time.sleep(1.0)  # longer than the idle timeout: what this test is about
        assert len(client.reader.exactly(size)) == size


def test_a_slow_head_is_a_408(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"header_timeout_ms": 1000})
    with router.connect() as client:
        client.send(b"POST /api/v1/endpoint/my-endpoint/score HTTP/1.1\r\nHost: x\r\n")
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert answer.headers.get("connection") == "close"
        assert client.is_closed()


def test_a_body_that_stops_is_a_408(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])), limits={"body_timeout_ms": 1000})
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "70000"}) + b"half")
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert client.is_closed()
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended")
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")


@pytest.mark.parametrize("profile, status", [("kubernetes", 503), ("managed", 429)])
def test_a_client_that_has_no_time_left_is_refused_without_asking_the_pod(pod, start, profile, status):
    """Even with a free slot, and before the router waits for a body."""
    blue = pod()
    router = start(endpoint(deployment([blue]), router={"status_profile": profile}))
    answer = router.score(b"x", headers={"x-request-deadline-ms": "0"})
    assert (answer.status, answer.why) == (status, "deadline_unmeetable")
    assert int(answer.headers.get("retry-after")) >= 1
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "10", "x-request-deadline-ms": "0"}))
        assert client.response().why == "deadline_unmeetable"
    assert blue.requests == []
    assert {line["Attempts"] for line in router.access_lines(2)} == {0}


def test_a_deadline_that_could_not_be_read_was_as_good_as_none(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    for value in ("-1", "+5", "soon", "", "1.5", "1e3", "0x0", "100, 200"):
        answer = router.score(b"x", headers={"x-request-deadline-ms": value})
        assert (answer.status, answer.why) == (400, "bad_request"), value
        assert "x-request-deadline-ms" in answer.json()["error"]["message"]
    twice = [("x-request-deadline-ms", "5000"), ("X-Request-Deadline-Ms", "5000")]
    assert router.score(b"x", headers=twice).why == "bad_request"
    assert router.score(b"x", headers={"x-request-deadline-ms": "soon"}, key="wrong").status == 401
    assert blue.requests == []
    for value in ("5000", "0005000", "99999999999999999999"):
        assert router.score(b"x", headers={"x-request-deadline-ms": value}).status == 200, value


def test_an_answer_does_not_wait_for_the_pod_that_is_given_up(pod, start):
    release = threading.Event()
    blue = pod(lambda exchange: release.wait(20))  # the pod does not notice the router's close, either
    router = start(endpoint(deployment([blue], request_timeout_ms=300, router={"abort_wait_ms": 4000})))
    begun = time.monotonic()
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (504, "upstream_timeout")
    assert time.monotonic() - begun < 3
    assert router.slots_in_use() == 1  # the router does not know yet whether the pod has stopped
    release.set()
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free", patience=8)


def test_a_wait_lasts_as_long_as_the_deployment_says(pod, start):
    release = threading.Event()

    def hold(exchange):
        exchange.wait(release)
        exchange.answer()

    blue = pod(hold)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=300, request_timeout_ms=30000)))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the slot to be taken")
    begun = time.monotonic()
    assert router.score(b"2").why == "queue_timeout"
    assert 0.29 < time.monotonic() - begun < 2
    release.set()
    assert running.response().status == 200
    running.close()


def test_a_pod_that_never_accepts_is_a_failed_connect(pod, start):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(3)]
    for filler in fillers:  # the backlog is full, so a connect is neither accepted nor refused
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    described = deployment(["127.0.0.1"], router={"connect_timeout_ms": 300})
    routes = described["environment"]["inference_config"]
    routes["scoring_route"]["port"] = listener.getsockname()[1]
    routes["readiness_route"]["port"] = pod().port
    router = start(endpoint(described))
    begun = time.monotonic()
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (502, "upstream_connect_failed")
    assert 0.25 < time.monotonic() - begun < 3
    for one in (*fillers, listener):
        one.close()


def learn_the_pace(router, clients=32):
    """Lets enough exchanges end for the router to know how long a slot is held."""
    def score(_):
        assert router.score(b"learn").status == 200
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(score, range(clients)))


@pytest.mark.parametrize("profile, status", [("kubernetes", 503), ("managed", 429)])
def test_who_would_wait_in_vain_is_refused_at_once(pod, start, profile, status):
    """50 ms for each exchange and one slot: the hundredth request in the queue would be served after five seconds."""
    blue = pod(lambda exchange: (exchange.body(), exchange.wait(seconds=0.05), exchange.answer()))
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000,
                                       router={"max_queue_length": 200}), router={"status_profile": profile}))
    learn_the_pace(router)
    with ExitStack() as stack:
        waiting = [stack.enter_context(router.start_request(b"w")) for _ in range(100)]
        eventually(lambda: router.queue_length() > 80, "the queue to be long")
        begun = time.monotonic()
        answer = router.score(b"x", headers={"x-request-deadline-ms": "3000"})
        assert (answer.status, answer.why) == (status, "deadline_unmeetable")
        assert time.monotonic() - begun < 2
        assert 2 <= int(answer.headers.get("Retry-After")) <= 60, "should be the time that the queue needs, not a constant"
        assert all(client.response().status == 200 for client in waiting), "a request with a deadline of its own should wait that long"
    line = [one for one in router.access_lines(133) if one["ResponseCode"] == status]
    assert [one["ResponseCodeReason"] for one in line] == ["deadline_unmeetable"]
    assert router.metrics().value("requests_total", code=str(status), reason="deadline_unmeetable") == 1


def test_nobody_is_refused_while_the_pace_is_not_known(pod, start):
    release = threading.Event()
    blue = pod(lambda exchange: (exchange.body(), exchange.wait(release), exchange.answer()))
    router = start(endpoint(deployment([blue], max_queue_wait_ms=400, request_timeout_ms=60000, router={"max_queue_length": 200})))
    with ExitStack() as stack:
        running = stack.enter_context(router.start_request(b"w"))
        eventually(lambda: blue.concurrent == 1, "the slot to be taken")
        waiting = [stack.enter_context(router.start_request(b"w")) for _ in range(99)]
        assert {client.response().why for client in waiting} == {"queue_timeout"}
        release.set()
        assert running.response().status == 200
