"""What changes below the routers while they serve as one: pods, slots, deployments."""

import pytest
from harness.scenes import Asked, patient, scored_by
from support.settings import deployment, endpoint
from support.wait import eventually, stays

PROBED = {"period": 1}


def test_a_pod_that_dies_and_is_replaced_at_the_same_address(counting, fleet):
    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(endpoint(deployment(list(pods), probe=PROBED, max_queue_wait_ms=20000)))
    doomed = Asked(routers.others()[0], headers={"x-do": "sleep=20"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    pods[0].die()
    answer = doomed.answer()
    assert (answer.status, answer.why) == (502, "upstream_reset")
    waiting = [Asked(one) for one in routers]
    pods[0].live()
    assert [one.answer().status for one in waiting] == [200] * 3
    assert pods.figures()[0]["lives"] == 2


def test_slots_grow_and_shrink_by_reload_on_all_routers(counting, fleet):
    pods = counting(1, slots=1, sleep=0.3)

    def running(routers, count):
        """How many of `count` requests are at the pod at the same time."""
        asked = [Asked(routers[number % 3]) for number in range(count)]
        eventually(lambda: pods.total("exchanges") + routers.home().queue_length() == count, "all to be there")
        most = pods.total("exchanges")
        assert [one.answer().status for one in asked] == [200] * count
        return most

    routers = fleet(scored_by(pods))
    assert running(routers, 6) == 1
    pods[0].set(slots=4)
    routers.write(scored_by(pods, slots=4))
    routers.wait_agreed()
    eventually(lambda: running(routers, 6) == 4, "four at a time")
    # While the routers read their files one after the other, the smaller number holds as soon as the home has it.
    routers.write(scored_by(pods, slots=1))
    eventually(lambda: pods.total("exchanges") == 0 and routers.home().connections_to(pods[0].port) <= 1, "the idle connections to end")
    pods[0].set(slots=1)
    assert running(routers, 6) == 1


def test_a_limit_that_comes_while_every_router_has_exchanges_of_its_own(counting, fleet):
    """0 → 1: what runs unlimited at other routers counts until it has ended."""
    pods = counting(1, slots=0, sleep=0.01)
    routers = fleet(endpoint(patient(pods, slots=0), patient(counting(1), "other")))
    long = [Asked(one, headers={"x-do": "sleep=3"}) for one in routers]
    eventually(lambda: pods.total("exchanges") == 3, "one through each")
    routers.write(endpoint(patient(pods, slots=1), patient(counting(1), "other")))
    routers.wait_agreed()
    asked = [Asked(one) for one in routers]
    stays(lambda: pods.total("begun") == 3, 0.5, "nothing is begun beside them")
    assert [one.answer().status for one in long] == [200] * 3
    pods[0].set(slots=1)
    assert [one.answer().status for one in asked] == [200] * 3
    routers.write(endpoint(patient(pods, slots=0), patient(counting(1), "other")))
    pods[0].set(slots=0)
    eventually(lambda: [one.score(b"x").status for one in routers] == [200] * 3 and routers[2].connections_to(pods[0].port) == 1
               and routers[1].connections_to(pods[0].port) == 1, "everybody to serve it again")


def test_requests_that_wait_at_the_home_for_a_deployment_that_is_removed(counting, fleet):
    pods, rest = counting(1, slots=1), counting(1, slots=1)
    routers = fleet(endpoint(patient(pods, "blue", max_queue_wait_ms=3000), patient(rest, "green"), traffic={"blue": 100, "green": 0}))
    running = Asked(routers.home(), headers={"x-do": "sleep=1"})
    eventually(lambda: pods.total("exchanges") == 1, "the slot to be taken")
    waiting = [Asked(one) for one in routers]
    eventually(lambda: routers.home().queue_length() == 3, "three to wait")
    for one in routers:
        (one.folder / "endpoints" / "my-endpoint-blue.yml").unlink()
    routers.write(endpoint(patient(rest, "green")))
    answers = [one.answer() for one in waiting]
    allowed = {(404, "deployment_not_found"), (200, None)}
    assert {(one.status, one.why) for one in answers} <= allowed, [(one.status, one.why) for one in answers]
    assert running.answer().status == 200
    assert [one.score(b"x").status for one in routers] == [200] * 3


def test_a_deployment_that_only_some_routers_know_yet(counting, fleet):
    """The home reads its files last: a request for the new deployment waits for it."""
    pods = counting(1, slots=1)
    routers = fleet(endpoint(patient(counting(1), "blue")))
    home, away = routers.home(), routers.others()[0]
    both = endpoint(patient(pods, "new"), traffic={"new": 100})
    for one in routers:
        one.endpoints = [both]
    away.reloaded(away.write)
    asked = Asked(away)
    stays(lambda: not asked.is_answered(), 0.3, "the request waits")
    home.reloaded(home.write)
    assert asked.answer().status == 200


@pytest.mark.parametrize("profile, status", [("kubernetes", 503), ("managed", 424)])
def test_no_pod_is_told_as_by_one_router(fleet, profile, status):
    routers = fleet(endpoint(deployment([], max_queue_wait_ms=300), router={"status_profile": profile}), size=2)
    for one in routers:
        answer = one.score(b"x")
        assert (answer.status, answer.why) == (status, "no_ready_replica")
        assert int(answer.headers.get("retry-after")) >= 1


def test_what_waits_keeps_its_place_while_there_is_no_pod(counting, fleet):
    """The only pod is taken out, and another one comes: a namespace without a pod has its home all the same."""
    first, second = counting(1, slots=1), counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(first), size=2)
    running = Asked(routers.home(), headers={"x-do": "sleep=1"})
    eventually(lambda: first.total("exchanges") == 1, "the slot to be taken")
    waiting = []
    for number in range(4):
        waiting.append(Asked(routers[number % 2]))
        eventually(lambda: routers.home().queue_length() == len(waiting), "it to wait")  # noqa: B023
    routers.write(scored_by([]))
    assert running.answer().status == 200
    stays(lambda: routers.home().queue_length() == 4, 0.3, "all still wait")
    routers.write(scored_by(second))
    assert [one.answer().status for one in waiting] == [200] * 4
    assert [id for id, _ in second[0].begun()] == [one.id for one in waiting]


def test_pods_of_which_none_answers_are_told_as_by_one_router(counting, fleet):
    pods = counting(2, slots=1)
    routers = fleet(endpoint(deployment(list(pods), probe=PROBED, max_queue_wait_ms=300)), size=2)
    assert routers.others()[0].score(b"x").status == 200
    for one in pods:
        one.die()
    for one in routers:
        answer = one.score(b"x")
        assert (answer.status, answer.why) in {(503, "no_ready_replica"), (502, "upstream_reset"), (502, "upstream_connect_failed")}
    for one in routers:
        assert one.score(b"x").why == "no_ready_replica"
    for one in pods:
        one.live()
    eventually(lambda: [one.score(b"x").status for one in routers] == [200] * 2, "both to serve again")


def test_probes_of_all_routers_take_no_slot_that_is_in_use(counting, fleet):
    pods = counting(1, slots=1, sleep=0.02)
    routers = fleet(endpoint(deployment(list(pods), probe=PROBED, max_queue_wait_ms=20000)))
    eventually(lambda: pods.total("probes") >= 1, "a probe")
    long = Asked(routers.others()[0], headers={"x-do": "sleep=2.5"}, timeout=20)
    eventually(lambda: pods.total("exchanges") == 1, "the slot to be taken")
    before = pods.total("probes")
    stays(lambda: pods.total("probes") == before, 2.0, "no router probes a pod whose slot is in use")
    assert long.answer().status == 200


def test_fewer_slots_than_routers_serve_every_router(counting, fleet):
    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods), size=5)
    asked = [Asked(routers[number % 5]) for number in range(40)]
    assert [one.answer().status for one in asked] == [200] * 40
    assert pods.figures()[0]["most_exchanges"] == 1
