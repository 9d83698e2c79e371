"""Contract, section 8: copies of live requests for another deployment, which no client ever notices."""

import threading
import time
from contextlib import ExitStack

import pytest
from support.client import SCORE, request
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}


def live_and_mirror(pod, start, percent=50, mirror_slots=0, threads=1, **mirror_settings):
    blue, green = pod(name="live"), pod(name="mirror")
    router = start(endpoint(deployment([blue], slots=0, **PATIENT),
                            deployment([green], name="green", slots=mirror_slots, route="/other", **{**PATIENT, **mirror_settings}),
                            traffic={"blue": 100, "green": 0}, mirror_traffic={"green": percent}), threads=threads)
    return router, blue, green


def mirrored(router, result=None):
    labels = {"result": result} if result else {}
    return router.metrics().value("mirrored_total", **labels)


def score_until_mirrored(router, result, client=None, body=b"x", at_most=200, **kwargs):
    """Half of the requests are mirrored. Sends requests until one copy has had that result."""
    before = mirrored(router, result)
    for _ in range(at_most):
        assert (client.exchange if client else router.score)(body, **kwargs).status == 200
        if mirrored(router, result) > before:
            return
    eventually(lambda: mirrored(router, result) > before, f"a copy to be counted as {result}")


@pytest.mark.parametrize("threads", [1, 2])
def test_about_as_many_are_copied_as_were_asked_for(pod, start, threads):
    router, blue, green = live_and_mirror(pod, start, percent=30, threads=threads)
    with router.connect() as client:
        for number in range(400):
            assert client.exchange(b"%d" % number).headers.get("x-pod") == "live"
    eventually(lambda: mirrored(router, "answered") == len(green.requests), "all copies to be answered")
    assert 60 <= len(green.requests) <= 190  # 120 ± eight standard deviations
    assert mirrored(router) == mirrored(router, "answered")
    bodies = [one.body for one in green.requests]
    assert len(set(bodies)) == len(bodies) and set(bodies) <= {one.body for one in blue.requests}
    assert router.metrics().value("requests_total", deployment="green") == 0, "a copy should not count as a request"


