"""Listeners that are added, removed, moved and changed while the router runs, and their connections."""

import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.client import Client, request
from support.http import Gone, Reader
from support.pod import Held
from support.reload import asks, line_of, plain, refusal, take_up
from support.router import is_listening, write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


def test_every_bad_certificate_of_a_new_listener_is_told_with_its_place(pod, start, authority, ports):
    router = start(endpoint(deployment([pod()])))
    first, second = authority.issue("router.test"), authority.issue("other.test")
    for pair in (first, second):
        write_at_once(pair.certificate, "nonsense")
    write_at_once(second.key, "nonsense")
    added = {"address": "127.0.0.1", "port": ports(), "tls": {"certificates": [first.as_dict(), second.as_dict()]}}
    told, lines = refusal(router, listeners=[*router.settings["listeners"], added])
    expected = [(0, "certificate_file", first.certificate), (1, "certificate_file", second.certificate), (1, "key_file", second.key)]
    assert len(told) == len(expected)
    for index, key, file in expected:
        start_of_line = (f"{router.config_file}:{line_of(lines, str(file))}: "
                         f"listeners[1].tls.certificates[{index}].{key}: {file}: ")
        assert any(one.startswith(start_of_line) for one in told), (start_of_line, told)


def test_a_listener_is_opened_and_closed_while_the_router_runs(pod, start, ports):
    router = start(endpoint(deployment([pod()], slots=0)))
    first, second = router.port, ports()
    with Client(first) as kept, Client(first) as silent:
        assert kept.exchange(b"x").headers.get("connection") is None
        take_up(router, listeners=[plain(second)])
        assert asks(second).status == 200
        eventually(lambda: not is_listening(first), "the old listener to be closed")
        for client in (kept, silent):
            last = client.exchange(b"y")
            assert (last.status, last.headers.get("connection")) == (200, "close")
            assert client.is_closed()
    take_up(router, listeners=[plain(first), plain(second)])
    assert asks(first).status == asks(second).status == 200


def test_a_request_that_runs_when_its_listener_closes_is_finished(pod, start, ports):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], request_timeout_ms=60000)))
    running = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the request to run")
    old = router.port
    take_up(router, listeners=[plain(ports())])
    eventually(lambda: not is_listening(old), "the listener to be closed")
    hold.release.set()
    answer = running.response()
    assert (answer.status, answer.headers.get("connection")) == (200, "close")
    running.close()


def test_a_listener_moves_between_addresses_of_one_port(pod, start):
    router = start(endpoint(deployment([pod()], slots=0)))
    for address in ("0.0.0.0", "127.0.0.1", "0.0.0.0"):
        take_up(router, listeners=[plain(router.port, address)])
        assert asks(router.port).status == 200


def test_a_listener_that_comes_back_at_once_is_open(pod, start, ports):
    router = start(endpoint(deployment([pod()], slots=0)))
    first, second = router.port, ports()
    for _ in range(10):
        take_up(router, listeners=[plain(second)])
        take_up(router, listeners=[plain(first), plain(second)])
        assert asks(first).status == asks(second).status == 200


def test_a_listener_switches_to_tls_and_back_and_its_connections_go_on(pod, start, authority):
    router = start(endpoint(deployment([pod()], slots=0)))
    context = authority.client_context()
    secure = {"tls": context, "server_name": "router.test"}

    def speaks(**options):
        try:
            return asks(router.port, **options).status == 200
        except (Gone, OSError):
            return False

    with Client(router.port) as before:
        assert before.exchange(b"x").status == 200
        take_up(router, listeners=[plain(router.port, tls={"certificates": [authority.issue("router.test").as_dict()]})])
        eventually(lambda: speaks(**secure), "the listener to speak TLS")
        answer = before.exchange(b"x")
        assert (answer.status, answer.headers.get("connection")) == (200, None)
        with Client(router.port, **secure) as between:
            assert between.exchange(b"x").status == 200
            take_up(router, listeners=[plain(router.port)])
            eventually(speaks, "the listener to speak plaintext")
            assert between.exchange(b"x").status == before.exchange(b"x").status == 200


