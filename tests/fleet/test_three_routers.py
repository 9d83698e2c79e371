"""Three routers share pods that may have one exchange at a time (docs/decisions/0074). Each pod counts what it sees."""

import random
import signal
import time

import pytest
from support.fleet import Fleet, new_key, of
from support.load import Load
from support.settings import SELDOM, deployment, endpoint
from support.wait import eventually, stays


@pytest.fixture
def fleet(stage):
    """Starts fleets of one size each, in place of those of the harness: `fleet(3, endpoint(…))`."""
    fleets = []

    def start(size, *endpoints, **settings):
        fleets.append(Fleet(stage, size, *endpoints, **settings))
        return fleets[-1]

    yield start
    for one in fleets:
        one.close()


def slow(exchange):
    body = exchange.body()
    exchange.wait(None, random.uniform(0.002, 0.02))
    headers = [(name, value) for name, value in exchange.request.headers if name.lower() == "x-echo-id"]
    exchange.answer(200, body, [*headers, ("x-pod", exchange.pod.name)])


def one_slot(pods, **router):
    return endpoint(deployment(pods, slots=1, probe=SELDOM, max_queue_wait_ms=20000, request_timeout_ms=20000,
                               router={"max_queue_length": 1000, "abort_wait_ms": 250, "connect_timeout_ms": 5000, **router}))


def assert_never_two(pods):
    for one in pods:
        assert one.most_concurrent <= 1, f"{one.name} saw {one.most_concurrent} exchanges at a time"
        assert one.most_connections <= 1, f"{one.name} saw {one.most_connections} connections at a time"


def load(background, routers, rate=100, clients=12):
    return Load(background, [router.port for router in routers], rate=rate, clients=clients)


def answered(load):
    return sum(1 for one in load.outcomes if one.status == 200)


def test_each_router_answers_and_no_pod_sees_two_exchanges(pod, fleet, background):
    pods = [pod(slow) for _ in range(2)]
    three = fleet(3, one_slot(pods))
    with load(background, three.routers) as clients:
        eventually(lambda: answered(clients) >= 200, "200 answers", patience=8)
        clients.stop()
    assert [one for one in clients.outcomes if one.status != 200] == []
    assert_never_two(pods)
    home = three.home()
    for router in three.routers:
        sent_on = router.metrics().value("fleet_requests_sent_on_total", result="answered")
        assert (sent_on > 0) == (router is not home)
        assert router.metrics().value("fleet_members", state="serving") == 3
        assert router.metrics().value("fleet_covered") == 1


def test_status_and_readiness_name_the_members(pod, fleet):
    three = fleet(3, one_slot([pod()]))
    ids = {of(router)["id"] for router in three.routers}
    assert len(ids) == 3
    for router in three.routers:
        said = of(router)
        assert said["state"] == "serving" and said["ready"] and said["covered"]
        assert {one["id"] for one in said["members"]} == ids
        assert all(one["self"] or one["linked"] for one in said["members"])
        assert set(said["homes"].values()) <= ids
    assert len({str(of(router)["homes"]) for router in three.routers}) == 1


def test_a_router_alone_is_not_ready_until_it_has_met_its_peers(pod, stage, fleet):
    three = fleet(2, one_slot([pod()]))
    for router in three.routers:
        three.kill(router)
    alone = three.restart(three.routers[0])
    eventually(lambda: alone.process.poll() is None and is_up(alone), "the operators' listener")
    assert stays(lambda: alone.observe("/readyz")[0] == 503, 1) is None
    assert "fleet: " in alone.observe("/readyz")[1] and three.addresses[1] in alone.observe("/readyz")[1]
    assert alone.observe("/healthz")[0] == 200
    assert alone.admin(f"/fleet/forget?member={three.addresses[1]}", method="POST")[0] == 202
    alone.wait_ready(replicas=False)


def is_up(router):
    try:
        return router.observe("/healthz")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("which", ["a member", "the home"])
def test_after_a_kill_the_others_go_on(pod, fleet, background, which):
    pods = [pod(slow) for _ in range(2)]
    three = fleet(3, one_slot(pods))
    home = three.home()
    victim = home if which == "the home" else three.others(home)[0]
    others = three.others(victim)
    with load(background, others, clients=10) as clients:
        eventually(lambda: answered(clients) >= 50, "50 answers", patience=60)
        three.kill(victim)
        before = answered(clients)
        eventually(lambda: answered(clients) >= before + 100, "100 answers after the kill", patience=60)
        clients.stop()
    failed = [one for one in clients.outcomes if one.status != 200]
    assert len(failed) <= (len(pods) if victim is home else 0), [(one.status, one.why, one.broken) for one in failed]
    assert_never_two(pods)
    for router in others:
        assert [one["state"] for one in of(router)["members"]].count("dead") == 1


