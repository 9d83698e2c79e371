"""Contract, sections 4 and 7: why a replica is not ready is reported in the log, in /status and in the answer to each request that is
refused because of it."""

from support.ports import closed_port
from support.settings import deployment, endpoint
from support.wait import eventually


def replicas(router):
    return router.deployments()[0]["replicas"]


def test_nobody_was_told_why_no_replica_is_ready(pod, start):
    blue = pod()
    blue.ready = False
    closed = closed_port()
    router = start(endpoint(deployment([blue, f"127.0.0.1:{closed}", "no-such-host.invalid:5001"], max_queue_wait_ms=100)), wait=False)
    router.wait_ready(replicas=False)
    eventually(lambda: sorted(one.get("why", "") for one in replicas(router)) == ["503 from GET /ready", "connection refused"],
               "the causes in /status")
    missing = router.deployments()[0]["replicas_missing"]
    assert [one["name"] for one in missing] == ["no-such-host.invalid:5001"] and "could not be resolved" in missing[0]["why"]
    message = router.score(b"x").json()["error"]["message"]
    assert message == ("no replica of the deployment is ready: of 3 replicas, 1: 503 from GET /ready; 1: connection refused; "
                       "1: its name is not resolved")
    for line in (f"replica {blue.address} of my-endpoint/blue is not ready: 503 from GET /ready",
                 f"replica 127.0.0.1:{closed} of my-endpoint/blue is not ready: connection refused"):
        assert router.log.count(line) == 1, router.log

    blue.ready = True  # a replica that is ready has no cause, whatever the others have
    eventually(lambda: router.score(b"x").status == 200, "the replica to serve")
    assert [one.get("why") for one in replicas(router) if one["ready"]] == [None]


def test_a_change_of_the_cause_was_not_told(pod, start):
    blue = pod()
    blue.ready = False
    router = start(endpoint(deployment([blue], max_queue_wait_ms=100)), wait=False)
    router.wait_ready(replicas=False)
    eventually(lambda: "is not ready: 503 from GET /ready" in router.log, "the first cause in the log")
    blue.stop()
    eventually(lambda: "is not ready: connection refused" in router.log, "the second cause in the log")
    assert router.score(b"x").json()["error"]["message"].endswith("of 1 replica, 1: connection refused")


def test_a_replica_at_the_router_itself_was_a_replica_too_few(start):
    router = start(endpoint(deployment(["127.0.0.1:1"], max_queue_wait_ms=100)), wait=False)
    router.wait_ready(replicas=False)
    router.endpoints = [endpoint(deployment([f"127.0.0.1:{router.port}"], max_queue_wait_ms=100))]
    router.write()
    eventually(lambda: router.deployments()[0].get("replicas_missing"), "the changed configuration")
    assert router.score(b"x").json()["error"]["message"] == "the deployment has no replica: of 1 replica, 1: it is the router itself"


def test_the_first_cause_was_logged_twice(pod, start):
    blue = pod()
    blue.ready = False
    router = start(endpoint(deployment([blue], max_queue_wait_ms=100, probe={"failure_threshold": 1})), wait=False)
    router.wait_ready(replicas=False)
    line = f"replica {blue.address} of my-endpoint/blue is not ready: 503 from GET /ready"
    eventually(lambda: line in router.log, "the cause in the log")
    blue.ready = True
    eventually(lambda: f"replica {blue.address} of my-endpoint/blue is ready" in router.log, "the replica to be ready")
    assert router.log.count(line) == 1, router.log
    blue.ready = False
    eventually(lambda: router.log.count(line) == 2, "the second log line")
