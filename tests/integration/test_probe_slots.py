"""Contract, section 5: a limited replica never has more connections from one process than slots. A probe's connection is one of them."""

import socket
import threading
import time

import pytest
from support.listening import accept_each, stop_listening
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually


TCP_CLOSE = 7  # linux/tcp_states.h


class CountingServer:
    """A server with threads, which sees every connection at once and keeps it until its peer closes it. It counts the connections that are
    open at the same time, whatever their purpose."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.lock = threading.Lock()
        self.open = set()
        self.most_open = self.probes = self.hung = self.scored = 0
        self.status = 200  # status of the readiness route
        self.probe_seconds = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._accepting = accept_each(self._listener, self._take)

    def _take(self, sock):
        with self.lock:
            # A connection that was reset is gone, whether its thread has noticed it or not.
            self.open = {one for one in self.open if one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != TCP_CLOSE}
            self.open.add(sock)
            self.most_open = max(self.most_open, len(self.open))
        threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock):
        try:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                if head.startswith(b"GET /hangs"):
                    self.hung += 1
                    while sock.recv(65536):
                        pass
                    return
                is_probe = head.startswith(b"GET /ready")
                with self.lock:
                    self.probes += is_probe
                    self.scored += not is_probe
                if is_probe:
                    time.sleep(self.probe_seconds)
                    sock.sendall(b"HTTP/1.1 %d Fine\r\nContent-Length: 0\r\n\r\n" % self.status)
                else:
                    time.sleep(self.seconds)
                    sock.sendall(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass
        finally:
            with self.lock:  # before the peer can see the end
                self.open.discard(sock)
            sock.close()

    def stop(self):
        stop_listening(self._listener, self._accepting)


@pytest.fixture
def server():
    server = CountingServer(0.01)
    yield server
    server.stop()


def score_for(router, seconds, pause):
    """Sends requests one after another, with pauses; returns their statuses."""
    statuses, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        statuses.append(router.score(b"", method="GET").status)
        time.sleep(pause)
    return statuses


@pytest.mark.serial
@pytest.mark.parametrize("slots", [1, 2])
def test_a_probe_was_one_connection_beyond_the_slots(start, server, slots):
    router = start(endpoint(deployment([server.address], slots=slots, max_queue_wait_ms=20000)))
    results = []
    clients = [threading.Thread(target=lambda: results.extend(score_for(router, 6, 0.03))) for _ in range(slots)]
    before = server.probes
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert set(results) == {200} and len(results) > 50
    assert server.probes > before, "the replica should be probed between two requests"
    if not SANITIZED:
        assert server.most_open <= slots


@pytest.mark.serial
def test_a_replica_that_is_busy_with_scoring_was_called_not_ready(start, server):
    """Its only slot is held for four seconds. If a probe were sent meanwhile, it would fail after its timeout of two seconds."""
    server.seconds = 4
    router = start(endpoint(deployment([server.address], max_queue_wait_ms=20000, request_timeout_ms=20000,
                                       probe={"failure_threshold": 1})))
    before = server.probes
    with router.start_request(b"", method="GET") as client:
        eventually(lambda: server.scored == 1, "the request to run")
        probes = server.probes
        assert client.response("GET").status == 200
        assert server.probes == probes and server.most_open == 1
    (replica,) = router.deployments()[0]["replicas"]
    assert replica["ready"] and "why" not in replica and "is not ready" not in router.log
    eventually(lambda: server.probes > before, "the next probe", patience=5)


@pytest.mark.serial
def test_a_replica_under_steady_load_still_says_that_it_is_not_ready(start, server):
    router = start(endpoint(deployment([server.address], max_queue_wait_ms=100)))
    client = threading.Thread(target=lambda: score_for(router, 6, 0.05))
    client.start()
    server.status = 503
    eventually(lambda: not router.deployments()[0]["replicas"][0]["ready"], "the replica to be not ready", patience=10)
    client.join()


def ready(router, name):
    (one,) = [one for one in router.deployments() if one["name"] == name]
    return one["replicas"][0]["ready"]


@pytest.mark.serial
@pytest.mark.parametrize("timeout", [2, 30])
def test_a_hanging_probe_of_one_deployment_took_the_slot_from_anothers_requests(start, server, timeout):
    blue = deployment([server.address])
    green = deployment([server.address], name="green", probe={"timeout": timeout, "failure_threshold": 30})
    green["environment"]["inference_config"]["readiness_route"]["path"] = "/hangs"
    router = start(endpoint(blue, green), wait=False)
    router.wait_ready(replicas=False)
    eventually(lambda: server.hung > 0, "green's first probe")
    eventually(lambda: router.score(b"", method="GET").status == 200, "blue to be ready")
    asked = server.hung  # those that the server has seen: the router may abandon one before the server has read anything
    statuses = score_for(router, 6, 0.1)
    assert set(statuses) == {200} and len(statuses) > 20
    assert server.hung > asked, "green should be probed again"
    assert ready(router, "blue") and not ready(router, "green")
    if not SANITIZED:
        assert server.most_open == 1


@pytest.mark.serial
def test_a_request_was_refused_because_of_a_probe_where_nobody_may_wait(start, server):
    router = start(endpoint(deployment([server.address], router={"max_queue_length": 0})))
    server.probe_seconds = 0.5
    before = server.probes
    statuses = score_for(router, 5, 0.05)
    assert set(statuses) == {200} and len(statuses) > 30
    assert server.probes > before and ready(router, "blue")  # those that the server has read
    if not SANITIZED:
        assert server.most_open == 1
