"""Clients disconnect at any moment, under load. The replicas notice it, the other clients do not."""

import random
import threading
import time

from support.load import Plan
from support.reliability import leaked
from support.replica import times
from support.settings import deployment, endpoint
from support.wait import eventually

REPLICAS, SLOTS = 4, 2
SETTINGS = {"slots": SLOTS, "max_queue_wait_ms": 20000, "request_timeout_ms": 60000}
PATIENT, LEAVING = 24, 24  # clients; together more than there are slots, so that some requests always wait


def leaving(number):
    """A client that disconnects after a random time: in the queue, during its upload, while the pod computes or streams."""
    after = random.expovariate(1 / 0.05) + 0.001
    common = {"leave_after": after, "leave_by_reset": number % 2 == 0}
    kind = number % 3
    if kind == 0:
        return Plan(body=b"computes", headers={"x-do": "sleep=5"}, **common)
    if kind == 1:
        return Plan(body=b"u" * 200_000, upload=5.0, **common)
    return Plan(body=b"streams", headers={"x-do": "stream=2000"}, **common)


def test_clients_that_leave_cost_nobody_else_anything(start, replica, load, table, scale):
    replicas = [replica(sleep=0.01) for _ in range(REPLICAS)]
    router = start(endpoint(deployment(replicas, **SETTINGS, router={"abort_wait_ms": 2000})))
    leavers = load(router, 150, clients=LEAVING, plan=leaving)
    stayers = load(router, 150, clients=PATIENT, plan=lambda number: Plan(body=b"%d" % number))
    eventually(lambda: len(leavers.outcomes) > 600 * scale.seconds(1, 10) and len(stayers.outcomes) > 300, "enough requests", patience=200)
    left, stayed = leavers.stop(), stayers.stop()
    held = leaked(router)
    gone = [one for one in left if one.left]
    lost = [one for one in stayed if not one.served] + [one for one in left if not one.left and not one.served]
    assert len(gone) > 300
    table.add(fault="clients disconnect: in the queue, uploading, while the pod computes, while it streams", injected=len(gone),
              requests=len(left) + len(stayed), failed=len(gone), why="their clients have gone (499 in log and metrics)", lost=len(lost),
              leaked=held)
    assert all(event.concurrent <= SLOTS for one in replicas for event in one.events())
    delivered = times(replicas, "delivered")
    assert all(count == 1 for count in delivered.values())
    closed = router.metrics().value("requests_total", reason="client_closed")
    assert closed > 0.5 * len(gone)  # a client may also disconnect before the router has its head
    assert closed <= len(gone)


def test_a_replica_that_goes_is_seen_by_its_clients_at_once(start, replica, load, table):
    """Long streams over all replicas. Each replica is killed once, and all its streams are cut within seconds."""
    replicas = [replica() for _ in range(REPLICAS)]
    router = start(endpoint(deployment(replicas, **SETTINGS, router={"stream_idle_timeout_ms": 3600000})))
    cut_at = {}
    lock = threading.Lock()

    def follow(client, pod):
        client.reader.until_close()
        with lock:
            cut_at.setdefault(pod, []).append(time.monotonic())
        client.close()

    followers = []
    for _ in range(REPLICAS * SLOTS):
        client = router.start_request(b"x", headers={"x-do": "stream=1000000"})
        head = client.head()
        assert head.status == 200
        followers.append(threading.Thread(target=follow, args=(client, head.headers.get("x-pod")), daemon=True))
        followers[-1].start()
    slowest = 0.0
    for one in replicas:
        assert one.name not in cut_at
        killed = time.monotonic()
        one.kill()
        eventually(lambda: len(cut_at.get(one.name, ())) == SLOTS, "its streams to be cut", patience=10)  # noqa: B023
        slowest = max(slowest, max(cut_at[one.name]) - killed)
    assert slowest < 5
    for one in followers:
        one.join(10)
    for one in replicas:
        one.restart()
    eventually(lambda: router.deployments()[0]["replicas_ready"] == REPLICAS, "all replicas to be ready again", patience=30)
    assert router.score(b"x").body == b"x"
    table.add(fault="a replica gets SIGKILL while it streams", injected=REPLICAS, requests=len(followers) + 1, failed=len(followers),
              why=f"cut: the router never replaces an answer that has begun; noticed within {slowest * 1000:.1f} ms", lost=0,
              leaked=leaked(router))
