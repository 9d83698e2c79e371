"""Routers that scale deployments: pods are started and ended by the Deployment controller, by what the routers write to its scale."""

import datetime
import time

from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.resources import path
from harness.scaling_fixtures import READ, Watched, assert_explained, wait_leader
from support.load import Plan
from support.wait import eventually, stays

SLEEP = 0.05  # seconds of a request
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
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, scaling={"hold_ms": 60000}).watch()
    fleet = scaling.routers()
    head = wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=3)
    eventually(lambda: one.replicas() >= 4, "more replicas", patience=30)
    eventually(lambda: sum(pod.is_ready for pod in scaling.cluster.pods.all(one.namespace)) >= 4, "the pods to be ready", 30)
    eventually(lambda: one.condition()[0] == "True" and " slots in " in one.condition()[2], "the condition")
    served = assert_served(running)
    assert len({outcome.pod for outcome in served}) > 1
    assert all(code == 200 for _, code in one.writes() if code != 409), one.writes()
    assert ("ScaledUp" in {reason for reason, _ in one.events()}), one.events()
    shown = one.shown(head)
    assert shown["mode"] == "act" and shown["decisions"], shown
    assert assert_explained(fleet, one)[-1][1] == one.replicas()
    assert one.condition()[2].split("offered ")[1].split("/s")[0] != "0.0", "arrivals count"


def test_observing_decides_and_writes_nothing(scaling, fleet_load):
    """The default: an upgrade of a router whose resources have scale_settings scales nothing."""
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, marked=False, rights=READ)
    fleet = scaling.routers(2, mode=None)
    head = wait_leader(fleet, one)
    running = begin(fleet_load, fleet, one, slots=0.9)
    eventually(lambda: (one.shown(head)["decisions"] or [{}])[-1].get("reason") == "TargetNotMarked", "a decision")
    scaling.cluster.kubectl("annotate", f"deployment/{one.target}", f"inference-router.dev/scaled-for={one.endpoint}/blue", "-n", one.namespace)
    eventually(lambda: one.shown(head)["decisions"][-1]["to"] >= 2, "more replicas to be wanted", patience=30)
    assert one.condition()[2].startswith("observed only: ")
    stays(lambda: one.replicas() == 1, 3, "one replica")
    assert_served(running)
    assert one.writes() == []


def ready_at(slices):
    """When an EndpointSlice has said first that a replica is ready; None: not yet."""
    return next((at for at, one in slices.seen if any(each["conditions"].get("ready") for each in one.get("endpoints") or [])), None)


def test_a_request_for_a_deployment_without_pods_starts_one_and_is_answered(scaling):
    """The longest wait in the queue is 0.5 s: the requests are held."""
    one = scaling.scale(replicas=0, least=0, sleep=0, requests={"max_queue_wait_ms": 500}, pods={"test/start-delay": "1"}).watch()
    fleet = scaling.routers(2)
    head = wait_leader(fleet, one)
    eventually(lambda: one.reason() == "Idle", "it to be idle")
    [other] = fleet.others(head)
    slices = Watched(scaling.cluster.api, path("endpointslices", one.namespace))
    sent = datetime.datetime.now(datetime.timezone.utc)
    asked = [Asked(router, path=one.score) for router in (other, head) for _ in range(3)]
    eventually(lambda: any(each.is_answered() for each in asked), "an answer", 40, 0.001)
    answered = time.monotonic()
    assert [each.answer().status for each in asked] == [200] * 6
    moment, code = one.writes()[0]
    took = (datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) - sent).total_seconds()
    after = answered - ready_at(slices)
    slices.end()
    print(f"written {1000 * took:.0f} ms after the first request, answered {1000 * after:.0f} ms after the replica was ready")
    assert code == 200
    assert took <= AT_ONCE
    assert after <= AT_ONCE
    eventually(lambda: one.reason() in ("Waking", "ScaledUp", "Steady", "AtMinimum", "KeptByWindow", "FrozenLeaderYoung"), "the reason")
    assert_explained(fleet, one)
