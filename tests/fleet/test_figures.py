"""The metrics of several routers, added up as the dashboard does."""

from harness.scenes import scored_by
from support.wait import eventually


def test_the_sum_over_the_routers_has_each_slot_once(counting, fleet):
    pods = counting(3, slots=2)
    routers = fleet(scored_by(pods, slots=2))

    def slots():
        return [one.metrics().value("slots") for one in [routers.home(), *routers.others()]]
    eventually(lambda: slots() == [6, 0, 0], "the home alone to tell the slots")
    home, others = routers.home(), routers.others()
    home.drain()
    eventually(lambda: sorted(one.metrics().value("slots") for one in others) == [0, 6], "the next home to tell them")
    assert home.wait_exit() == 0
