"""Contract, section 5: the number of slots is exact, the queue is first come first served, and a request is bound to a replica when a slot
becomes free."""

import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.client import request
from support.http import Gone
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually, stays


class Turnstile:
    """A pod's behaviour: every exchange waits until the test lets it continue."""

    def __init__(self):
        self._places = threading.Condition()
        self._free = 0

    def __call__(self, exchange):
        exchange.body()
        while not self._take():
            exchange.wait(None, 0.003)
        exchange.answer(200, exchange.body())

    def _take(self):
        with self._places:
            if self._free == 0:
                return False
            self._free -= 1
            return True

    def let(self, count=1):
        with self._places:
            self._free += count


CLIENTS = 100 if SANITIZED else 500
SHAPES = [(replicas, slots) for replicas in range(1, 9) for slots in range(1, 5)]


@pytest.mark.long
@pytest.mark.parametrize("replicas, slots", SHAPES)
def test_no_replica_ever_has_more_exchanges_or_connections_than_slots(pod, start, replicas, slots):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # pytest shows it if the test fails
    service_max = 0.003 * replicas * slots  # seconds; each shape takes equally long, whatever its number of slots

    def serve(exchange):
        exchange.body()
        exchange.wait(None, random.uniform(0, service_max))
        exchange.answer(200, exchange.request.body)

    pods = [pod(serve) for _ in range(replicas)]
    router = start(endpoint(deployment(pods, slots=slots, max_queue_wait_ms=60000, request_timeout_ms=60000,
                                       # A pod's thread may close its side late on a busy machine. This must not count as a second
                                       # connection of the router.
                                       router={"max_queue_length": 1000, "abort_wait_ms": 10000, "connect_timeout_ms": 10000})))
    outcomes = []

    def run(number):
        """One client: two requests, each of which it abandons with a probability of one in four."""
        dice = random.Random(f"{seed} {number}")
        for turn in range(2):
            body = f"{number}.{turn}".encode()
            with router.connect(timeout=90) as client:
                client.send(request(body))
                if dice.random() < 0.25:
                    client.socket.settimeout(dice.uniform(0.001, 0.05))
                    try:
                        client.reader.fill()
                    except TimeoutError:
                        pass
                    if dice.random() < 0.5:
                        client.reset()
                    outcomes.append("left")
                    continue
                answer = client.response()
                assert (answer.status, answer.body) == (200, body)
                outcomes.append("answered")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(run, range(CLIENTS)))
    assert len(outcomes) == 2 * CLIENTS and "left" in outcomes
    for one in pods:
        assert one.most_concurrent <= slots, f"{one.most_concurrent} exchanges on {slots} slots"
        assert one.most_connections <= slots, f"{one.most_connections} connections on {slots} slots"
    assert max(one.most_concurrent for one in pods) == slots  # all slots were used
    eventually(lambda: router.slots_in_use() == 0, "all slots to be free")
    assert router.queue_length() == 0


@pytest.mark.parametrize("slots", [1, 2])
def test_arrivals_are_served_in_order_over_all_connections(pod, start, slots):
    turnstile = Turnstile()
    blue = pod(turnstile)
    router = start(endpoint(deployment([blue], slots=slots, max_queue_wait_ms=60000, request_timeout_ms=60000)))
    clients = []
    for number in range(40 + slots):
        clients.append(router.start_request(b"%d" % number))
        eventually(lambda: blue.concurrent + router.queue_length() == number + 1, "the request to arrive")  # noqa: B023
    for served in range(1, len(clients) + 1):
        turnstile.let()
        expected = min(served + slots, len(clients))
        eventually(lambda: len(blue.requests) == expected, "the next request to reach the pod")  # noqa: B023
    for client in clients:
        assert client.response().status == 200
        client.close()
    order = [int(one.body) for one in blue.requests]
    if slots == 1:
        assert order == sorted(order)
    else:  # two at the same time: the pod's threads may record a pair in reverse order
        assert all(abs(number - place) < slots for place, number in enumerate(order))


