"""Replicas that violate HTTP: the client is notified, the next exchange is not affected, and the other replicas continue to serve."""

import random
import time
import uuid
from collections import Counter

import pytest
from support.client import request
from support.http import Gone
from support.load import Plan
from support.reliability import access_lines_of, leaked
from support.settings import deployment, endpoint
from support.wait import eventually

PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}
SLOW_PROBE = {"period": 1000, "failure_threshold": 1000}
CUT = "cut"
ROUNDS = 15


def ask(router, do, body):
    """Returns what the client sees: (reason or "" or CUT, whether the answer belongs to this request, body)."""
    own = str(uuid.uuid4())
    with router.connect() as client:
        try:
            client.send(request(body, headers={"x-request-id": own, "x-do": do}))
            answer = client.response()
        except Gone:
            return CUT, True, b""
    assert answer.why or answer.headers.get("x-pod"), "the answer is neither the router's nor the pod's"
    return answer.why or "", answer.headers.get("x-echo-id", own) == own, answer.body


# What the replica does, what its client may see, and why that is right.
LIES = [
    ("length-too-long", {CUT}, "cut: the answer is incomplete"),
    ("length-too-short", {""}, "the client gets the announced length; the router drops the rest and closes the connection"),
    ("two-responses", {""}, "the client gets the first answer; the router drops the second and closes the connection"),
    ("garbage", {"upstream_invalid_response"}, "502: not HTTP"),
    ("reset", {"upstream_reset"}, "502: reset before an answer"),
    ("answer-early", {""}, "the router passes on the early answer"),
    ("trickle-head", {""}, "a slow head is valid"),
    ("stream=20", {""}, "a correct answer"),
]


@pytest.mark.parametrize("do, seen, why", LIES, ids=[lie[0] for lie in LIES])
def test_the_client_learns_it_and_the_next_exchange_is_clean(start, replica, table, do, seen, why):
    """Faulty and ordinary requests alternate on one slot, so that bytes left over from a fault would meet the next request."""
    only = replica()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE, **PATIENT)))
    lost = failed = 0
    for number in range(ROUNDS):
        body = b"b" * random.choice([20, 2000, 100_000])
        reason, own, _ = ask(router, do, body)
        assert reason in seen and own, (reason, own)
        failed += reason != ""
        honest = b"honest %d" % number
        reason, own, back = ask(router, "", honest)
        lost += (reason, own, back) != ("", True, honest)
    table.add(fault=f"a replica's answer: {do}", injected=ROUNDS, requests=2 * ROUNDS, failed=failed, why=why, lost=lost,
              leaked=leaked(router))


def test_an_early_answer_ends_the_upload(start, replica):
    router = start(endpoint(deployment([replica()], probe=SLOW_PROBE, **PATIENT)))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "1000000", "x-do": "answer-early"}) + b"u" * 1000)
        answer = client.response()
        assert (answer.status, answer.body) == (200, b"early")
        assert client.is_closed()
    assert router.score(b"next").body == b"next"


# What a gate between router and replica does, and the reasons for which its requests may fail.
GATES = [
    ("cut", {"cut": True}, {"upstream_reset"}),
    ("reset", {"reset": True}, {"upstream_reset"}),
    ("half-closed", {"half_close": True}, {"upstream_reset"}),
    ("garbage", {"garbage": True}, {"upstream_invalid_response"}),
    ("delayed", {"delay": 0.02}, set()),
    ("trickling", {"trickle": 40}, set()),
]


@pytest.mark.parametrize("name, faults, reasons", GATES, ids=[one[0] for one in GATES])
def test_a_faulty_way_to_one_replica_harms_only_what_goes_there(start, replica, gate, load, table, name, faults, reasons):
    bad, good = replica("bad"), replica("good")
    door = gate(bad.port)
    router = start(endpoint(deployment([door.address, good.address], slots=4, probe=SLOW_PROBE, **PATIENT)))
    with load(router, 100, clients=10) as running:
        eventually(lambda: door.connections > 0 and len(running.outcomes) > 20, "requests to both replicas")
        passed = len(running.outcomes)
        door.set(**faults)
        if name in ("cut", "reset"):
            door.end_all(reset=name == "reset")  # also idle connections
        eventually(lambda: len(running.outcomes) > passed + 100, "requests during the fault", patience=30)
        door.clear()
        cleared = len(running.outcomes)
        eventually(lambda: len(running.outcomes) > cleared + 30, "requests after the fault", patience=30)
    outcomes = running.outcomes
    lines = access_lines_of(router, outcomes)
    failed = [one for one in outcomes if not one.served]
    rightly = [one for one in failed if one.status == 502 and one.why in reasons and lines[one.id]["Replica"] == door.address]
    assert bool(rightly) == bool(reasons), Counter((one.status, one.why) for one in failed)
    struck = [one for one in outcomes[passed:cleared] if lines[one.id]["Replica"] == door.address]
    breaks = "upstream_reset" in reasons  # a replica that answers with garbage does answer: this alone does not eject it
    assert len(rightly) <= 5 + 4 * 2 or not breaks, "the router chose an ejected replica"  # five in a row, and those in progress
    why = "502 until the replica is ejected" if breaks else "502: not HTTP; this failure does not eject" if reasons else ""
    table.add(fault=f"network path to one of two replicas: {name}", injected=len(struck), requests=len(outcomes),
              failed=len(rightly), why=why, lost=len(failed) - len(rightly), leaked=leaked(router))


