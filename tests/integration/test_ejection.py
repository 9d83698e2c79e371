"""Contract, section 7: the router does not choose a replica for some time after repeated failures, and chooses one less often that answers
with Retry-After."""

import pytest
from support.settings import deployment, endpoint
from support.wait import eventually

pytestmark = pytest.mark.serial
PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 300}
SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}  # readiness probes alone would notice nothing


def fine(exchange):
    exchange.answer(200, exchange.body(), {"x-pod": exchange.pod.name})


def resets(exchange):
    exchange.body()
    exchange.reset()


def is_silent(exchange):
    exchange.body()
    exchange.wait_for_close()


def status(code, *headers):
    def answers(exchange):
        exchange.body()
        exchange.answer(code, b"", list(headers))
    return answers


def start_two(pod, start, **settings):
    bad, good = pod(fine, name="bad"), pod(fine, name="good")
    # Several slots, since an answer reaches the client a moment before its slot is free again.
    router = start(endpoint(deployment([bad, good], slots=4, probe=SLOW_PROBE, **{**PATIENT, **settings})))
    return router, bad, good


def score_until(router, condition, at_most=200):
    """Sends requests until the condition holds; returns the statuses."""
    statuses = []
    while not condition():
        assert len(statuses) < at_most, statuses
        statuses.append(router.score(b"x").status)
    return statuses


def ejected(router):
    return [one["name"] for one in router.deployments()[0]["replicas"] if one["ejected"]]


@pytest.mark.parametrize("fault, code", [(resets, 502), (is_silent, 504)])
def test_five_failures_in_a_row_eject(pod, start, fault, code):
    router, bad, good = start_two(pod, start)
    bad.behave = fault
    statuses = score_until(router, lambda: ejected(router))
    assert statuses.count(code) == 5 and set(statuses) <= {200, code}
    assert ejected(router) == [bad.address]
    metrics = router.metrics()
    assert metrics.value("ejections_total") == 1
    assert metrics.value("replicas", state="ejected") == 1 and metrics.value("replicas", state="ready") == 1
    before = len(bad.requests)
    assert [router.score(b"x").status for _ in range(30)] == [200] * 30
    assert len(bad.requests) == before


def test_it_comes_back_when_its_time_is_over_and_a_probe_succeeds(pod, start):
    router, bad, good = start_two(pod, start)
    bad.behave = resets
    score_until(router, lambda: ejected(router))
    bad.ready = False
    probes = bad.probes
    eventually(lambda: bad.probes > probes, "the replica to be probed", patience=15)
    assert ejected(router) == [bad.address], "should stay ejected, since its probe says that it is not ready"
    bad.behave, bad.ready = fine, True
    eventually(lambda: not ejected(router), "the replica to be readmitted", patience=5)
    router.expect_logged(f"replica {bad.address} of my-endpoint/blue is chosen again")
    before = len(bad.requests)
    score_until(router, lambda: len(bad.requests) > before)


def test_an_answer_of_any_status_is_no_failure(pod, start):
    router, bad, good = start_two(pod, start)
    bad.behave = status(500)
    statuses = [router.score(b"x").status for _ in range(40)]
    assert statuses.count(500) > 5 and not ejected(router)


def test_a_client_without_patience_is_no_failure(pod, start):
    router, bad, good = start_two(pod, start, request_timeout_ms=20000)
    bad.behave = good.behave = is_silent
    for _ in range(20):
        answer = router.score(b"x", headers={"x-request-deadline-ms": "20"})
        assert (answer.status, answer.why) == (504, "upstream_timeout")
    assert not ejected(router)


def test_a_deployment_that_fails_as_a_whole_is_not_locked_out(pod, start):
    pods = [pod(resets, name=str(number)) for number in range(4)]
    router = start(endpoint(deployment(pods, probe=SLOW_PROBE, **PATIENT)))
    for _ in range(60):
        assert router.score(b"x").status == 502
    assert len(ejected(router)) == 2
    for one in pods:
        one.behave = fine
    assert router.score(b"x").status == 200


@pytest.mark.parametrize("code", [503, 429])
def test_a_replica_that_asks_for_patience_is_chosen_less(pod, start, code):
    router, busy, good = start_two(pod, start)
    busy.behave = status(code, ("Retry-After", "30"))
    score_until(router, lambda: len(busy.requests) == 1)
    assert [router.score(b"x").status for _ in range(30)] == [200] * 30
    assert len(busy.requests) == 1 and not ejected(router)


def test_it_is_chosen_where_no_other_can_be(pod, start):
    busy = pod(status(503, ("Retry-After", "30")), name="busy")
    router = start(endpoint(deployment([busy], probe=SLOW_PROBE, **PATIENT)))
    assert router.score(b"x").status == 503
    busy.behave = fine
    assert router.score(b"x").status == 200