def polled_sockets(process):
    """Returns for each event loop (epoll descriptor) of a process the inodes of the sockets that it watches."""
    inodes, loops = {}, []
    for link in (process / "fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:  # closed since it was listed, for example a probe's connection
            continue
        if target.startswith("socket:["):
            inodes[link.name] = target[len("socket:["):-1]
        elif target == "anon_inode:[eventpoll]":
            loops.append(link.name)
    return {loop: {inodes[number] for number in re.findall(r"^tfd:\s*(\d+)", (process / "fdinfo" / loop).read_text(), re.MULTILINE)
                   if number in inodes} for loop in loops}


def clients_by_shard(router, clients):
    """Returns the idle connections by the event loop that watches the router's side. The kernel chooses it, by a hash."""
    process = Path(f"/proc/{router.process.pid}")
    inode_of = {}  # inode of the router's side, by the client's port
    for line in (process / "net" / "tcp").read_text().splitlines()[1:]:
        _, local, remote, *others = line.split()
        if int(local.rpartition(":")[2], 16) == router.port:
            inode_of[int(remote.rpartition(":")[2], 16)] = others[6]
    shards = [[one for one in clients if inode_of[one.socket.getsockname()[1]] in watched]
              for watched in polled_sockets(process).values()]
    return [shard for shard in shards if shard]


@pytest.mark.serial
@pytest.mark.long
def test_arrivals_ten_milliseconds_apart_are_served_in_order_over_both_shards(pod, start):
    blue = pod(lambda exchange: (exchange.body(), exchange.wait(None, 0.02), exchange.answer()))
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000)))
    opened = [router.connect() for _ in range(160)]  # opened before, so that only the request itself is measured
    eventually(lambda: sum(map(len, clients_by_shard(router, opened))) == len(opened), "every connection to be watched")
    one, other = clients_by_shard(router, opened)
    clients = [client for pair in zip(one, other) for client in pair][:80]  # alternating between the shards
    assert len(clients) == 80
    due = time.monotonic()
    for number, client in enumerate(clients):
        time.sleep(max(0.0, due - time.monotonic()))  # the timing is what this test is about, not a wait
        due = time.monotonic() + 0.01
        client.send(request(b"%d" % number))
        # A request has arrived when the router has read it. If the machine delays a thread of the router by more than these 10 ms, the
        # router sees two requests in another order.
        eventually(lambda: len(blue.requests) + router.queue_length() > number, "the request to arrive")  # noqa: B023
    for client in clients:
        assert client.response().status == 200
        client.close()
    assert [int(one.body) for one in blue.requests] == list(range(80))
    for client in opened:
        client.close()


def test_a_waiting_request_is_bound_when_a_slot_frees_not_before(pod, start):
    gates = {"a": Turnstile(), "b": Turnstile()}
    pods = {name: pod(gate, name=name) for name, gate in gates.items()}
    router = start(endpoint(deployment(pods.values(), max_queue_wait_ms=60000, request_timeout_ms=60000)))
    clients = [router.start_request(b"%d" % number) for number in range(2)]
    eventually(lambda: pods["a"].concurrent == pods["b"].concurrent == 1, "both pods to be busy")
    clients += [router.start_request(b"x") for _ in range(4)]
    eventually(lambda: router.queue_length() == 4, "four requests to wait")
    gates["b"].let(5)  # only b ever frees its slot
    eventually(lambda: len(pods["b"].requests) == 5, "b to serve them all")
    assert len(pods["a"].requests) == 1
    gates["a"].let()
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_a_deployment_without_a_limit_never_waits(pod, start):
    turnstile = Turnstile()
    blue = pod(turnstile)
    router = start(endpoint(deployment([blue], slots=0, request_timeout_ms=60000)))
    clients = [router.start_request(b"x") for _ in range(100)]
    eventually(lambda: blue.concurrent == 100, "a hundred requests to run at the same time")
    turnstile.let(100)
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_connections_to_a_replica_are_kept_and_used_again(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        for _ in range(50):
            assert client.exchange(b"x").status == 200
    assert len({one.connection for one in blue.requests}) <= 2  # at most one a shard


def test_a_pod_that_closes_after_each_answer_serves_every_request(pod, start):
    def behave(exchange):
        exchange.answer(200, exchange.body(), {"Connection": "close"})
        exchange.close()

    blue = pod(behave)
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        for number in range(50):
            answer = client.exchange(b"%d" % number)
            assert (answer.status, answer.body) == (200, b"%d" % number)
            assert answer.headers.get("connection") is None
    assert blue.most_connections == 1


def test_the_queue_holds_as_many_as_it_says(pod, start):
    turnstile = Turnstile()
    router = start(endpoint(deployment([pod(turnstile)], max_queue_wait_ms=60000, request_timeout_ms=60000,
                                       router={"max_queue_length": 3})))
    clients = [router.start_request(b"x") for _ in range(4)]
    eventually(lambda: router.queue_length() == 3, "three requests to wait")
    with router.connect() as client:
        for _ in range(5):
            answer = client.exchange(b"x")
            assert (answer.status, answer.why) == (503, "queue_full")
    turnstile.let(4)
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_the_queue_holds_64_where_nothing_is_said(pod, start):
    turnstile = Turnstile()
    router = start(endpoint(deployment([pod(turnstile)], max_queue_wait_ms=60000, request_timeout_ms=60000)))
    clients = [router.start_request(b"x") for _ in range(65)]
    eventually(lambda: router.queue_length() == 64, "64 requests to wait")
    assert router.score(b"x").why == "queue_full"
    for client in clients:
        client.close()
    eventually(lambda: router.queue_length() == 0, "the queue to be empty")


@pytest.mark.serial
@pytest.mark.long
def test_a_single_threaded_keep_alive_server_behind_two_shards_never_stalls(pod, start):
    blue = pod(one_at_a_time=True)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=20000, probe={"period": 1, "timeout": 1, "failure_threshold": 2})))
    slowest = 0.0
    end = time.monotonic() + 5
    served = 0

    def run(_):
        nonlocal slowest, served
        while time.monotonic() < end:
            with router.connect() as client:
                for _ in range(3):
                    begun = time.monotonic()
                    answer = client.exchange(b"x")
                    assert answer.status == 200, (answer.status, answer.why)
                    slowest = max(slowest, time.monotonic() - begun)
                    served += 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))
    assert served > 100
    assert slowest < 2.0, f"a request took {slowest:.2f} s"


