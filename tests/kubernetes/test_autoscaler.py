"""Routers that scale deployments: pods are started and ended by the Deployment controller, by what the routers write to its scale."""

import datetime
import time

import pytest
from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.scaling_fixtures import READ, WRITE, decisions_logged, leader, wait_leader
from support.load import Plan
from support.wait import eventually, stays

SLEEP = 0.05  # seconds of a request
NEXT_LEADER = 20  # seconds until another router decides, after a SIGKILL
AT_ONCE = 0.1  # seconds


def load_of(one, slots):
    """(requests a second that use so many slots, the plan)"""
    return slots / SLEEP, lambda number: Plan(body=b"%d" % number, path=one.score)


def begin(fleet_load, fleet, one, slots, clients=30):
    rate, plan = load_of(one, slots)
    return fleet_load(fleet, rate, clients, plan=plan)


def assert_served(running):
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
    return result.served


def test_load_scales_up_and_every_write_is_explained(scaling, fleet_load):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, scaling={"hold_ms": 60000})
    fleet = scaling.routers()
    head = wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=3)
    eventually(lambda: one.replicas() >= 4, "more replicas", patience=30)
    scaling.cluster.pods.ready(one.namespace, one.replicas())
    eventually(lambda: one.condition()[0] == "True" and " slots in " in one.condition()[2], "the condition")
    served = assert_served(running)
    assert len({outcome.pod for outcome in served}) > 1
    assert all(code == 200 for _, code in one.writes() if code != 409), one.writes()
    assert ("ScaledUp" in {reason for reason, _ in one.events()}), one.events()
    shown = one.shown(head)
    assert shown["mode"] == "act" and shown["decisions"], shown
    logged = [each for each in decisions_logged(head) if each["result"] == "written"]
    assert [each["to"] for each in logged][-1] == one.replicas(), logged
    assert all(each["figures"]["replicas"] == each["from"] for each in logged)


def test_observing_decides_and_writes_nothing(scaling, fleet_load):
    """The default: an upgrade of a router whose resources have scale_settings scales nothing."""
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, marked=False, rights=READ)
    fleet = scaling.routers(2, mode=None)
    head = wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=0.9)
    eventually(lambda: (one.shown(head)["decisions"] or [{}])[-1].get("reason") == "TargetNotMarked", "a decision")
    scaling.cluster.kubectl("annotate", f"deployment/{one.target}", f"inference-router.dev/scaled-for={one.endpoint}/blue", "-n", one.namespace)
    eventually(lambda: one.shown(head)["decisions"][-1]["to"] == 2, "two replicas to be wanted", patience=30)
    assert one.condition()[2].startswith("observed only: ")
    stays(lambda: one.replicas() == 1, 3, "one replica")
    assert_served(running)
    assert one.writes() == []


def test_a_request_for_a_deployment_without_pods_starts_one_and_is_answered(scaling):
    one = scaling.scale(replicas=0, least=0, sleep=0.01)
    fleet = scaling.routers(2)
    head = wait_leader(fleet, one)
    eventually(lambda: one.reason() == "Idle", "it to be idle")
    [other] = fleet.others(head)
    sent = datetime.datetime.now(datetime.timezone.utc)
    asked = [Asked(router, path=one.score) for router in (other, head) for _ in range(3)]
    assert [each.answer().status for each in asked] == [200] * 6
    moment, code = one.writes()[0]
    took = (datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) - sent).total_seconds()
    print(f"written {1000 * took:.0f} ms after the first request")
    assert code == 200
    assert took <= AT_ONCE
    eventually(lambda: one.reason() in ("Waking", "Steady", "AtMinimum", "KeptByWindow", "FrozenLeaderYoung"), "the reason")


def test_an_hpa_on_the_target_is_named_and_nothing_is_written(scaling, fleet_load):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP)
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "by-cpu"},
           "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": one.target},
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}
    scaling.cluster.apply([hpa], one.namespace)
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    eventually(lambda: one.reason() == "ConflictingAutoscaler", "the conflict to be told")
    status, _, message = one.condition()
    assert status == "False"
    assert message.startswith(f"HorizontalPodAutoscaler {one.namespace}/by-cpu"), message
    running = begin(fleet_load, fleet, one, slots=0.9)
    stays(lambda: one.writes() == [], 5, "nothing is written")
    assert_served(running)
    eventually(lambda: "ScaleRefused" in {reason for reason, _ in one.events()}, "an Event")


def test_who_sets_the_replicas_is_left_in_peace_and_then_named(scaling, fleet_load):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP)
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=0.5)
    for number, replicas in enumerate((3, 2, 4)):
        one.kubectl_scale(replicas)
        wanted = "Contested" if number == 2 else "FrozenForeignChange"
        eventually(lambda: one.reason() == wanted and f"kubectl (Update) set {replicas}; " in one.condition()[2], wanted,  # noqa: B023
                   patience=40)
    assert one.condition()[0] == "False"
    stays(lambda: one.replicas() == 4, 3, "what was set stays")
    assert_served(running)
    assert one.writes() == []


def test_missing_rights_are_named(scaling, fleet_load):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, rights=READ)
    blind = scaling.scale(replicas=1, most=6, sleep=SLEEP, rights=())
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=0.9)
    eventually(lambda: one.reason() == "TargetForbidden", "the missing right to be told", patience=30)
    eventually(lambda: blind.reason() in ("TargetForbidden", "HPAsUnreadable"), "the other, too", patience=30)
    assert_served(running)
    assert one.replicas() == 1




def test_the_leader_is_killed_and_the_next_one_goes_on(scaling, fleet_load):
    one = scaling.scale(replicas=2, most=6, sleep=SLEEP)
    fleet = scaling.routers(3)
    head = wait_leader(fleet, one)
    begin_of_load = begin(fleet_load, fleet, one, slots=1)
    at = time.monotonic()
    head.end_at_once()
    following = wait_leader(fleet, one, patience=NEXT_LEADER + 10)
    took = time.monotonic() - at
    eventually(lambda: one.shown(following)["decisions"], "a decision")
    print(f"another router decides {took:.1f} s after the kill")
    assert took <= NEXT_LEADER
    stays(lambda: one.replicas() >= 2, 5, "a young leader gives up nothing")
    result = sort(begin_of_load.stop())
    assert all(outcome.begun - 0.05 <= at <= outcome.ended + 0.5 for outcome in result.failed), told(result.failed)
    head.restart()
    fleet.wait_agreed()


@pytest.mark.long
def test_one_eight_zero_one_under_load(scaling, fleet_load):
    """With the shortest window that there is (60 s), idle for 60 s."""
    one = scaling.scale(replicas=1, least=0, most=8, sleep=SLEEP, scaling={"idle_time": 60})
    fleet = scaling.routers()
    wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=5.5, clients=40)
    eventually(lambda: one.replicas() == 8, "eight replicas", patience=60)
    scaling.cluster.pods.ready(one.namespace, 8)
    time.sleep(5)
    served = assert_served(running)
    eventually(lambda: one.replicas() == 0, "no replica", patience=400)
    asked = Asked(fleet[0], path=one.score, timeout=60)
    assert asked.answer(60).status == 200
    assert one.replicas() == 1
    print(f"{len(served)} served; replicas written {[each['to'] for each in decisions_logged(leader(fleet, one)) if each['result'] == 'written']}")


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
    assert_served(running)


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
