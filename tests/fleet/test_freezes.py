"""A router stands still (SIGSTOP) and goes on: nothing is lost, and no pod gets too much."""

import time

import pytest
from harness.load import sort, told
from harness.scenes import Asked, scored_by
from support.load import Plan
from support.wait import eventually


@pytest.mark.parametrize("seconds", [1.0, 2.9])
@pytest.mark.parametrize("who", ["home", "member"])
def test_a_short_freeze_loses_nothing(counting, fleet, load, who, seconds):
    pods = counting(4, slots=1, sleep=0.03)
    routers = fleet(scored_by(pods))
    frozen = routers.home() if who == "home" else routers.others()[0]
    running = load(routers, 60, clients=30, plan=lambda number: Plan(body=b"%d" % number))
    time.sleep(0.5)
    frozen.freeze()
    time.sleep(seconds)
    frozen.thaw()
    routers.wait_agreed()
    time.sleep(0.5)
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
    assert len(result.served) > 30


@pytest.mark.long
def test_after_ten_seconds_of_standstill_nothing_is_begun_on_slots_of_another(counting, fleet):
    """With fixed peers no clock moves a home, so the slots stay those of the frozen one: what waits is served when it goes on."""
    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods))
    home, others = routers.home(), routers.others()
    running = Asked(home, headers={"x-do": "sleep=0.5"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    waiting = [Asked(one) for one in (home, *others) for _ in range(2)]
    eventually(lambda: home.queue_length() == len(waiting), "the others to wait")
    home.freeze()
    late = [Asked(one) for one in others]
    time.sleep(10)
    begun = len(pods[0].begun())
    home.thaw()
    routers.wait_agreed()
    assert [one.answer().status for one in (running, *waiting, *late)] == [200] * 9
    assert begun == 1, "nobody else may use the slots of a home whose end is not proven"
    assert len(pods[0].begun()) == 9
