"""Routers that stop deciding, and an API server that they do not reach: the next one goes on, nothing is written twice, and who waits for
a first replica is answered."""

import time

import pytest
from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.scaling_fixtures import MANAGER, READ, WRITE, assert_explained, decisions_logged, wait_leader
from support.load import Plan
from support.wait import eventually, stays

SLEEP = 0.05  # seconds of a request
NEXT_LEADER = 20  # seconds until another router decides, after a SIGKILL


def begin(fleet_load, fleet, one, slots, clients=30):
    return fleet_load(fleet, slots / SLEEP, clients, plan=lambda number: Plan(body=b"%d" % number, path=one.score))


def test_the_leader_is_killed_in_a_burst_and_while_requests_wait_for_a_first_replica(scaling, fleet_load):
    busy = scaling.scale(replicas=2, most=6, sleep=SLEEP)
    asleep = scaling.scale(replicas=0, least=0, sleep=0.01, target_utilization_percentage=100)
    fleet = scaling.routers(3)
    head = wait_leader(fleet, busy)
    eventually(lambda: asleep.reason() == "Idle", "it to be idle")
    busy.watch(), asleep.watch()
    burst = begin(fleet_load, fleet, busy, slots=3)
    eventually(lambda: "ScaledUp" in {reason for reason, _ in busy.events()}, "a first step and its Event", 20, 0.02)
    at = time.monotonic()
    head.end_at_once()
    asked = [Asked(router, path=asleep.score) for router in fleet.running()]
    following = wait_leader(fleet, busy, patience=NEXT_LEADER + 10)
    took = time.monotonic() - at
    print(f"another router decides {took:.1f} s after the kill")
    assert took <= NEXT_LEADER
    answers = [each.answer() for each in asked]
    assert [each.status for each in answers] == [200, 200], [(each.why, each.body) for each in answers]
    print(f"the requests for the deployment without replicas are answered {time.monotonic() - at:.1f} s after the kill")
    eventually(lambda: busy.replicas() >= 4, "what the burst needs", 20, 0.05)
    eventually(lambda: busy.shown(following)["decisions"], "a decision")
    result = sort(burst.stop())
    assert all(each.begun - 0.05 <= at <= each.ended + 0.5 for each in result.failed), told(result.failed)
    changes = assert_explained(fleet, busy)
    assert all(before < after for before, after in changes), "a young leader gives up nothing"
    assert assert_explained(fleet, asleep) in ([(0, 2)], [(0, 1), (1, 2)])  # two requests are a demand of two slots
    head.restart()
    fleet.wait_agreed()


@pytest.mark.parametrize("fault", [pytest.param("half_close", id="the-answer-is-lost"),
                                   pytest.param("swallow", id="the-request-is-lost", marks=pytest.mark.long)])
def test_a_write_without_an_answer_is_not_written_twice(scaling, fault):
    """`half_close`: the request arrives, and the stream ends instead of the answer."""
    one = scaling.scale(replicas=0, least=0, sleep=0.01, target_utilization_percentage=100)
    fleet = scaling.routers(1)
    head = wait_leader(fleet, one)
    eventually(lambda: one.reason() == "Idle", "it to be idle")
    one.watch()
    head.api.set(**{fault: True})
    asked = Asked(head, path=one.score)
    if fault == "half_close":
        eventually(lambda: one.replicas() == 1, "the write to arrive", 5, 0.02)
    else:
        stays(lambda: one.replicas() == 0, 1.5, "nothing arrives")
    head.heal_api()
    assert asked.answer().status == 200
    eventually(one.changes, "the change")
    stays(lambda: len(one.changes()) == 1, 2, "one step")
    assert one.changes() == [(0, 1, MANAGER)]
    eventually(lambda: one.condition()[0] == "True", "the condition", 15, 0.05)
    shown = one.shown(head)["decisions"][-1]
    assert shown["from"] == shown["to"] == 1
    if fault == "half_close":
        assert "unknown" in {each["result"] for each in decisions_logged(head, one)}


@pytest.mark.long
def test_zero_that_somebody_has_set_survives_the_leader(scaling):
    """A rolling update of the routers starts nothing that a person has stopped, and takes nothing back that was said."""
    one = scaling.scale(replicas=1, least=0)
    fleet = scaling.routers(2)
    head = wait_leader(fleet, one)
    one.kubectl_scale(0)
    eventually(lambda: one.reason() == "Paused", "the pause")
    head.end_at_once()
    following = wait_leader(fleet, one, patience=NEXT_LEADER + 10)
    seen = set()
    eventually(lambda: seen.add(one.reason()) or one.shown(following)["decisions"], "a decision")
    assert Asked(following, path=one.score).answer().status == 503
    stays(lambda: seen.add(one.reason()) or one.replicas() == 0, 3, "no replica")
    assert seen == {"Paused"}
    head.restart()
    fleet.wait_agreed()


@pytest.mark.long
def test_a_right_that_is_granted_later_is_used(scaling, fleet_load):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, rights=READ)
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=0.9)
    eventually(lambda: one.reason() == "TargetForbidden", "the missing right to be told", patience=30)
    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{one.namespace}/roles/{scaling.account.name}"
    scaling.cluster.api.patch(role, {"rules": scaling.cluster.api.get(role)["rules"] + WRITE})
    eventually(lambda: one.replicas() > 1, "the write", patience=90)  # the pause after a refusal is at most a minute
    eventually(lambda: one.condition()[0] == "True", "the condition", patience=30)
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
