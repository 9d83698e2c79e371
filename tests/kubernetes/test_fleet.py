"""Routers that share slots by a Lease: who is a member, who is home, and what the pods count while routers come and go."""

import base64
import re

import pytest
from fleet.harness.fleet import new_key
from fleet.harness.load import sort, told
from harness.fleet_fixtures import score_path
from harness.lease_fleet import key_data
from support.load import Plan
from support.wait import eventually

SERVICE = 0.02  # seconds of an exchange
SLOTS = 2  # pods with one slot each, of every endpoint


def serve(scene, count):
    """So many namespaces with one endpoint each. Returns a plan that asks all of them in turn, and the rate that uses 80 % of the slots."""
    for _ in range(count):
        scene.serve(SLOTS, sleep=SERVICE)
    return lambda number: Plan(body=b"%d" % number, path=score_path(f"model-{number % count}")), 0.8 * count * SLOTS / SERVICE


def assert_all_served(outcomes):
    result = sort(outcomes)
    assert not result.failed, told(result.failed)
    return result.served


def test_three_routers_that_start_at_once_make_a_key_and_agree_on_homes(scene):
    """They say what they wait for while the API server is away."""
    pods = [scene.serve(2, slots=2) for _ in range(4)]
    fleet = scene.fleet(3, keys={}, api=False, wait=False)
    eventually(lambda: all("fleet: the key in the Secret" in one.ready()[1] for one in fleet), "the reason")
    assert not any(one.is_ready() for one in fleet)
    for one in fleet:
        one.heal_api()
    fleet.wait_agreed()
    assert re.fullmatch(r"[0-9a-f]{64}\n", base64.b64decode(fleet.secret()["data"]["keys"]).decode())
    assert sum("made a key in the member keys" in one.log for one in fleet) == 1

    roster = fleet.roster()
    assert {(one["id"], one["address"], one["pod"], one["state"]) for one in roster["members"]} \
        == {(one.id, one.address, one.environment["POD_UID"], "serving") for one in fleet}
    assert all("was taken out" not in one.log for one in fleet)
    homes = {name: fleet.home(name) for name in fleet.namespaces}
    for number, (name, counting) in enumerate(zip(fleet.namespaces, pods)):
        for router in fleet:
            answer = router.score(b"x", path=score_path(f"model-{number}"))
            assert (answer.status, answer.body) == (200, b"x"), answer.why
        begun = {}
        for one in counting.figures():
            for router, count in one["routers"].items():
                begun[router] = begun.get(router, 0) + count
        assert sum(begun.values()) == 3, f"{name} at {homes[name].name}: {begun}"

    for router in fleet:
        own = sum(home is router for home in homes.values())
        metrics = router.metrics()
        assert metrics.value("fleet_members", state="serving") == 3
        assert metrics.value("fleet_covered") == 1
        assert metrics.value("fleet_epoch") == roster["epoch"]["number"]
        assert metrics.value("fleet_requests_sent_on_total", result="answered") == len(pods) - own


def test_the_pods_count_while_routers_come_and_leave(scene, fleet_load):
    """A rolling update: one more router, then one of the old ones leaves, until all are new."""
    plan, rate = serve(scene, 3)
    fleet = scene.fleet(3, drain_delay_ms=500)
    running = fleet_load(fleet, rate, clients=30, plan=plan)
    eventually(lambda: len(running.outcomes) > rate, "a second of load")
    for old in list(fleet):
        [new] = fleet.add(1)
        running.balancer.add(new)
        old.drain()
        assert old.wait_exit() == 0
        fleet.wait_agreed()
    served = assert_all_served(running.stop())
    assert {one.client for one in served} == {one.port for one in fleet}
    assert "was taken out" not in "".join(one.log for one in fleet)


@pytest.mark.long
def test_one_three_five_one(scene, fleet_load):
    plan, rate = serve(scene, 3)
    fleet = scene.fleet(1, drain_delay_ms=500)
    running = fleet_load(fleet, rate, clients=30, plan=plan)
    for _ in range(2):
        for new in fleet.add(2):
            running.balancer.add(new)
        before = len(running.outcomes)
        eventually(lambda: len(running.outcomes) > before + rate, "a second of load")  # noqa: B023
    leaving = fleet.running()[:4]
    for one in leaving:
        one.drain()
    assert [one.wait_exit() for one in leaving] == [0] * 4
    fleet.wait_agreed()
    before = len(running.outcomes)
    eventually(lambda: len(running.outcomes) > before + rate, "a second of load")
    assert_all_served(running.stop())


def test_keys_are_replaced_under_load(scene, fleet_load):
    """The old key first and the new one, then the new one first, then the new one alone. Then the Secret is emptied by mistake."""
    plan, rate = serve(scene, 2)
    old, new = new_key(), new_key()
    fleet = scene.fleet(3, keys=key_data(old))
    running = fleet_load(fleet, rate, clients=20, plan=plan)
    for number, keys in enumerate([(old, new), (new, old), (new,)], start=1):
        fleet.patch_secret(key_data(*keys))
        eventually(lambda: all(one.log.count("other keys are in use") == number for one in fleet), "the keys")  # noqa: B023
        before = len(running.outcomes)
        eventually(lambda: len(running.outcomes) > before + rate, "a second of load")  # noqa: B023
    fleet.patch_secret({"keys": None})
    eventually(lambda: fleet.secret().get("data") == key_data(new), "the routers to write their key back")
    fleet.patch_secret({"keys": "bm8ga2V5"})
    eventually(lambda: all("is not one line or two of 64 hex digits" in one.log for one in fleet), "the mistake to be said")
    before = len(running.outcomes)
    eventually(lambda: len(running.outcomes) > before + rate, "a second of load")
    assert_all_served(running.stop())
    assert fleet.agreed(fleet.routers)
    shown = [text for one in fleet for text in (one.log, one.admin("/status")[1], one.observe("/readyz")[1], one.observe("/metrics")[1])]
    assert not [text for text in shown if old in text or new in text]
