"""Contract, section 6: a replica whose kernel refuses connections gets no requests from that moment on, and its requests wait for its
return."""

import threading
import time

import pytest
from support.pod import UnreadyPod
from support.ports import ReservedPort
from support.settings import deployment, endpoint
from support.wait import eventually

SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}  # readiness probes alone would notice nothing
RESTART = 3.0  # seconds


@pytest.fixture
def place():
    """A port that stays reserved while no process listens on it."""
    reserved = ReservedPort()
    yield reserved
    reserved.close()


class Clients:
    """Clients that send one request after another, each on a connection that it keeps. `answers` has (status, reason, time of the end)."""

    def __init__(self, router, count):
        self._router, self._stopping = router, threading.Event()
        self.answers = []
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self):
        with self._router.connect() as client:
            while not self._stopping.is_set():
                answer = client.exchange(b"x")
                self.answers.append((answer.status, answer.why, time.monotonic()))

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)
        return self.answers


def retries(router, reason):
    return router.metrics().value("retries_total", reason=reason)


def refusing(router):
    return [one["name"] for one in router.deployments()[0]["replicas"] if one["refusing"]]


def test_requests_wait_while_the_only_replica_restarts(pod, start, place):
    first = pod(port=place.port)
    router = start(endpoint(deployment([first], probe=SLOW_PROBE, max_queue_wait_ms=10000)))
    assert router.score(b"x").status == 200
    first.stop()
    eventually(lambda: first.connections == 0, "the idle connection to end")
    clients = Clients(router, 8)
    eventually(lambda: refusing(router) == [first.address], "the replica to be marked as refusing")
    time.sleep(RESTART)
    assert not clients.answers, "no request should be answered while the replica is down"
    second = pod(port=place.port)
    returned = time.monotonic()
    eventually(lambda: len(clients.answers) > 100, "requests to be served")
    answers = clients.stop()
    assert {(status, why) for status, why, _ in answers} == {(200, None)}
    assert min(when for _, _, when in answers) - returned < 1.5, "the replica should be probed each second"
    assert len(second.requests) == len(answers)
    eventually(lambda: router.metrics().value("requests_total") == len(answers) + 1, "all requests to be counted")
    assert retries(router, "connection_refused") == 1, "only the request that met the refusal first should be retried"
    assert retries(router, "connect_failed") == 0
    assert router.metrics().value("refusals_total") == 1 and router.metrics().value("ejections_total") == 0
    assert not refusing(router)


def test_it_answers_no_ready_replica_when_the_wait_is_over(pod, start):
    only = pod()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE)))  # max_queue_wait_ms is 500
    assert router.score(b"x").status == 200
    only.stop()
    eventually(lambda: only.connections == 0, "the idle connection to end")
    for _ in range(3):  # the request that meets the refusal, and later ones
        begun = time.monotonic()
        answer = router.score(b"x")
        assert (answer.status, answer.why) == (503, "no_ready_replica")
        assert b"refuses connections" in answer.body
        assert 0.4 < time.monotonic() - begun < 2
    metrics = router.metrics()
    assert metrics.value("replicas", state="refusing") == 1 and metrics.value("replicas", state="ready") == 0
    described = router.deployments()[0]
    assert (described["replicas_refusing"], described["replicas_ejected"], described["refusals"]) == (1, 0, 1)


def test_so_it_does_where_another_deployment_has_the_same_pod(pod, start):
    only = pod()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE), deployment([only], name="green", probe=SLOW_PROBE)))
    only.stop()
    for name in ("blue", "green", "blue", "green"):
        answer = router.score(b"x", headers={"azureml-model-deployment": name})
        assert (answer.status, answer.why) == (503, "no_ready_replica")


def test_a_request_that_waits_for_nothing_else_fails_at_once_without_patience(pod, start):
    only = pod()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE, max_queue_wait_ms=10000)))
    only.stop()
    begun = time.monotonic()
    answer = router.score(b"x", headers={"x-request-deadline-ms": "200"})
    assert (answer.status, answer.why) == (503, "no_ready_replica")
    assert time.monotonic() - begun < 2


def test_with_another_replica_nothing_fails_and_no_budget_is_spent(pod, start):
    gone, good = pod(name="gone"), pod(name="good")
    router = start(endpoint(deployment([gone, good], probe=SLOW_PROBE, max_queue_wait_ms=10000)))
    gone.stop()
    eventually(lambda: gone.connections == 0, "the idle connection to end")
    clients = Clients(router, 4)
    eventually(lambda: len(clients.answers) > 200, "requests to be served")
    answers = clients.stop()
    assert {(status, why) for status, why, _ in answers} == {(200, None)}
    eventually(lambda: router.metrics().value("requests_total") == len(answers), "all requests to be counted")
    assert retries(router, "connection_refused") == 1 and retries(router, "connect_failed") == 0
    assert refusing(router) == [gone.address]


def test_all_of_three_may_refuse_and_one_that_returns_serves(pod, start, place):
    pods = [pod(port=place.port), pod(), pod()]
    router = start(endpoint(deployment(pods, probe=SLOW_PROBE, max_queue_wait_ms=20000)))
    for one in pods:
        one.stop()
    waiting = router.start_request(b"x")
    eventually(lambda: len(refusing(router)) == 3, "all replicas to be marked as refusing")
    back = pod(port=place.port)
    assert waiting.response().status == 200
    assert len(back.requests) == 1
    assert router.access_lines(1)[0]["Attempts"] == 4
    waiting.close()


def test_a_replica_that_listens_and_is_not_ready_stays_out(pod, start, place):
    first = pod(port=place.port)
    router = start(endpoint(deployment([first], probe=SLOW_PROBE, max_queue_wait_ms=20000)))
    first.stop()
    waiting = router.start_request(b"x")
    eventually(lambda: refusing(router), "the replica to be marked as refusing")
    second = pod(kind=UnreadyPod, port=place.port)
    asked = second.probes
    eventually(lambda: second.probes >= asked + 2, "the replica to be probed")
    assert refusing(router) and not second.requests
    second.ready = True
    assert waiting.response().status == 200
    waiting.close()


def test_a_client_that_leaves_meanwhile_is_gone(pod, start):
    only = pod()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE, max_queue_wait_ms=20000)))
    only.stop()
    waiting = router.start_request(b"x")
    eventually(lambda: router.queue_length() == 1, "the request to wait")
    waiting.close()
    eventually(lambda: router.queue_length() == 0, "the request to leave the queue")
    assert router.access_lines(1)[0]["ResponseCodeReason"] == "client_closed"


def test_a_connection_that_takes_too_long_is_no_refusal(clogged, start):
    only = clogged()
    router = start(endpoint(deployment([only.address], probe=SLOW_PROBE, router={"connect_timeout_ms": 100},
                                       max_queue_wait_ms=10000)))
    assert router.score(b"x").status == 200
    only.clog()
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (502, "upstream_connect_failed")
    assert router.access_lines(2)[1]["Attempts"] == 2
    assert retries(router, "connect_failed") == 1 and retries(router, "connection_refused") == 0
    assert not refusing(router) and router.metrics().value("refusals_total") == 0
