"""What operators see of a fleet: /readyz, /healthz, /status, the metrics, and POST /fleet/forget."""

import json
import re

import pytest
from harness.scenes import Asked, scored_by
from support.settings import deployment, endpoint
from support.wait import eventually

METRICS = ["fleet_members", "fleet_epoch", "fleet_covered", "fleet_requests_sent_on_total", "fleet_slots_waiting_for_takeover"]


@pytest.fixture(scope="module")
def scene(shared):
    pods = shared.counting(1, slots=1, sleep=0.005)
    return shared.fleet(scored_by(pods))


def test_every_router_names_the_same_members_and_the_same_home(scene):
    seen = [one.fleet() for one in scene]
    assert {one["homes"][""] for one in seen} == {scene.home().fleet()["id"]}
    assert len({one["id"] for one in seen}) == 3
    for fleet in seen:
        assert {member["id"] for member in fleet["members"]} == {one["id"] for one in seen}
        assert {member["address"] for member in fleet["members"]} == set(scene.addresses)
        assert {member["state"] for member in fleet["members"]} == {"serving"}
        assert [member["id"] for member in fleet["members"] if member["self"]] == [fleet["id"]]
        assert all(member["linked"] and member["silent_seconds"] < 2 for member in fleet["members"] if not member["self"])
        assert (fleet["takeovers"], fleet["slots_waiting_for_takeover"], fleet["unreachable"]) == (0, 0, [])
        assert fleet["covered"] and fleet["ready"]


def test_the_metrics_say_the_same(scene):
    for one in scene:
        metrics = one.metrics()
        assert metrics.value("fleet_members", state="serving") == 3
        assert metrics.value("fleet_covered") == 1
        assert metrics.value("fleet_slots_waiting_for_takeover") == 0
        assert metrics.all("fleet_epoch") and metrics.all("fleet_requests_sent_on_total")


def test_a_request_that_is_sent_on_is_counted_as_such(scene):
    away = scene.others()[0]
    before = [one.metrics().value("fleet_requests_sent_on_total") for one in (away, scene.home())]
    assert [one.score(b"x").status for one in (away, scene.home())] == [200, 200]
    after = [one.metrics().value("fleet_requests_sent_on_total") for one in (away, scene.home())]
    assert [now - then for now, then in zip(after, before)] == [1, 0]


def test_nothing_shows_the_key(scene):
    for one in scene:
        texts = [one.log, one.admin("/status")[1], one.observe("/metrics")[1], one.observe("/readyz")[1]]
        assert not [text for text in texts if scene.key in text.lower()]


def test_a_router_without_a_fleet_says_nothing_of_one(stage):
    router = stage.start(endpoint(deployment([stage.pod()])))
    assert "fleet" not in router.status()
    assert not [name for name in router.metrics().names() if "fleet" in name]
    status, text = router.admin("/fleet/forget?member=x", "POST")
    assert status == 404 and "fleet" in text


def test_a_member_that_is_unknown_or_oneself_cannot_be_forgotten(scene):
    only = scene[0]
    assert only.forget("nobody")[0] == 404
    assert only.forget(only.fleet()["id"])[0] == 400
    assert only.admin("/fleet/forget", "POST")[0] == 400
    assert only.admin("/fleet/forget")[0] in (404, 405)
    assert all(one.is_ready() for one in scene)


def test_a_dead_member_is_shown_as_dead_and_the_rest_stay_ready(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods))
    victim = routers.others()[0]
    dead = victim.fleet()["id"]
    victim.end_at_once()

    def shown():
        return [[member["state"] for member in one.fleet()["members"] if member["id"] == dead] for one in routers.running()]
    eventually(lambda: all(states in ([], ["dead"]) for states in shown()), "its death to be known", patience=3)
    for one in routers.running():
        assert one.is_ready() and one.observe("/healthz")[0] == 200
        assert one.metrics().value("fleet_members", state="dead") <= 1
    victim.restart()
    routers.wait_agreed()
    assert victim.fleet()["id"] != dead
    assert all(one.metrics().value("fleet_members", state="serving") == 3 for one in routers)


def test_a_frozen_member_is_named_by_the_others(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods))
    frozen = routers.others()[0]
    address = f"127.0.0.1:{frozen.fleet_port}"
    frozen.freeze()
    others = [one for one in routers if one is not frozen]
    eventually(lambda: all(one.fleet()["unreachable"] == [address] for one in others), "it to be missed", patience=5)
    assert [one.score(b"x").status for one in others] == [200, 200]
    frozen.thaw()
    eventually(lambda: all(one.fleet()["unreachable"] == [] for one in others), "it to be back", patience=5)


def test_a_draining_router_is_not_ready_and_the_others_know(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), drain_delay_ms=500)
    leaving = routers.home()
    running = Asked(leaving, headers={"x-do": "sleep=1.5"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    own = leaving.fleet()["id"]
    leaving.drain()
    eventually(lambda: not leaving.is_ready(), "it to be out of rotation")
    others = [one for one in routers if one is not leaving]
    eventually(lambda: all(one.fleet()["homes"][""] not in ("", own) for one in others), "the home to move", patience=3)
    assert all(one.is_ready() for one in others)
    assert running.answer().status == 200
    assert leaving.wait_exit() == 0


@pytest.mark.parametrize("key, value", [("listen", "127.0.0.1:1"), ("running_grace_s", 9), ("trust_refused", False)])
def test_what_cannot_change_while_the_router_runs_is_refused_with_its_place(scene, key, value):
    one = scene[0]
    before = one.generation()
    section = one.settings["fleet"]
    one.settings["fleet"] = {**section, key: value}
    mark = len(one.log)
    try:
        one.write()
        eventually(lambda: re.search(rf"router\.yaml:\d+.*{key}.*restart", one.log[mark:]), "the refusal")
        assert one.generation() == before and one.score(b"x").status == 200
    finally:
        one.settings["fleet"] = section
        one.write()
    assert json.loads(one.admin("/status")[1])["fleet"]["ready"]
