"""Requests are served in their order of arrival at the fleet, whichever router they arrive at."""

import time

import pytest
from harness.scenes import Asked, scored_by
from support.wait import eventually

pytestmark = pytest.mark.serial
GAP = 0.015  # seconds between two arrivals
TOLERANCE = 0.020  # nobody is served before a request that arrived that much earlier


def test_requests_at_different_routers_are_served_in_order_of_arrival(counting, fleet):
    pods = counting(1, slots=1, sleep=0.005)
    routers = fleet(scored_by(pods))
    for _ in range(2):  # the second time over kept connections
        first = Asked(routers[0], headers={"x-do": "sleep=2"})
        eventually(lambda: pods.total("exchanges") == 1, "the slot to be taken")
        sent = []
        for number in range(60):
            sent.append((Asked(routers[(number * 7) % 3]), time.monotonic()))
            time.sleep(GAP)
        assert [one.answer().status for one, _ in sent] == [200] * 60
        assert first.answer().status == 200
        places = {id: place for place, (id, _) in enumerate(pods[0].begun())}
        arrived = [(at, places[one.id]) for one, at in sent]
        swapped = sum(1 for one, other in zip(arrived, arrived[1:]) if one[1] > other[1])
        print(f"{swapped} of {len(sent)} neighbours swapped")
        worst = max((later - earlier for earlier, place in arrived for later, other in arrived if other < place and later > earlier),
                    default=0.0)
        assert worst <= TOLERANCE, f"a request was served before one that had arrived {1000 * worst:.1f} ms earlier"
        assert swapped <= 1
