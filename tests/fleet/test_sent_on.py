"""A request that is sent on is served as by one router. What sent_on/ does not say: who counts and logs it, and what stays inside."""

import json
import re
import threading

import pytest
from harness.scenes import PATIENT, Asked, patient
from support.client import request
from support.settings import SELDOM, deployment, endpoint
from support.wait import eventually, stays

MEGABYTE = 1 << 20
IR = re.compile(r"^x-ir(-|$)", re.IGNORECASE)


class Scene:
    """Three routers, a pod with one slot whose behaviour a test replaces, and a deployment without a limit."""

    def __init__(self, shared, shared_stage):
        self.pod = shared_stage.pod()
        self.free = shared_stage.pod()
        self.routers = shared.fleet(endpoint(
            patient([self.pod]), deployment([self.free], "free", slots=0, probe=SELDOM, **PATIENT)))
        self.home, (self.away, self.third) = self.routers.home(), self.routers.others()


@pytest.fixture(scope="module")
def _scene(shared, shared_stage):
    return Scene(shared, shared_stage)


@pytest.fixture
def scene(_scene):
    before = _scene.pod.behave
    yield _scene
    _scene.pod.behave = before
    assert _scene.pod.most_concurrent <= 1 and _scene.pod.most_connections <= 1
    eventually(lambda: _scene.home.slots_in_use() == 0 and _scene.home.queue_length() == 0, "the slot to be free")


def test_a_client_that_leaves_ends_the_exchange_at_the_pod(scene):
    scene.pod.behave = lambda exchange: exchange.wait_for_close()
    aborts = scene.pod.aborts
    asked = Asked(scene.away)
    eventually(lambda: scene.pod.concurrent == 1, "the pod to have it")
    asked.leave()
    eventually(lambda: scene.pod.aborts == aborts + 1, "the pod's exchange to end", patience=2)
    eventually(lambda: scene.away.reasons()["client_closed"] >= 1, "it to be counted where the client was")
    assert scene.home.reasons()["client_closed"] == 0


def test_a_client_that_leaves_while_it_waits_leaves_the_queue(scene):
    release = threading.Event()

    def hold(exchange):
        exchange.wait(release)
        exchange.answer(200, exchange.body())

    scene.pod.behave = hold
    first = Asked(scene.home)
    eventually(lambda: scene.pod.concurrent == 1, "the slot to be taken")
    second = Asked(scene.away)
    eventually(lambda: scene.home.queue_length() == 1, "the second to wait")
    second.leave()
    eventually(lambda: scene.home.queue_length() == 0, "it to leave the queue", patience=2)
    release.set()
    assert first.answer().status == 200
    assert second.id not in [one.headers.get("x-request-id") for one in scene.pod.requests]


def test_a_connection_to_the_home_is_kept_and_used_again(scene):
    scene.away.score(b"x")
    before = scene.away.connections_to(scene.home.fleet_port)
    for _ in range(20):
        assert scene.away.score(b"x").status == 200
    assert scene.away.connections_to(scene.home.fleet_port) <= before + 1  # a request may come to a shard that has none


def test_only_the_home_has_connections_to_the_pod(scene):
    for one in scene.routers:
        assert one.score(b"x").status == 200
    assert scene.home.connections_to(scene.pod.port) == 1
    assert [one.connections_to(scene.pod.port) for one in (scene.away, scene.third)] == [0, 0]


def test_a_deployment_without_a_limit_is_served_without_the_home(scene):
    sent_on = scene.away.metrics().value("fleet_requests_sent_on_total")
    for one in scene.routers:
        answer = one.score(b"x", headers={"azureml-model-deployment": "free"})
        assert (answer.status, answer.body) == (200, b"x")
        assert scene.free.requests[-1].headers.get("via").endswith(one.name)
        assert one.connections_to(scene.free.port) >= 1
    assert scene.away.metrics().value("fleet_requests_sent_on_total") == sent_on


def test_the_router_with_the_client_has_the_one_line_and_the_one_count(scene):
    before = [sum(one.reasons().values()) for one in scene.routers]
    release = threading.Event()

    def hold_first(exchange):
        if exchange.request.headers.get("x-hold"):
            exchange.wait(release)
        exchange.answer(200, exchange.body())

    scene.pod.behave = hold_first
    first = Asked(scene.home, headers={"x-hold": "1"})
    eventually(lambda: scene.pod.concurrent == 1, "the slot to be taken")
    asked = Asked(scene.away, b"four")
    eventually(lambda: scene.home.queue_length() == 1, "the second to wait")
    stays(lambda: not asked.is_answered(), 0.3)
    release.set()
    assert asked.answer().status == first.answer().status == 200
    eventually(lambda: scene.away.logged_ids()[asked.id] == 1, "its line")
    line = next(line for line in map(json.loads, scene.away.access_log_file.read_text().splitlines()) if line["XRequestId"] == asked.id)
    assert line["Replica"] == scene.pod.address
    assert line["QueueDurationMs"] >= 300
    assert (line["ResponseCode"], line["DeploymentName"], line["RequestPayloadSize"], line["ResponsePayloadSize"]) == (200, "blue", 4, 4)
    stays(lambda: scene.home.logged_ids()[asked.id] == 0, 0.3, "no line at the home")
    after = [sum(one.reasons().values()) for one in scene.routers]
    grown = {one.name: now - then for one, now, then in zip(scene.routers, after, before)}
    assert grown == {scene.home.name: 1, scene.away.name: 1, scene.third.name: 0}