def test_the_copy_is_what_the_pod_would_have_got(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    with router.connect() as client:
        while not green.requests:
            client.exchange(method="PUT", path=SCORE + "/below?q=1", chunks=[b"one", b"two" * 1000],
                            headers={"Content-Type": "text/x", "x-ms-client-request-id": "mine", "x-own": "1"})
    copy = green.requests[0]
    live = next(one for one in blue.requests if one.headers.get("x-request-id") == copy.headers.get("x-request-id"))
    assert (copy.method, copy.target) == ("PUT", "/other/below?q=1")
    eventually(lambda: copy.body == b"one" + b"two" * 1000, "the body to arrive")
    # framing, and the prefix: the path of a copy is /other, which is not an end of the client's path
    own = ("transfer-encoding", "content-length", "x-forwarded-prefix")
    assert [pair for pair in copy.headers if pair[0].lower() not in own] == [pair for pair in live.headers if pair[0].lower() not in own]
    assert "x-forwarded-prefix" not in copy.headers
    assert "authorization" not in copy.headers


def test_requests_without_a_body_are_copied(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    with router.connect() as client:
        while not green.requests:
            assert client.exchange(method="GET").status == 200
    assert green.requests[0].method == "GET" and "content-length" not in green.requests[0].headers


def test_who_names_a_deployment_is_not_copied(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    with router.connect() as client:
        for _ in range(60):
            client.exchange(b"x", headers={"azureml-model-deployment": "blue"})
    assert mirrored(router) == 0 and not green.requests


def fails(exchange):
    exchange.body()
    exchange.reset()


def answers_500(exchange):
    exchange.body()
    exchange.answer(500, b"no")


def is_silent(exchange):
    exchange.body()
    exchange.wait_for_close()


def speaks_something_else(exchange):
    exchange.body()
    exchange.send(b"SSH-2.0\r\n\r\n")
    exchange.close()


@pytest.mark.parametrize("behave, result", [(fails, "failed"), (is_silent, "failed"), (speaks_something_else, "failed"),
                                            (answers_500, "answered")])
def test_what_becomes_of_it_does_not_concern_the_client(pod, start, behave, result):
    router, blue, green = live_and_mirror(pod, start, request_timeout_ms=200)
    green.behave = behave
    with router.connect() as client:
        for number in range(20):
            answer = client.exchange(b"%d" % number)
            assert (answer.status, answer.body, answer.headers.get("x-pod")) == (200, b"%d" % number, "live")
    eventually(lambda: mirrored(router, result) > 0 and mirrored(router, result) == mirrored(router), "all copies to end")
    eventually(lambda: router.slots_in_use() == 0, "the slots to be free")


def test_a_mirror_that_is_gone(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    green.stop()
    score_until_mirrored(router, "failed")
    assert router.metrics().value("retries_total") == 0


def test_it_takes_a_slot_only_if_one_is_free_and_nobody_waits(pod, start):
    router, blue, green = live_and_mirror(pod, start, mirror_slots=1)
    release = threading.Event()
    green.behave = lambda exchange: (exchange.body(), exchange.wait(release), exchange.answer(200, b"named"))
    named = {"azureml-model-deployment": "green"}
    running = router.start_request(b"1", headers=named)
    eventually(lambda: green.concurrent == 1, "the slot to be taken")
    waiting = router.start_request(b"2", headers=named)
    eventually(lambda: router.queue_length() == 1, "a request to wait")
    score_until_mirrored(router, "no_slot")
    assert green.most_concurrent == 1 and len(green.requests) == 1
    release.set()
    for client in (running, waiting):
        assert client.response().body == b"named"
        client.close()
    assert [one.body for one in green.requests] == [b"1", b"2"]


@pytest.mark.serial
def test_a_slow_mirror_does_not_slow_the_client_down(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    release = threading.Event()
    green.behave = lambda exchange: (exchange.body(), exchange.wait(release), exchange.answer())
    begun = time.monotonic()
    with router.connect() as client:
        while green.concurrent < 3:
            assert client.exchange(b"x").status == 200
    assert time.monotonic() - begun < 10
    release.set()
    eventually(lambda: mirrored(router, "answered") >= 3, "the copies to be answered")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_request_is_not_copied(pod, start, chunked):
    router, blue, green = live_and_mirror(pod, start)
    body = b"x" * 1_100_000
    kwargs = {"chunks": [body]} if chunked else {}
    with router.connect() as client:
        score_until_mirrored(router, "too_large", client, b"" if chunked else body, **kwargs)
    assert not green.requests and mirrored(router) == mirrored(router, "too_large")


def test_a_client_that_leaves_leaves_no_copy(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    started = 0
    while mirrored(router, "incomplete") == 0:
        started += 1
        assert started < 100
        with router.connect() as client:
            client.send(request(b"x" * 70_000)[:-1])  # the router collects a smaller body before it contacts the pod
            eventually(lambda: len(blue.requests) == started, "the pod to have the request")
        eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert not green.requests


@pytest.mark.serial
def test_all_copies_together_are_bounded(pod, start):
    """Unfinished uploads of almost 1 MB each: their copies take at most 64 MB."""
    router, blue, green = live_and_mirror(pod, start)
    data = request(b"x" * 990_000)
    before = router.memory()
    with ExitStack() as stack:
        clients = [stack.enter_context(router.connect()) for _ in range(180)]
        for number, client in enumerate(clients):
            client.send(data[:-1])
            eventually(lambda: len(blue.requests) == number + 1, "the pod to have the request")
        assert SANITIZED or router.memory() - before < 130_000_000
        for client in clients:
            assert client.send(data[-1:]).response().status == 200
    eventually(lambda: mirrored(router) == mirrored(router, "answered") + mirrored(router, "no_memory") > 65, "all copies to end")
    assert 40 < mirrored(router, "answered") <= 64 and mirrored(router, "no_memory") > 0
    score_until_mirrored(router, "answered")


def test_a_drain_does_not_wait_for_copies(pod, start):
    router, blue, green = live_and_mirror(pod, start)
    green.behave = is_silent
    with router.connect() as client:
        while green.concurrent == 0:
            assert client.exchange(b"x").status == 200
    router.signal(15)
    assert router.wait_exit(patience=5) == 0
