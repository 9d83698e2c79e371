"""When descriptors or memory run short, the process goes on and serves what it can."""

import resource
import socket
from pathlib import Path

import pytest
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually, stays


def descriptors(router):
    return len(list(Path(f"/proc/{router.process.pid}/fd").iterdir()))


def limited(router, kind, value):
    resource.prlimit(router.process.pid, kind, (value, resource.prlimit(router.process.pid, kind)[1]))


def ended(client):
    """Whether the router has ended this connection."""
    try:
        return not client.socket.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_the_process_takes_all_the_descriptors_that_it_may_have(pod, start):
    router = start(endpoint(deployment([pod()])))
    soft, hard = resource.prlimit(router.process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard


@pytest.mark.serial
def test_when_descriptors_run_short_clients_wait_and_everything_else_works(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)))
    limited(router, resource.RLIMIT_NOFILE, 128)  # 96 for clients and for what was open before
    clients = [router.connect() for _ in range(100)]
    eventually(lambda: descriptors(router) >= 96, "the descriptors for clients to be used")
    assert router.metrics().value("connections_active") < 96  # /metrics and /status also answer
    served = router.metrics().value("connections_total")
    assert clients[0].exchange(b"x").status == 200  # which needs a connection to the pod, and a check of the access log's file
    used = router.cpu_seconds()
    stays(lambda: router.metrics().value("connections_total") == served, 1, "accepting to be paused")
    assert router.cpu_seconds() - used < 0.7, "the router should not spin"
    assert router.admin("/status")[0] == 200
    late = router.start_request(b"late")
    for client in clients[:60]:
        client.close()
    assert late.response().body == b"late"
    late.close()
    for client in clients:
        client.close()


if not SANITIZED:  # a sanitizer needs descriptors of its own, to examine memory

    def test_a_shortage_of_descriptors_is_not_told_as_the_pods_fault(pod, start):
        blue = pod()
        router = start(endpoint(deployment([blue])))
        limit = resource.prlimit(router.process.pid, resource.RLIMIT_NOFILE)[0]
        with router.connect() as client:
            assert client.exchange(b"x").status == 200
            eventually(lambda: blue.connections == 0, "the pod's idle connection to end")
            limited(router, resource.RLIMIT_NOFILE, 8)
            answer = client.exchange(b"x")
            limited(router, resource.RLIMIT_NOFILE, limit)
            assert (answer.status, answer.why) == (502, "upstream_connect_failed")
            assert client.exchange(b"x").status == 200
        line = router.access_lines(2)[1]
        assert line["ModelStatusReason"] == "the router ran short of descriptors, ports or memory"


if not SANITIZED:  # the size of a sanitizer's address space says nothing

    def test_when_memory_runs_short_connections_end_and_the_process_lives(pod, start):
        """Each client makes the router keep 900 KB of a head that never ends. There are far more clients than memory allows."""
        router = start(endpoint(deployment([pod()], slots=0)), limits={"max_header_bytes": 1 << 20, "header_timeout_ms": 60_000})
        assert router.score(b"x").status == 200
        limited(router, resource.RLIMIT_AS, router.memory("VmSize") + (48 << 20))
        greedy = []
        head = b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 900_000
        for _ in range(200):
            client = router.connect(timeout=2)
            greedy.append(client)
            try:
                client.send(head)
            except OSError:  # the router has closed it meanwhile, or not accepted it yet
                pass
        eventually(lambda: any(ended(client) for client in greedy), "some connections to end, since there is no memory for all of them")
        assert router.process.poll() is None
        for client in greedy:
            client.close()
        eventually(lambda: router.metrics().value("connections_active") == 0, "the connections to end")
        for number in range(20):
            assert router.score(b"%d" % number).body == b"%d" % number
        assert router.admin("/status")[0] == 200