def test_nothing_of_what_routers_tell_each_other_leaves_them(scene):
    def behave(exchange):
        exchange.body()
        exchange.send(b"HTTP/1.1 103 Early Hints\r\nX-IR: 0 forged\r\nX-IR-Replica: forged\r\nLink: </a>\r\n\r\n")
        exchange.answer(200, b"x", {"x-ir": "0 forged", "x-ir-reason": "queue_full", "X-Ir-Home": "forged", "x-own": "1"})

    scene.pod.behave = behave
    for one in scene.routers:
        answer = one.score(b"x")
        assert (answer.status, answer.body, answer.headers.get("x-own")) == (200, b"x", "1")
        assert [interim.status for interim in answer.interim] == [103]
        fields = [*answer.headers, *answer.interim[0].headers, *scene.pod.requests[-1].headers]
        assert not [name for name, _ in fields if IR.match(name)]


def test_a_client_that_speaks_as_a_router_gains_nothing(scene):
    forged = {"x-ir": "me 60000000 1 99 - /my-endpoint/free", "X-IR-Epoch": "99", "x_ir": "me 60000000 1 99 copy /my-endpoint/free"}
    for one in scene.routers:
        answer = one.score(b"x", headers=forged)
        assert (answer.status, answer.body) == (200, b"x")
        seen = scene.pod.requests[-1].headers
        assert not [name for name, _ in seen if IR.match(name)]
        assert one.score(b"x", key="wrong", headers=forged).status == 401


def test_a_client_with_an_invented_age_does_not_overtake(scene):
    release, order = threading.Event(), []

    def behave(exchange):
        exchange.body()
        order.append(exchange.request.headers.get("x-request-id"))
        if len(order) == 1:
            exchange.wait(release)
        exchange.answer()

    scene.pod.behave = behave
    asked = [Asked(scene.home)]
    eventually(lambda: len(order) == 1, "the slot to be taken")
    asked.append(Asked(scene.away))
    eventually(lambda: scene.home.queue_length() == 1, "the second to wait")
    asked.append(Asked(scene.away, headers={"x-ir": "me 10000000 - 1 - /my-endpoint/blue"}))
    eventually(lambda: scene.home.queue_length() == 2, "the third to wait")
    release.set()
    assert [one.answer().status for one in asked] == [200] * 3
    assert order == [one.id for one in asked]


def test_the_pod_sees_one_router_on_the_way(scene):
    """Forwarding fields and Via are those of the router that has the client."""
    for one in scene.routers:
        one.score(b"x")
        seen = scene.pod.requests[-1].headers
        assert seen.get("via") == f"1.1 {one.name}"
        assert seen.get("x-forwarded-for") == "127.0.0.1"
        assert len(seen.all("x-request-id")) == 1


def test_100_megabytes_stream_back_through_both_without_memory(scene):
    size, piece = 100_000_000, b"\xa5" * 250_000

    def stream(exchange):
        exchange.body()
        exchange.head(200, {"Content-Length": str(size)})
        for _ in range(size // len(piece)):
            exchange.send(piece)

    assert scene.away.score(b"warm").status == 200
    scene.pod.behave = stream
    idle = [one.memory() for one in (scene.away, scene.home)]
    with scene.away.connect(timeout=60) as client:
        client.send(request(b"x"))
        assert client.head().status == 200
        got, highest = 0, list(idle)
        while got < size:
            got += len(client.reader.some(MEGABYTE))
            if got % 50 == 0 or got == size:
                highest = [max(pair) for pair in zip(highest, (one.memory() for one in (scene.away, scene.home)))]
    grown = [(most - before) / MEGABYTE for most, before in zip(highest, idle)]
    print(f"{grown} MB above idle")
    assert max(grown) < 16


def test_many_requests_at_all_routers_come_back_to_their_own_clients(scene):
    def ask(router, number, wrong):
        with router.connect() as client:
            for turn in range(20):
                body = b"%d of %d" % (turn, number) * 50
                answer = client.exchange(body)
                if (answer.status, answer.body) != (200, body):
                    wrong.append((router.name, answer))

    wrong = []
    threads = [threading.Thread(target=ask, args=(scene.routers[number % 3], number, wrong)) for number in range(18)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not wrong


def test_copies_for_a_limited_deployment_reach_it_from_every_router(counting, fleet):
    """They are sent on, too, and take a slot of the home only if it is idle."""
    live, shadow = counting(1, slots=1, sleep=0.001), counting(1, slots=1, sleep=0.001)
    routers = fleet(endpoint(patient(live, "live"), patient(shadow, "shadow"), traffic={"live": 100, "shadow": 0},
                             mirror_traffic={"shadow": 50}))
    for one in routers:
        for _ in range(60):
            assert one.score(b"x").status == 200
        eventually(lambda: one.metrics().value("mirrored_total", result="answered") > 5, f"copies of {one.name}")  # noqa: B023
    answered = sum(one.metrics().value("mirrored_total", result="answered") for one in routers)
    eventually(lambda: shadow.total("begun") >= answered, "the copies to be there")
    assert sum(sum(one.reasons().values()) for one in routers) == 180, "a copy is no request"
