"""Contract, section 6: a second attempt only if the pod provably did not process the request, each kind once, within a budget."""

import signal
import socket
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.client import request
from support.listening import accept_each, stop_listening
from support.pod import PROBE
from support.settings import deployment, endpoint
from support.wait import eventually

PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}
SHORT_CONNECT = {"connect_timeout_ms": 50}
SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}  # the result of the readiness probe does not change


def retries(router, reason, requests):
    """Returns the number of retries when so many requests have ended. The router counts an exchange after its answer was sent, and writes
    its line of the access log later still."""
    router.access_lines(requests)
    return router.metrics().value("retries_total", reason=reason)


def warm(router, rounds=40):
    """Sends enough requests for a budget of second attempts."""
    with router.connect() as client:
        for _ in range(rounds):
            assert client.exchange(b"warm").status == 200


class Scripted:
    """A pod whose connections a test controls after their first answer: `next_request(sock)` then gets the socket."""

    def __init__(self, next_request):
        self.next_request = next_request
        self.scored = []  # bodies that the application has received whole
        self.resting = threading.Event()  # set when `first` was answered
        self.may_end, self.has_ended = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._accepting = accept_each(self._listener, lambda sock: threading.Thread(target=self._serve, args=(sock,), daemon=True).start())

    def stop(self):
        stop_listening(self._listener, self._accepting)

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            try:
                while self.answer(sock):
                    if self.scored[-1] == b"first":
                        self.resting.set()
                        self.next_request(self, sock)
            except OSError:
                pass

    def answer(self, sock):
        target, body = read_request(sock)
        if target == PROBE:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        self.scored.append(body)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return True