def test_a_single_threaded_server_stays_ready_while_nobody_asks_it(pod, start):
    blue = pod(one_at_a_time=True)
    router = start(endpoint(deployment([blue], probe={"period": 1, "timeout": 1, "failure_threshold": 1})))
    with router.connect() as client:
        assert client.exchange(b"x").status == 200
        stays(lambda: router.deployments()[0]["replicas_ready"] == 1, 3.0, "the replica to be ready beside an idle connection")
        assert client.exchange(b"x").status == 200


def test_a_replica_that_is_not_ready_gets_nothing(pod, start):
    blue, green = pod(name="1"), pod(name="2")
    router = start(endpoint(deployment([blue, green], probe={"failure_threshold": 1})))
    blue.ready = False
    eventually(lambda: router.deployments()[0]["replicas_ready"] == 1, "one replica to become unready")
    before = len(blue.requests)
    with router.connect() as client:
        for _ in range(20):
            assert client.exchange(b"x").headers.get("x-pod") == "2"
    assert len(blue.requests) == before
    blue.ready = True
    eventually(lambda: router.deployments()[0]["replicas_ready"] == 2, "the replica to be ready again")


def test_a_request_that_waits_without_a_ready_replica_is_served_when_one_comes(pod, start):
    blue = pod()
    blue.ready = False
    router = start(endpoint(deployment([blue], max_queue_wait_ms=20000)), wait=False)
    router.wait_ready(replicas=False)
    with router.start_request(b"x") as client:
        eventually(lambda: router.queue_length() == 1, "the request to wait")
        blue.ready = True
        assert client.response().status == 200


def test_clients_that_vanish_in_mid_queue_leave_no_trace(pod, start):
    turnstile = Turnstile()
    blue = pod(turnstile)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=60000, request_timeout_ms=60000)))
    first = router.start_request(b"first")
    eventually(lambda: blue.concurrent == 1, "the first request to run")
    leavers = [router.start_request(b"leaver") for _ in range(20)]
    eventually(lambda: router.queue_length() == 20, "20 requests to wait")
    last = router.start_request(b"last")
    eventually(lambda: router.queue_length() == 21, "the last request to wait")
    for number, client in enumerate(leavers):
        client.reset() if number % 2 else client.close()
    eventually(lambda: router.queue_length() == 1, "the 20 requests to leave the queue")
    turnstile.let(2)
    assert first.response().status == 200 and last.response().status == 200
    assert [one.body for one in blue.requests] == [b"first", b"last"]
    first.close(), last.close()


def test_gone_is_what_the_client_sees_only_after_the_end(pod, start):
    """Tests the harness itself: a closed connection is reported as such, never as an empty answer."""
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        client.exchange(b"x", headers={"Connection": "close"})
        with pytest.raises(Gone):
            client.response()
