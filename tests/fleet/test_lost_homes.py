"""The connection to the home, or the home itself, is lost while a request is on its way: what is sent again, and what is not.

The routers reach each other through gates, which end connections with a FIN or a reset while both processes live."""

import pytest
from harness.scenes import Asked, scored_by
from support.wait import eventually


@pytest.fixture
def gated(fleet, counting, gate):
    """Returns (routers, pods, gates): all that the routers send each other goes through the gates."""
    gates = {}

    def door(number):
        def through(port):
            gates[number] = gate(port)
            return gates[number].address
        return number, through

    pods = counting(1, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods), size=2, doors=[door(0), door(1)])
    return routers, pods, [gates[0], gates[1]]


def busy(home, pods):
    """Takes the only slot."""
    first = Asked(home, headers={"x-do": "sleep=1.5"})
    eventually(lambda: pods.total("exchanges") == 1, "the slot to be taken")
    return first


def gate_of(routers, gates, router):
    return gates[routers.routers.index(router)]


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_waiting_request_is_sent_again_after_a_fin(gated, method):
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    first = busy(home, pods)
    asked = Asked(away, b"x" if method == "POST" else b"", method=method)
    eventually(lambda: home.queue_length() == 1, "it to wait")
    assert gate_of(routers, gates, home).end_all(reset=False) > 0
    answer = asked.answer()
    assert (answer.status, answer.why) == (200, None)
    assert [id for id, _ in pods[0].begun()].count(asked.id) == 1
    assert first.answer().status == 200


def test_it_keeps_its_place_by_its_age(gated):
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    first = busy(home, pods)
    earlier = Asked(away)
    eventually(lambda: home.queue_length() == 1, "it to wait")
    later = Asked(home)
    eventually(lambda: home.queue_length() == 2, "both to wait")
    gate_of(routers, gates, home).end_all(reset=False)
    assert [one.answer().status for one in (first, earlier, later)] == [200] * 3
    assert [id for id, _ in pods[0].begun()] == [first.id, earlier.id, later.id]


@pytest.mark.parametrize("method, status", [("POST", 502), ("GET", 200)])
def test_a_reset_without_a_word_proves_nothing(gated, method, status):
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    first = busy(home, pods)
    asked = Asked(away, b"x" if method == "POST" else b"", method=method)
    eventually(lambda: home.queue_length() == 1, "it to wait")
    gate_of(routers, gates, home).end_all(reset=True)
    answer = asked.answer()
    assert (answer.status, answer.why) == (status, "upstream_reset" if status == 502 else None)
    assert [id for id, _ in pods[0].begun()].count(asked.id) == (status == 200)
    assert first.answer().status == 200


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_after_the_pod_has_it_the_client_is_told(gated, reset):
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    asked = Asked(away, headers={"x-do": "sleep=5"})
    eventually(lambda: pods.total("exchanges") == 1, "the pod to have it")
    gate_of(routers, gates, home).end_all(reset=reset)
    answer = asked.answer()
    assert (answer.status, answer.why) == (502, "upstream_reset")
    eventually(lambda: pods.total("exchanges") == 0, "the pod's exchange to end", patience=2)
    assert pods.total("begun") == 1
    eventually(lambda: home.slots_in_use() == 0, "the slot to be free")
    routers.wait_agreed()
    assert away.score(b"x").status == 200


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_an_answer_that_has_begun_is_cut(gated, reset):
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    client = away.start_request(b"x", headers={"x-do": "stream=1000"})
    assert client.head().status == 200
    assert client.chunk() == b"00000000"
    gate_of(routers, gates, home).end_all(reset=reset)
    rest = client.reader.until_close()
    assert not rest.endswith(b"0\r\n\r\n"), "a stream that is cut must not look complete"
    client.close()
    eventually(lambda: pods.total("exchanges") == 0, "the pod's exchange to end", patience=2)


def test_a_home_that_dies_where_another_process_answers_for_it_is_not_proven_dead(gated):
    """A mesh that accepts connections in a dead router's name: no proof, so nobody takes over; an operator's word is one."""
    routers, pods, gates = gated
    home, away = routers.home(), routers.others()[0]
    gate_of(routers, gates, home).set(swallow=True)  # as a sidecar that is alive: it accepts, and nothing comes back
    dead = home.fleet()["id"]
    home.end_at_once()
    eventually(lambda: home.fleet_port and away.fleet()["unreachable"] == [routers.addresses[routers.routers.index(home)]],
               "the home to be missed", patience=10)
    waiting = Asked(away)
    assert not pods.total("begun")
    status, text = away.forget(dead)
    assert status in (200, 202), text
    assert waiting.answer().status == 200
    routers.wait_agreed([away])


def test_a_request_that_reaches_the_next_process_at_a_dead_homes_address_is_served(counting, fleet):
    """A router that stood still knows only the old home, whose address has a new process by then. That one keeps no request of the old one,
    so none is given up when the router learns that the old one is dead."""
    pods = counting(2, slots=1, sleep=0.05)
    routers = fleet(scored_by(pods), size=2)
    for _ in range(2):
        home, away = routers.home(), routers.others()[0]
        assert away.score(b"x").status == 200
        away.freeze()
        home.end_at_once()
        home.restart()
        eventually(lambda: home.ready()[1].startswith("{"), "the new process to serve")
        asked = [Asked(away) for _ in range(40)]
        away.thaw()
        assert {(one.answer().status, one.answer().why) for one in asked} == {(200, None)}
        routers.wait_agreed()
