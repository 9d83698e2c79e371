"""Routers of two versions in one fleet. tests/support builds the router as a later version would be: `next` has a version of the protocol in
common with this one, `later` has none."""

from harness.load import sort, told
from harness.scenes import scored_by
from support.load import Plan
from support.router import BINARY
from support.wait import eventually, stays

NEXT, LATER = BINARY.with_name("inference-router-next"), BINARY.with_name("inference-router-later")
SLOTS, SERVICE = 4, 0.02


def replace(router, binary):
    router.drain()
    assert router.wait_exit() == 0
    router.binary = binary
    router.restart()


def protocols(router):
    """What each member speaks, as this router knows it."""
    return sorted(tuple(member["protocols"]) for member in router.fleet()["members"])


def test_a_rolling_update_to_the_next_version_and_back_loses_nothing(counting, fleet, load):
    pods = counting(SLOTS, slots=1, sleep=SERVICE)
    routers = fleet(scored_by(pods), drain_delay_ms=400)
    running = load(routers, 0.7 * SLOTS / SERVICE, clients=30, plan=lambda number: Plan(body=b"%d" % number))
    for binary in (NEXT, BINARY):
        for number, one in enumerate(routers):
            replace(one, binary)
            routers.wait_agreed()
            mixed = [(1, 2)] * (number + 1) + [(1, 1)] * (2 - number) if binary == NEXT else [(1, 1)] * (number + 1) + [(1, 2)] * (2 - number)
            eventually(lambda: all(protocols(each) == sorted(mixed) for each in routers), "the versions to be known")  # noqa: B023
            before = pods.total("begun")
            eventually(lambda: pods.total("begun") > before + 20, "the mixed fleet to serve")  # noqa: B023
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
    assert len(result.served) > 200


def test_the_home_of_a_mixed_fleet_is_killed(counting, fleet):
    pods = counting(2, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods))
    replace(routers.others()[0], NEXT)
    routers.wait_agreed()
    routers.home().end_at_once()
    routers.wait_agreed()
    for one in routers.running():
        assert one.score(b"x").status == 200


def test_a_version_without_a_protocol_in_common_stops_the_update_at_the_first_router(counting, fleet, load):
    pods = counting(SLOTS, slots=1, sleep=SERVICE)
    routers = fleet(scored_by(pods), drain_delay_ms=400)
    running = load(routers, 0.6 * SLOTS / SERVICE, clients=30, plan=lambda number: Plan(body=b"%d" % number))
    first, *rest = routers
    replace(first, LATER)
    eventually(lambda: "speaks versions 2 to 3" in first.ready()[1], "it to say why it is not ready")
    stays(lambda: not first.is_ready() and all(one.is_ready() for one in rest), 1.0, "the others go on without it")
    assert any("speaks versions 1 to 1" in one.log and "2 to 3" in one.log for one in rest)
    replace(first, BINARY)
    routers.wait_agreed()
    result = sort(running.stop())
    assert not result.failed, told(result.failed)