def test_a_listener_that_cannot_be_opened_refuses_the_whole_change(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    free, other = ports(), ports()
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as observe:
        port, observe_port = taken.getsockname()[1], observe.getsockname()[1]
        told, lines = refusal(router, 409, listeners=[plain(free), plain(port)], observe={"address": f"127.0.0.1:{observe_port}"},
                              admin={"address": f"127.0.0.1:{other}"})
    assert len(told) == 2
    assert told[0].startswith(f"{router.config_file}:{line_of(lines, str(port)) - 1}: listeners[1]: cannot listen on 127.0.0.1:{port}")
    assert told[1].startswith(f"{router.config_file}:{line_of(lines, str(observe_port))}: observe.address: cannot listen on ")
    assert router.score(b"x").status == 200
    assert not is_listening(free) and not is_listening(other)
    take_up(router, listeners=[plain(router.port), plain(free)])
    assert asks(free).status == 200


def test_listeners_do_not_change_while_the_router_drains(pod, start, ports):
    router = start(endpoint(deployment([pod()])), drain_delay_ms=3000)
    router.signal(signal.SIGTERM)
    eventually(lambda: router.status()["draining"], "the drain")
    told, _ = refusal(router, 409, listeners=[plain(ports())])
    assert "drains" in told[0]
    assert router.wait_exit() == 0


def test_the_operators_listeners_move_and_whoever_asked_is_answered(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    old = (router.observe_port, router.admin_port)
    observe, admin = ports(), ports()
    with Client(old[0]) as kept:
        kept.send(request(method="GET", path="/healthz"))
        assert kept.response().status == 200
        take_up(router, observe={"address": f"127.0.0.1:{observe}"}, admin={"address": f"127.0.0.1:{admin}"})
        assert not any(map(is_listening, old))
        kept.send(request(method="GET", path="/healthz"))
        last = kept.response()
        assert (last.status, last.headers.get("connection")) == (200, "close")
    router.observe_port, router.admin_port = observe, admin
    assert router.observe("/readyz")[0] == 200


def test_the_operators_listeners_move_between_addresses_of_their_ports_and_exchange_them(pod, start):
    router = start(endpoint(deployment([pod()])))
    observe, admin = router.observe_port, router.admin_port
    told, _ = refusal(router, admin={"address": f"0.0.0.0:{admin}"})
    assert "admin.address" in told[0] and "unsafe" in told[0]
    take_up(router, observe={"address": f"0.0.0.0:{observe}"}, admin={"address": f"0.0.0.0:{admin}", "unsafe": True})
    assert router.observe("/readyz")[0] == 200
    take_up(router, observe={"address": f"127.0.0.1:{admin}"}, admin={"address": f"127.0.0.1:{observe}"})
    router.observe_port, router.admin_port = admin, observe
    assert router.observe("/readyz")[0] == 200
    take_up(router)


class Visitors:
    """Clients that keep their connections and clients that open a new one for each request, on the listeners that are open."""

    def __init__(self, context, open_now):
        self.context, self.open_now = context, open_now  # each is (port, speaks TLS)
        self.lock, self.done = threading.Lock(), threading.Event()
        self.lost, self.answered, self.sent_away = [], 0, 0

    def connect(self, number):
        with self.lock:  # no thread removes a listener from `open_now` between the choice and the connection
            port, secure = self.open_now[number % len(self.open_now)]
            client = Client(port)
        if secure:
            client.socket = self.context.wrap_socket(client.socket, server_hostname="router.test")
            client.reader = Reader(client.socket)
        return client

    def visit(self, number, keeps):
        turn, client = number, None
        while not self.done.is_set():
            try:
                client = client or self.connect(turn)
                answer = client.exchange(b"load")
            except (Gone, OSError) as error:
                self.lost.append(repr(error))
                return
            closing = answer.headers.get("connection") == "close"
            with self.lock:
                self.answered += 1
                self.sent_away += closing
            if answer.status != 200:
                self.lost.append((answer.status, answer.why))
            if closing or not keeps:
                client.close()
                client, turn = None, turn + 1
            self.done.wait(0.005)


@pytest.mark.serial
@pytest.mark.long
def test_listeners_change_twenty_times_under_load_and_no_request_is_lost(pod, start, ports, authority):
    tls = {"certificates": [authority.issue("router.test").as_dict()]}
    router = start(endpoint(deployment([pod()], slots=0)))
    secure = {False: {}, True: {"tls": tls}}
    choice = [(router.port, False), (ports(), True), (ports(), False), (ports(), True)]
    toggled = ports()  # a listener that changes while connections are open
    take_up(router, listeners=[plain(port, **secure[is_secure]) for port, is_secure in [*choice[:2], (toggled, False)]])
    visitors = Visitors(authority.client_context(), choice[:2])
    with ThreadPoolExecutor(8) as pool, Client(toggled) as constant:
        visits = [pool.submit(visitors.visit, number, number % 2 == 0) for number in range(8)]
        for number in range(1, 21):
            fresh = [choice[number % 4], choice[(number + 1) % 4]]  # one stays, one is removed, one is added, in changing positions
            with visitors.lock:
                visitors.open_now = [one for one in visitors.open_now if one in fresh]
            listeners = [(toggled, number % 2 == 1), *fresh] if number % 3 else [*reversed(fresh), (toggled, number % 2 == 1)]
            take_up(router, listeners=[plain(port, **secure[is_secure]) for port, is_secure in listeners])
            with visitors.lock:
                visitors.open_now = fresh
                seen = visitors.answered
            assert constant.exchange(b"x").headers.get("connection") is None
            eventually(lambda: visitors.lost or visitors.answered > seen + 40, "requests between two changes")  # noqa: B023
        visitors.done.set()
        for one in visits:
            one.result()
    assert visitors.lost == []
    assert visitors.sent_away > 10
    eventually(lambda: [is_listening(port) for port, _ in choice] == [one in fresh for one in choice], "the others to be closed")
