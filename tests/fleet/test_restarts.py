"""Planned ends: routers that drain and come back, one after the other, under load."""

import time

import pytest
from harness.scenes import Asked, scored_by
from harness.waits import Waits
from support.load import Plan
from support.wait import eventually

SLOTS, SERVICE = 4, 0.05
ROUNDS = 3


def restart_all(routers):
    for one in routers:
        one.drain()
        assert one.wait_exit() == 0
        one.restart()
        routers.wait_agreed()
        time.sleep(0.3)  # until the balancer has it again


@pytest.mark.serial
def test_three_routers_restarted_in_turn_lose_no_request_and_let_none_wait(counting, fleet, load):
    pods = counting(SLOTS, slots=1, sleep=SERVICE)
    routers = fleet(scored_by(pods), drain_delay_ms=400)
    waits = Waits()
    for _ in range(ROUNDS):
        running = load(routers, 0.7 * SLOTS / SERVICE, clients=40, plan=lambda number: Plan(body=b"%d" % number))
        before = pods.total("ended")
        eventually(lambda: pods.total("ended") > before + 50, "a steady load")  # noqa: B023
        waits.measure(running, lambda: restart_all(routers))
    waits.assert_hardly_longer()


def test_a_home_that_drains_hands_its_queue_over_in_order(counting, fleet):
    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods))
    home, others = routers.home(), routers.others()
    running = Asked(home, headers={"x-do": "sleep=1.5"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    waiting = []
    for number in range(9):
        waiting.append(Asked((home, *others)[number % 3]))
        eventually(lambda: home.queue_length() == len(waiting), "it to wait")  # noqa: B023
        time.sleep(0.01)  # who arrives within a round trip of another, and a millisecond, may be served before it
    home.drain()
    assert running.answer().status == 200
    assert [one.answer().status for one in waiting] == [200] * 9
    assert [id for id, _ in pods[0].begun()] == [one.id for one in (running, *waiting)]
    assert home.wait_exit() == 0


@pytest.mark.parametrize("size", [2, 3])
def test_the_home_was_killed_while_all_others_drained_and_nobody_served_what_waited(size, counting, fleet):
    """They had said their bye, since nothing of them was at a pod; but requests of their clients waited at the home."""
    pods = counting(size, slots=1, sleep=0.02)
    routers = fleet(scored_by(pods, max_queue_wait_ms=10000), size=size)
    home, others = routers.home(), routers.others()
    for _ in pods:
        Asked(home, headers={"x-do": "sleep=2"})
    eventually(lambda: pods.total("exchanges") == size, "every slot to be busy")
    waiting = [Asked(one) for one in others for _ in range(4)]
    eventually(lambda: home.queue_length() == len(waiting), "them to wait")
    for one in others:
        one.drain()
    for one in others:
        eventually(lambda: not one.is_ready(), "it to drain")  # noqa: B023
    home.end_at_once()
    assert [one.answer().status for one in waiting] == [200] * len(waiting)
    assert [one.wait_exit() for one in others] == [0] * len(others)


def test_a_home_drains_with_streams_through_it(counting, fleet):
    pods = counting(2, slots=1)
    routers = fleet(scored_by(pods))
    home, others = routers.home(), routers.others()
    streams = [Asked(one, headers={"x-do": "stream=150"}) for one in others]
    eventually(lambda: pods.total("exchanges") == 2, "both streams to run")
    home.drain()
    behind = Asked(others[0])
    whole = b"".join(b"%08d" % number for number in range(150))
    assert [one.answer().body for one in streams] == [whole] * 2
    assert behind.answer().status == 200
    assert home.wait_exit() == 0
    routers.wait_agreed()


def test_a_member_drains_with_streams_of_its_own_clients(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods))
    member = routers.others()[0]
    stream = Asked(member, headers={"x-do": "stream=100"})
    eventually(lambda: pods.total("exchanges") == 1, "the stream to run")
    member.drain()
    answer = stream.answer()
    assert (answer.status, len(answer.body)) == (200, 800)
    assert member.wait_exit() == 0


def test_all_routers_drain_at_once_and_end_in_order(counting, fleet):
    pods = counting(2, slots=1)
    routers = fleet(scored_by(pods), drain_grace_ms=2000)
    last = [Asked(one, headers={"x-do": "sleep=0.3"}) for one in routers]
    eventually(lambda: sum(one.queue_length() for one in routers) == 1, "one to wait for the others")
    for one in routers:
        one.drain()
    answers = [one.answer() for one in last]
    begun = time.monotonic()
    assert [one.wait_exit() for one in routers] == [0] * 3
    print(f"ended {time.monotonic() - begun:.2f} s after the last answer; {[(one.status, one.why) for one in answers]}")
    assert [one.status for one in answers] == [200] * 3


@pytest.mark.parametrize("size", [1, 2])
def test_routers_that_all_drain_serve_what_waits_and_what_arrives_until_they_close(counting, fleet, size):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=size, drain_delay_ms=2000)
    home = routers.home()
    running = Asked(home, headers={"x-do": "sleep=1"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    waiting = [Asked(one) for one in routers for _ in range(2)]
    eventually(lambda: home.queue_length() == 2 * size, "the others to wait")
    for one in routers:
        one.drain()
    assert [one.answer().status for one in (running, *waiting)] == [200] * (1 + 2 * size)
    arrived = [Asked(one) for one in routers]
    assert [one.answer().status for one in arrived] == [200] * size
    assert [one.wait_exit() for one in routers] == [0] * size
    assert not pods.figures()[0]["over"]


def test_a_draining_router_that_an_operator_forgets_cuts_what_runs(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=2)
    home, other = routers.home(), routers.others()[0]
    running = Asked(home, headers={"x-do": "sleep=30"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    waiting = Asked(other)
    home.drain()
    eventually(lambda: other.queue_length() == 1, "it to wait at the next home")
    assert other.forget(f"127.0.0.1:{home.fleet_port}")[0] == 202
    assert waiting.answer().status == 200
    assert (running.answer().status, running.answer().why) == (503, "fleet_uncovered")
    assert home.wait_exit() == 0
    assert not pods.figures()[0]["over"]