def test_a_home_that_drains_under_load_fails_no_request(pod, fleet, background):
    pods = [pod(slow) for _ in range(2)]
    three = fleet(3, one_slot(pods))
    home = three.home()
    others = three.others(home)
    with load(background, others, clients=10) as clients:
        eventually(lambda: answered(clients) >= 50, "50 answers", patience=60)
        home.signal(signal.SIGTERM)
        assert home.wait_exit() == 0
        before = answered(clients)
        eventually(lambda: answered(clients) >= before + 100, "100 answers after the drain", patience=60)
        clients.stop()
    assert [(one.status, one.why, one.broken) for one in clients.outcomes if one.status != 200] == []
    assert_never_two(pods)


def test_a_router_that_is_started_again_is_a_member_again(pod, fleet, background):
    pods = [pod(slow) for _ in range(2)]
    three = fleet(3, one_slot(pods))
    with load(background, three.others(three.home())[:1], clients=6) as clients:
        victim = three.home()
        before = of(victim)["id"]
        three.kill(victim)
        again = three.restart(victim)
        again.wait_ready(replicas=False)
        assert of(again)["id"] != before
        eventually(lambda: all(len([one for one in of(router)["members"] if one["state"] == "serving"]) == 3
                               for router in three.alive()), "three members", patience=20)
        done = answered(clients)
        eventually(lambda: answered(clients) >= done + 50, "50 answers more", patience=60)
        clients.stop()
    assert_never_two(pods)


def test_a_router_with_another_key_is_no_member(pod, fleet, stage):
    three = fleet(2, one_slot([pod()]))
    victim = three.others(three.home())[0]
    three.kill(victim)
    other = stage.folder / "other.key"
    other.write_text(new_key() + "\n")
    stranger = three.start(three.addresses[three.routers.index(victim)], key_file=other)
    eventually(lambda: is_up(stranger), "the operators' listener")
    assert stays(lambda: stranger.observe("/readyz")[0] == 503, 1) is None
    assert three.home().score(b"x").status == 200


def test_keys_are_replaced_by_a_reload(pod, fleet):
    two = fleet(2, one_slot([pod()]))
    old, new = two.key_file.read_text().strip(), new_key()
    for text in (f"{old}\n{new}\n", f"{new}\n{old}\n", f"{new}\n"):
        two.key_file.write_text(text)
        for router in two.routers:
            router.expect_logged("fleet: other keys are in use")
            router.log = router.log.replace("fleet: other keys are in use", "")
    away = two.others(two.home())[0]
    assert away.score(b"x").status == 200
    two.key_file.write_text("no key\n")
    for router in two.routers:
        router.expect_logged("the keys in use stay")
    assert away.score(b"x").status == 200


def test_what_cannot_change_needs_a_restart(pod, fleet):
    two = fleet(2, one_slot([pod()]))
    router = two.routers[0]
    router.settings["fleet"]["running_grace_s"] = 9
    router.write()
    router.expect_logged("fleet.running_grace_s: cannot change while the router runs: restart it")
    assert router.generation() == 1


def test_forget_needs_a_fleet_and_a_member(pod, fleet, start):
    without = start(endpoint(deployment([pod()])))
    status, text = without.admin("/fleet/forget?member=x", method="POST")
    assert status == 404 and "no section fleet" in text
    two = fleet(2, one_slot([pod()]))
    assert two.routers[0].admin("/fleet/forget?member=nobody", method="POST")[0] == 404
    assert two.routers[0].admin("/fleet/forget", method="POST")[0] == 400


def test_a_deployment_without_a_limit_is_served_by_each_router_itself(pod, fleet):
    unlimited = pod()
    two = fleet(2, endpoint(deployment([unlimited], slots=0)))
    for router in two.routers:
        eventually(lambda router=router: router.score(b"x").status == 200, "an answer")
        assert router.metrics().value("fleet_requests_sent_on_total") == 0
    assert of(two.routers[0])["homes"] == {}


def test_a_limit_that_comes_and_goes_by_reload(pod, fleet):
    free = pod()
    two = fleet(2, endpoint(deployment([free], slots=0)))
    for slots in (1, 0, 1):
        for router in two.routers:
            router.reloaded(lambda router=router, slots=slots: router.write_endpoint(endpoint(deployment([free], slots=slots))))
        home_known = time.monotonic() + 10
        eventually(lambda slots=slots: bool(of(two.routers[0])["homes"]) == (slots > 0), "the home")
        assert time.monotonic() < home_known
        for router in two.routers:
            assert router.score(b"x").status == 200