def test_a_replica_that_swallows_everything_does_not_stall_the_others(start, replica, gate, load, table):
    bad, good = replica("bad"), replica("good")
    door = gate(bad.port)
    timeout_ms = 1000
    router = start(endpoint(deployment([door.address, good.address], slots=4, probe=SLOW_PROBE, max_queue_wait_ms=20000,
                                       request_timeout_ms=timeout_ms)))
    with load(router, 100, clients=40) as running:
        eventually(lambda: door.connections > 0 and len(running.outcomes) > 20, "requests to both replicas")
        door.set(swallow=True)
        struck, passed_on = time.monotonic(), door.bytes_to_server
        eventually(lambda: router.metrics().value("ejections_total") == 1, "the replica to be ejected", patience=30)
        ejected = len(running.outcomes)
        eventually(lambda: len(running.outcomes) > ejected + 50, "requests after the ejection", patience=30)
        assert door.bytes_to_server - passed_on <= 65536 and door.open > 0, "the gate has passed bytes on"
        door.clear()
    outcomes = running.outcomes
    lines = access_lines_of(router, outcomes)
    failed = [one for one in outcomes if not one.served]
    rightly = [one for one in failed if (one.status, one.why) == (504, "upstream_timeout") and lines[one.id]["Replica"] == door.address]
    assert 5 <= len(rightly) <= 5 + 4 * 2
    beside = [one for one in outcomes if one.served and one.begun > struck]
    assert len(beside) > 50 and all(one.pod == "good" for one in beside if one.ended < struck + timeout_ms / 1000)
    table.add(fault="a replica that accepts connections and reads nothing", injected=1, requests=len(outcomes), failed=len(rightly),
              why="504, until five failures in a row eject it", lost=len(failed) - len(rightly), leaked=leaked(router))


def test_a_crash_in_the_middle_of_an_answer_is_seen_at_once(start, replica, table):
    lost, count, slowest = 0, 6, 0.0
    only = replica()
    router = start(endpoint(deployment([only], probe=SLOW_PROBE, router={"stream_idle_timeout_ms": 60000}, **PATIENT)))
    for _ in range(count):
        with router.connect() as client:
            client.send(request(b"x", headers={"x-do": "crash-mid-response"}))
            head = client.head()
            only.wait_dead()
            died = time.monotonic()
            assert head.status == 200 and head.headers.get("content-length") == "1000"
            assert client.reader.until_close() == b"half"
            slowest = max(slowest, time.monotonic() - died)
        only.restart()
        lost += router.score(b"next").body != b"next"
    assert slowest < 5, "the client had to wait"  # a minute, if the router noticed only the silence
    table.add(fault="a replica dies in the middle of its answer", injected=count, requests=2 * count, failed=count,
              why=f"cut: the router never replaces an answer that has begun; noticed within {slowest * 1000:.1f} ms", lost=lost,
              leaked=leaked(router))


def test_load_of_mixed_lies_mixes_no_answers(start, replica, load, table):
    """Faults of every kind at random, over two replicas with two slots: each client that gets an answer gets its own."""
    kinds = [lie[0] for lie in LIES] + [""] * 8
    replicas = [replica(), replica()]
    router = start(endpoint(deployment(replicas, slots=2, probe=SLOW_PROBE, **PATIENT)))
    with load(router, 150, clients=20, plan=lambda number: Plan(body=b"%d" % number * 10,
                                                               headers={"x-do": random.choice(kinds)})) as running:
        eventually(lambda: len(running.outcomes) > 600, "600 requests", patience=60)
    outcomes = running.outcomes
    honest = [one for one in outcomes if one.plan.headers["x-do"] == ""]
    lost = [one for one in honest if not one.served or one.body != one.plan.body]
    assert all(one.echo_id in ("", one.id) for one in outcomes), "an answer reached another client"
    allowed = {lie[0]: lie[1] for lie in LIES}
    for one in outcomes:
        if one.plan.headers["x-do"]:
            seen = CUT if one.broken else one.why
            assert seen in allowed[one.plan.headers["x-do"]], (one.plan.headers, one)
    failed = [one for one in outcomes if not one.served and one not in lost]
    table.add(fault="all these answers in random order, among correct ones", injected=len(outcomes) - len(honest), requests=len(outcomes),
              failed=len(failed), why="as above; no other request failed, no answer reached another client", lost=len(lost),
              leaked=leaked(router))
