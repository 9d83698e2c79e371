"""Contract, section 4: the status and the headers of every reason, in both profiles."""

import threading

import pytest
from support.client import request
from support.ports import closed_port
from support.settings import deployment, endpoint
from support.wait import eventually

PROFILES = ("kubernetes", "managed")


@pytest.fixture(params=PROFILES)
def profile(request):
    return request.param


def refused(answer, reason, profile, kubernetes, managed, model_reason=None):
    assert (answer.status, answer.why) == (kubernetes if profile == "kubernetes" else managed, reason)
    assert answer.json()["error"]["code"] == reason
    told = answer.headers.get("ms-azureml-model-error-reason")
    assert told == (model_reason if profile == "managed" else None)


def of_profile(profile, *deployments, **others):
    return endpoint(*deployments, router={"status_profile": profile, **others.pop("router", {})}, **others)


def test_no_replica_at_all_is_refused_at_once(start, profile):
    router = start(of_profile(profile, deployment([], max_queue_wait_ms=20000)))
    answer = router.score(b"x")
    refused(answer, "no_ready_replica", profile, 503, 424, "model_not_ready")
    assert int(answer.headers.get("retry-after")) >= 1


def test_no_ready_replica_is_refused_after_the_wait(pod, start, profile):
    blue = pod()
    blue.ready = False
    router = start(of_profile(profile, deployment([blue], max_queue_wait_ms=150)), wait=False)
    router.wait_ready(replicas=False)
    answer = router.score(b"x")
    refused(answer, "no_ready_replica", profile, 503, 424, "model_not_ready")
    assert "retry-after" in answer.headers
    assert blue.requests == []


def test_a_full_queue_and_a_long_wait_are_refused(pod, start, profile):
    release = threading.Event()

    def hold(exchange):
        exchange.wait(release)
        exchange.answer()

    blue = pod(hold)
    router = start(of_profile(profile, deployment([blue], max_queue_wait_ms=700, request_timeout_ms=20000,
                                                  router={"max_queue_length": 1})))
    running = router.start_request(b"1")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    waiting = router.start_request(b"2")
    eventually(lambda: router.queue_length() == 1, "the second request to wait")
    answer = router.score(b"3")
    refused(answer, "queue_full", profile, 503, 429, "too_many_pending_request")
    assert int(answer.headers.get("retry-after")) >= 1
    answer = waiting.response()
    refused(answer, "queue_timeout", profile, 503, 429, "too_many_pending_request")
    assert int(answer.headers.get("retry-after")) >= 1
    release.set()
    assert running.response().status == 200
    running.close(), waiting.close()


def test_a_pod_that_does_not_answer_in_time_is_a_timeout(pod, start, profile):
    blue = pod(lambda exchange: exchange.wait_for_close())
    router = start(of_profile(profile, deployment([blue], request_timeout_ms=200)))
    answer = router.score(b"x")
    refused(answer, "upstream_timeout", profile, 504, 408, answer.headers.get("ms-azureml-model-error-reason"))
    eventually(lambda: blue.aborts == 1, "the pod to see that the connection ended")


def test_a_pod_that_refuses_connections_is_not_ready(pod, start, profile):
    blue = pod()
    # Its readiness route says ready, while no process listens on the port of its scoring route.
    described = deployment(["127.0.0.1"])
    routes = described["environment"]["inference_config"]
    routes["readiness_route"]["port"] = blue.port
    routes["scoring_route"]["port"] = closed_port()
    router = start(of_profile(profile, described))
    answer = router.score(b"x")
    refused(answer, "no_ready_replica", profile, 503, 424, "model_not_ready")


def test_a_pod_that_cannot_be_reached_is_a_bad_gateway(clogged, start, profile):
    blue = clogged()
    router = start(of_profile(profile, deployment([blue], router={"connect_timeout_ms": 50})))
    blue.clog()
    answer = router.score(b"x")
    refused(answer, "upstream_connect_failed", profile, 502, 424, "model_error")


