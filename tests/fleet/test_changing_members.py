"""Who is a member changes under load: more routers, fewer routers, links that break. Nothing is lost, and no pod gets too much."""

import time

import pytest
from harness.load import sort, told
from harness.scenes import Asked, scored_by
from harness.waits import Waits
from support.load import Plan
from support.wait import eventually, stays

SLOTS, SERVICE = 4, 0.02
ROUNDS = 3


def grow_and_shrink(pods, routers, running):
    """One router becomes three, five, and another one: that which is home ends, too."""
    for count in (2, 2):
        for one in routers.grow(count):
            running.add(one)
        routers.wait_agreed()
        eventually(lambda: {len(one.fleet()["members"]) for one in routers} == {len(routers.routers)}, "all to be members")
        before = pods.total("ended")
        eventually(lambda: pods.total("ended") > before + 50, "it to be served by all")
    home = routers.home()
    stays_on = next(one for one in reversed(routers.routers) if one is not home)
    gone = [one for one in routers if one is not stays_on]
    routers.shrink(gone)
    for one in gone:
        eventually(lambda: not one.is_ready(), f"{one.name} to be a member no more")  # noqa: B023
        assert "not in the list fleet.peers" in one.ready()[1]
        one.drain()
    assert [one.wait_exit() for one in gone] == [0] * 4
    routers.wait_agreed()
    address = routers.addresses[routers.routers.index(stays_on)]
    eventually(lambda: [member["address"] for member in stays_on.fleet()["members"]] == [address],
               "those that have ended to be members no more")


@pytest.mark.serial
def test_one_becomes_three_and_five_and_one_by_reload_and_requests_hardly_wait_longer(counting, fleet, load):
    service, waits = 0.05, Waits()
    for _ in range(ROUNDS):
        pods = counting(SLOTS, slots=1, sleep=service)
        routers = fleet(scored_by(pods), size=1, drain_delay_ms=400)
        running = load(routers, 0.7 * SLOTS / service, clients=30, plan=lambda number: Plan(body=b"%d" % number))
        eventually(lambda: pods.total("ended") > 50, "a steady load")  # noqa: B023
        waits.measure(running, lambda: grow_and_shrink(pods, routers, running))  # noqa: B023
    waits.assert_hardly_longer()


def test_a_router_that_only_some_have_in_their_list_is_home_of_nothing(counting, fleet):
    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods), size=2)
    routers.grow(1)
    routers.wait_agreed()
    first, second, third = routers
    home = routers.home()
    blind = first if home is not first else second  # it reads a list without the home
    running = Asked(blind, headers={"x-do": "sleep=1.5"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    routers._write_list(blind, [routers.addresses[routers.routers.index(one)] for one in routers if one is not home])
    eventually(lambda: not home.is_ready(), "the home to give up")
    asked = [Asked(one) for one in routers]
    stays(lambda: pods.total("begun") == 1, 0.5, "the slot is busy until the old home's exchange has ended")
    assert running.answer().status == 200
    assert [one.answer().status for one in asked] == [200] * 3
    routers._write_list(blind, routers.addresses)
    routers.wait_agreed()
    assert [one.score(b"x").status for one in (first, second, third)] == [200] * 3


def test_a_link_that_breaks_while_both_sides_live_moves_no_home(counting, fleet, gate, load):
    """All links break again and again, by FIN and by reset. A connection that ends proves nothing while the port still accepts."""
    pods = counting(SLOTS, slots=1, sleep=SERVICE)
    gates = {}

    def door(number):
        def open_at(port):
            gates[number] = gate(port)
            return gates[number].address
        return open_at

    routers = fleet(scored_by(pods), doors=[(number, door(number)) for number in range(3)])
    home = routers.home().fleet()["id"]
    ids = {one.fleet()["id"] for one in routers}
    # Through the gates requests that are sent on break, too. So the clients ask the home, which must not notice.
    running = load([routers.home()], 60, clients=10, plan=lambda number: Plan(body=b"%d" % number))
    broken = 0
    for turn in range(12):
        eventually(lambda: sum(one.open for one in gates.values()) >= 3, "a link of each pair")
        broken += sum(one.end_all(reset=turn % 2 == 0) for one in gates.values())  # some may be about to be replaced by others
        for one in routers:
            seen = one.fleet()
            assert seen["homes"][""] == home and seen["ready"]
            assert {member["id"] for member in seen["members"]} == ids
            assert {member["state"] for member in seen["members"]} == {"serving"}
    assert broken >= 24
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
    routers.wait_agreed()
    assert [one.score(b"x").status for one in routers] == [200] * 3
