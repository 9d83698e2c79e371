"""A request that kills each replica that reads it must not be sent to the next replica."""

import uuid

import pytest
from support.http import Gone
from support.reliability import leaked
from support.replica import times
from support.settings import deployment, endpoint
from support.wait import eventually

REPLICAS, DOSES = 4, 6
PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}
SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}


@pytest.mark.parametrize("method, do, size", [
    ("POST", "die-after-head", 2000),
    ("POST", "die-mid-body", 2000),
    ("POST", "die-mid-body", 300_000),
    ("POST", "die", 2000),
    ("POST", "crash-mid-response", 2000),
    ("GET", "die-after-head", 0),
], ids=["head", "half the body", "half a large body", "the whole body", "into the answer", "a GET"])
def test_it_kills_one_replica(start, replica, table, method, do, size):
    replicas = [replica() for _ in range(REPLICAS)]
    router = start(endpoint(deployment(replicas, probe=SLOW_PROBE, **PATIENT)))
    requests = lost = failed = dead_at_once = 0
    for dose in range(DOSES):
        with router.connect() as client:
            for _ in range(2 * REPLICAS):  # so that the poison alternately meets a used connection and a new one
                requests += 1
                lost += client.exchange(b"fine").status != 200 if dose % 2 else router.score(b"fine").status != 200
        poison = str(uuid.uuid4())
        requests += 1
        with router.connect() as client:
            answered = ask(client, method, b"p" * size, {"x-request-id": poison, "x-do": do})
        failed += not answered
        assert not answered, "a killed replica has answered"
        delivered = times(replicas, "delivered")[poison]
        dead = eventually(lambda: whoever_died(replicas, delivered), "every replica that got the request to end")
        dead_at_once = max(dead_at_once, len(dead), delivered)
        assert delivered == len(dead) == 1, (delivered, len(dead))
        for one in dead:
            one.restart()
    remark = "502, or cut: that replica may have acted"
    table.add(fault=f"a {method} that kills the replica that reads it ({do}, {size} bytes of body); each killed at most {dead_at_once}",
              injected=DOSES, requests=requests, failed=failed, why=remark, lost=lost, leaked=leaked(router))


def whoever_died(replicas, count):
    dead = [one for one in replicas if not one.is_alive()]
    return dead if len(dead) >= count else None


def ask(client, method, body, headers):
    """Returns True if a whole answer of a replica arrived."""
    try:
        return client.exchange(body, method=method, headers=headers).status == 200
    except Gone:
        return False