@pytest.mark.parametrize("behave", [
    lambda exchange: exchange.reset(),
    lambda exchange: (exchange.body(), exchange.close()),
    lambda exchange: (exchange.body(), exchange.send(b"HTTP/1.1 200 OK\r\nConte"), exchange.close()),
], ids=["reset", "closed", "half a head"])
def test_a_pod_that_breaks_off_before_its_answer_is_a_bad_gateway(pod, start, profile, behave):
    router = start(of_profile(profile, deployment([pod(behave)])))
    refused(router.score(b"x"), "upstream_reset", profile, 502, 424, "model_error")


@pytest.mark.parametrize("garbage", [
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * (1 << 18) + b"\r\n\r\n", b"\0" * 100 + b"\r\n\r\n",
], ids=["not HTTP", "HTTP/2.0", "two digits", "no colon", "two lengths", "negative length", "unknown coding", "upgrade", "too long a head", "zeros"])
def test_a_pod_that_does_not_speak_http_is_a_bad_gateway(pod, start, garbage):
    def behave(exchange):
        exchange.body()
        exchange.send(garbage)
        exchange.close()

    router = start(endpoint(deployment([pod(behave)])))
    answer = router.score(b"x")
    refused(answer, "upstream_invalid_response", "kubernetes", 502, 424)


def test_the_pods_own_status_passes_or_is_wrapped(pod, start, profile):
    def behave(exchange):
        status = int(exchange.body())
        exchange.answer(status, f"status {status}".encode(), {"x-mine": "yes"})

    router = start(of_profile(profile, deployment([pod(behave)])))
    for status in (200, 201, 400, 404, 429, 500, 503):
        answer = router.score(str(status).encode())
        assert answer.body == f"status {status}".encode() and answer.why is None
        assert answer.headers.get("x-mine") == "yes"
        if profile == "kubernetes" or status == 200:
            assert answer.status == status
            assert "ms-azureml-model-error-statuscode" not in answer.headers
        else:
            assert answer.status == 424
            assert answer.headers.get("ms-azureml-model-error-statuscode") == str(status)
            assert answer.headers.get("ms-azureml-model-error-reason") == "model_error"


def test_reasons_before_the_deployment_are_the_same_in_both_profiles(pod, start, profile):
    router = start(of_profile(profile, deployment([pod()], router={"max_request_bytes": 10})))
    assert router.score(b"x", key="wrong").status == 401
    assert router.score(b"x", headers={"azureml-model-deployment": "none"}).status == 404
    answer = router.score(b"x" * 11)
    assert (answer.status, answer.why) == (413, "payload_too_large")


def test_too_many_connections_are_refused_with_a_503_and_closed(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 4})
    clients = [router.connect() for _ in range(4)]
    begun = request(b"x")
    for client in clients:
        assert client.exchange(b"x").status == 200
        client.send(begun[:-1])  # the router would close an idle connection to make room, also one with an incomplete head
    with router.connect() as fifth:
        fifth.send(request(b"x"))
        answer = fifth.response()
        assert (answer.status, answer.why) == (503, "too_many_connections")
        assert answer.headers.get("connection") == "close"
        assert fifth.is_closed()
    for client in clients:
        assert client.send(begun[-1:]).response().status == 200
        client.close()
    eventually(lambda: router.metrics().value("connections_active") == 0, "the connections to end")
    assert router.score(b"x").status == 200


def test_a_client_that_left_is_a_499_in_log_and_metrics(pod, start):
    blue = pod(lambda exchange: exchange.wait_for_close())
    router = start(endpoint(deployment([blue], request_timeout_ms=20000)))
    client = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the pod to have the request")
    client.close()
    assert router.access_lines(1)[0]["ResponseCode"] == 499
    assert router.access_lines(1)[0]["ResponseCodeReason"] == "client_closed"
    eventually(lambda: router.metrics().value("requests_total", code="499", reason="client_closed") == 1, "the metric")
