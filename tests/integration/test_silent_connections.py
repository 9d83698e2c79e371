"""Clients that open connections and send no request."""

import select
import socket
import time
from pathlib import Path

import pytest
from support.client import request
from support.http import Gone
from support.pod import Held
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.silent_clients import silent
from support.wait import eventually


def closed(clients):
    """Returns how many of them the router has closed."""
    poll = select.poll()
    for client in clients:
        poll.register(client.socket, select.POLLIN | select.POLLRDHUP)
    return len(poll.poll(0))


# --- at the limit ---


def displaced(router):
    return router.metrics().value("connections_displaced_total")


def test_at_the_limit_idle_connections_were_kept_and_whoever_came_next_was_refused(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 2})
    clients = []
    for number in range(20):  # on any shard, as the kernel distributes them
        clients.append(router.connect())
        assert clients[-1].exchange(b"x").status == 200, f"connection {number}"
    eventually(lambda: closed(clients) == 18, "the idle connections to be closed")
    assert displaced(router) == 18 and router.metrics().value("connections_refused_total") == 0
    assert router.metrics().value("connections_active") == 2
    for client in clients:
        client.close()


def test_those_that_have_never_asked_make_room_first(pod, start):
    router = start(endpoint(deployment([pod()])), threads=1, limits={"max_connections": 3})
    kept, silent_ones = router.connect(), [router.connect() for _ in range(2)]
    assert kept.exchange(b"x").status == 200
    eventually(lambda: router.metrics().value("connections_active") == 3, "all permitted connections to be open")
    with router.connect() as another:
        assert another.exchange(b"x").status == 200
        eventually(lambda: closed(silent_ones[:1]) == 1, "the first silent connection to be closed")
        assert closed(silent_ones[1:] + [kept]) == 0
        assert kept.exchange(b"x").status == 200
    for client in silent_ones + [kept]:
        client.close()


def test_a_connection_with_a_request_under_way_never_makes_room(pod, start):
    holding = Held()
    blue = pod(holding)
    router = start(endpoint(deployment([blue], slots=0)), limits={"max_connections": 4})
    clients = [router.start_request(b"x") for _ in range(4)]
    eventually(lambda: blue.concurrent == 4, "the pod to have the requests")
    for _ in range(5):
        with router.connect() as late:
            answer = late.send(request(b"x")).response()
            assert (answer.status, answer.why) == (503, "too_many_connections")
    holding.release.set()
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert displaced(router) == 0


def test_connections_that_never_shook_hands_make_room_too(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 4}, tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    held = [socket.create_connection(("127.0.0.1", router.port)) for _ in range(4)]
    eventually(lambda: router.metrics().value("connections_active") == 4, "all permitted connections to be open")
    with router.connect() as client:
        assert client.exchange(b"x").status == 200
    for each in held:
        each.close()


def unread_bytes(port):
    """Returns the bytes that the kernel has received for connections of this port and the router has not read."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(line[4].split(":")[1], 16) for line in lines if line[3] == "01" and int(line[1].split(":")[1], 16) == port)


@pytest.mark.parametrize("first", [b"P", b"POST /score HTTP/1.1\r\n", b""], ids=["a byte", "a line", "a byte of a hello"])
def test_connections_that_had_sent_a_byte_shut_others_out(pod, start, authority, first):
    tls = first == b""
    settings = {"tls": {"certificates": [authority.issue("router.test").as_dict()]}} if tls else {}
    router = start(endpoint(deployment([pod()])), limits={"max_connections": 4}, **settings)
    if tls:
        router.client_context = authority.client_context()
    held = [socket.create_connection(("127.0.0.1", router.port)) for _ in range(4)]
    eventually(lambda: router.metrics().value("connections_active") == 4, "all permitted connections to be open")
    for each in held:  # only now, since a connection whose bytes are there when it is accepted counts as silent
        each.sendall(first or b"\x16")
    eventually(lambda: unread_bytes(router.port) == 0, "the router to read the bytes")
    for _ in range(4):
        with router.connect() as client:
            assert client.exchange(b"x").status == 200
    assert router.metrics().value("connections_refused_total") == 0
    for each in held:
        each.close()


@pytest.mark.serial
def test_silent_connections_shut_honest_clients_out(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)), limits={"max_connections": 1000, "header_timeout_ms": 2000})

    def ask():
        """Sends a request on a connection of its own. Returns how long it took, or None."""
        begun = time.monotonic()
        try:
            with router.connect(timeout=5) as client:
                good = client.exchange(b"x" * 1024).status == 200
        except (Gone, OSError):
            good = False
        return time.monotonic() - begun if good else None

    def asked(seconds):
        ends, found = time.monotonic() + seconds, []
        while time.monotonic() < ends:
            found.append(ask())
            time.sleep(0.005)
        took = sorted(each for each in found if each is not None)
        shown = f"p50 {took[len(took) // 2] * 1000:.1f} ms, p99 {took[len(took) * 99 // 100] * 1000:.1f} ms" if took else ""
        return len(took) / len(found), f"{len(took)} of {len(found)} served, {shown}"
    _, alone = asked(3)
    with silent(router.port, 1000):
        rate, among = asked(8)
    print(f"\nhonest clients alone: {alone}; among 1000 silent connections: {among}")
    assert rate > 0.99 or SANITIZED
