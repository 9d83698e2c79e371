"""A replica that is the router itself: each request came back as a new one, until no connections were left."""

import pytest
from support.settings import deployment, endpoint
from support.wait import eventually


@pytest.mark.parametrize("wildcard", [False, True], ids=["the loopback", "a wildcard"])
def test_a_replica_that_is_an_own_listener_turned_one_request_into_a_hundred_connections(start, wildcard):
    route = "/api/v1/endpoint/my-endpoint/score"
    described = lambda address: endpoint(deployment([address] if address else [], route=route, slots=0,  # noqa: E731
                                                    max_queue_wait_ms=200))
    listeners = lambda port: [{"address": "0.0.0.0" if wildcard else "127.0.0.1", "port": port}]  # noqa: E731
    router = start(described(None), listeners=listeners)
    router.reloaded(lambda: router.write_endpoint(described(f"127.0.0.1:{router.port}")))
    eventually(lambda: "is where the router itself listens" in router.log, "the refusal in the log")
    before = router.metrics().value("connections_total")
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (503, "no_ready_replica")
    assert router.metrics().value("connections_total") - before <= 1


def test_a_loopback_replica_is_a_replica(pod, start):
    router = start(endpoint(deployment([pod()])))
    assert router.score(b"x").status == 200