def read_request(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(sock)
    head, body = data.split(b"\r\n\r\n", 1)
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += receive(sock)
    return head.split(b" ")[1].decode(), body


def receive(sock):
    data = sock.recv(65536)
    if not data:
        raise OSError("the router closed")
    return data


@pytest.fixture
def scripted():
    pods = []

    def make(next_request):
        pods.append(Scripted(next_request))
        return pods[-1]

    yield make
    for pod in pods:
        pod.stop()


WARM = [b"warm"] * 3  # with `first`, three connections were found alive; the router then assumes that the pod keeps its connections
CROWD = 150  # connections: more than the router looks at before it starts the first request


def replaced_while_resting(router, pod, *args, crowd=CROWD, **kwargs):
    """Sends a request that reaches the router just before the end of the pod's idle connection. The router is stopped meanwhile, so it
    finds both at the same time. It handles events of pods first. A crowd of clients, each with the first byte of a request, arrives between
    the two, so that the router sends the request before it sees the end."""
    with ExitStack() as ends, router.connect() as first, router.connect() as second:
        others = [ends.enter_context(router.connect()) for _ in range(crowd)]
        eventually(lambda: router.metrics().value("connections_active") == crowd + 2, "all connections to be accepted")
        for body in WARM:
            assert second.exchange(body).status == 200
        assert first.exchange(b"first").status == 200
        pod.resting.wait(10)
        router.signal(signal.SIGSTOP)
        try:
            eventually(lambda: is_stopped(router.process.pid), "the router to be stopped")
            second.send(request(*args, **kwargs))
            for other in others:
                other.send(b"P")
            pod.may_end.set()
            pod.has_ended.wait(10)
        finally:
            router.signal(signal.SIGCONT)
        return second.response(kwargs.get("method", "POST"))


def is_stopped(pid):
    states = [Path(task, "stat").read_text().rsplit(")", 1)[1].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


def ends_when_told(pod, sock):
    """The pod closes an idle connection when the test says so."""
    pod.may_end.wait(10)
    sock.close()
    pod.has_ended.set()
    raise OSError("over")


def test_a_refused_connection_goes_to_another_replica(pod, start):
    blue, green = pod(name="a"), pod(name="b")
    router = start(endpoint(deployment([blue, green], probe=SLOW_PROBE, **PATIENT)))
    warm(router)
    blue.stop()
    eventually(lambda: blue.connections == 0, "the idle connection to end")
    for number in range(20):
        answer = router.score(b"%d" % number)
        assert (answer.status, answer.headers.get("x-pod")) == (200, "b")
    attempts = [line["Attempts"] for line in router.access_lines(60)]
    assert attempts.count(2) == 1 and set(attempts) == {1, 2}, attempts  # the replica is out at once
    assert retries(router, "connection_refused", 60) == 1
    assert retries(router, "connect_failed", 60) == 0 and retries(router, "stale_connection", 60) == 0


def test_it_comes_back_to_its_position_in_the_queue(pod, start):
    """The other replica is busy: a refused request is served before those that arrived later."""
    release = threading.Event()
    order = []

    def hold(exchange):
        body = exchange.body()
        order.append(body)
        if body == b"first":
            exchange.wait(release)
        exchange.answer(200, body)

    blue = pod(hold, name="a")
    gone = pod(name="b")
    router = start(endpoint(deployment([blue, gone], probe=SLOW_PROBE, **PATIENT)))
    warm(router)
    gone.stop()
    eventually(lambda: gone.connections == 0, "the idle connection to end")
    order.clear()
    first = router.start_request(b"first")
    eventually(lambda: order == [b"first"], "the first request to run")
    waiting = []
    for number in range(3):
        waiting.append(router.start_request(b"%d" % number))
        eventually(lambda: router.queue_length() == number + 1, "the request to wait")
    release.set()
    assert first.response().status == 200
    assert [client.response().body for client in waiting] == [b"0", b"1", b"2"]
    assert order == [b"first", b"0", b"1", b"2"]
    for client in [first, *waiting]:
        client.close()


def test_no_third_attempt(clogged, start):
    pods = [clogged() for _ in range(3)]
    router = start(endpoint(deployment([one.address for one in pods], probe=SLOW_PROBE, router=SHORT_CONNECT, **PATIENT)))
    for one in pods:
        one.clog()
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (502, "upstream_connect_failed")
    assert router.access_lines(1)[0]["Attempts"] == 2


def test_the_budget_bounds_second_attempts(clogged, start):
    gone = clogged()
    # never ejected, since it is the only replica
    router = start(endpoint(deployment([gone.address], probe=SLOW_PROBE, router=SHORT_CONNECT, **PATIENT)))
    gone.clog()
    for _ in range(50):
        assert router.score(b"x").status == 502
    made = retries(router, "connect_failed", 50)
    assert 1 <= made <= 10, made  # a fifth of the requests of the last ten seconds
    assert sum(line["Attempts"] - 1 for line in router.access_lines(50)) == made


@pytest.mark.parametrize("size", [0, 100, 8_000])  # while the router collects a larger body, it notices the end of the connection
def test_a_connection_that_had_ended_is_replaced(scripted, start, size):
    """The pod's FIN acknowledges no byte of the request: the router sends it again, over a new connection, with the same slot."""
    pod = scripted(ends_when_told)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    body = b"y" * size
    answer = replaced_while_resting(router, pod, body)
    assert (answer.status, answer.body) == (200, body)
    assert pod.scored == [*WARM, b"first", body]
    assert [line["Attempts"] for line in router.access_lines(5)] == [1, 1, 1, 1, 2]
    assert retries(router, "stale_connection", 5) == 1 and retries(router, "connect_failed", 5) == 0


def test_an_end_that_is_seen_in_time_costs_no_attempt(scripted, start):
    """The router handles events of pods before those of clients, even if they arrived later."""
    pod = scripted(ends_when_told)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    answer = replaced_while_resting(router, pod, b"x", crowd=0)
    assert (answer.status, answer.body) == (200, b"x")
    assert [line["Attempts"] for line in router.access_lines(5)] == [1] * 5
    assert retries(router, "stale_connection", 5) == 0


def test_a_client_is_told_to_go_on_once(scripted, start):
    pod = scripted(ends_when_told)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    answer = replaced_while_resting(router, pod, headers={"Expect": "100-continue"}, body=b"z" * 3000)
    assert (answer.status, answer.body) == (200, b"z" * 3000)
    assert len(answer.interim) <= 1, "the client should get at most one 100 (Continue)"
    assert retries(router, "stale_connection", 5) == 1


def test_a_body_larger_than_the_replay_buffer_is_not_sent_again(scripted, start):
    pod = scripted(ends_when_told)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    answer = replaced_while_resting(router, pod, b"y" * 70_000)
    assert (answer.status, answer.why) == (502, "upstream_reset")
    assert pod.scored == [*WARM, b"first"]
    assert retries(router, "stale_connection", 5) == 0


def read_all_and_close(pod, sock):
    _, body = read_request(sock)
    pod.scored.append(body)
    sock.close()
    raise OSError("over")


def read_some_and_close(pod, sock):
    """The rest stays unread in the pod's kernel, which answers with a reset and has acknowledged nothing: no proof."""
    pod.scored.append(sock.recv(10))
    sock.close()
    raise OSError("over")


@pytest.mark.parametrize("dies", [read_all_and_close, read_some_and_close])
def test_a_request_that_the_pod_may_have_seen_is_not_sent_again(scripted, start, dies):
    pod = scripted(dies)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    with router.connect() as client:
        assert client.exchange(b"first").status == 200
        pod.resting.wait(10)
        answer = client.exchange(b"y" * 1000)
    assert (answer.status, answer.why) == (502, "upstream_reset")
    assert len(pod.scored) == 2
    assert retries(router, "stale_connection", 2) == 0


@pytest.mark.parametrize("dies", [read_all_and_close, read_some_and_close])
def test_a_safe_method_needs_no_proof(scripted, start, dies):
    pod = scripted(dies)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    with router.connect() as client:
        assert client.exchange(b"first").status == 200
        pod.resting.wait(10)
        assert client.exchange(method="GET").status == 200
    assert retries(router, "stale_connection", 2) == 1


def test_never_after_a_byte_of_an_answer(scripted, start):
    def begin_and_close(pod, sock):
        read_request(sock)
        sock.sendall(b"HTTP/1.1 2")
        sock.close()
        raise OSError("over")

    pod = scripted(begin_and_close)
    router = start(endpoint(deployment([pod.address], probe=SLOW_PROBE, **PATIENT)), threads=1)
    with router.connect() as client:
        assert client.exchange(b"first").status == 200
        pod.resting.wait(10)
        answer = client.exchange(method="GET")
    assert (answer.status, answer.why) == (502, "upstream_reset")
    assert retries(router, "stale_connection", 2) == 0


def test_a_fresh_connection_that_breaks_is_not_tried_again(pod, start):
    blue = pod(lambda exchange: exchange.reset())
    router = start(endpoint(deployment([blue], probe=SLOW_PROBE, **PATIENT)))
    answer = router.score(method="GET")
    assert (answer.status, answer.why) == (502, "upstream_reset")
    assert len(blue.requests) == 1
