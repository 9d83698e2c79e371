"""Who is a member: the key, its rotation, strangers at the port of the fleet, a fleet of one."""

import os
import socket
import ssl
import time

import pytest
from harness.fleet import new_key
from harness.load import sort, told
from harness.scenes import Asked, scored_by
from support.http import Gone
from support.load import Plan
from support.wait import eventually, stays


def test_a_fleet_of_one_serves_at_once(counting, fleet):
    pods = counting(1, slots=1, sleep=0.005)
    begun = time.monotonic()
    routers = fleet(scored_by(pods), size=1)
    print(f"ready after {time.monotonic() - begun:.2f} s")
    assert time.monotonic() - begun < 3
    only = routers[0]
    assert [only.score(b"x").status for _ in range(20)] == [200] * 20
    assert only.connections_to(pods[0].port) == 1
    only.end_at_once()
    only.restart()
    routers.wait_agreed()
    assert only.score(b"x").status == 200


def test_a_router_with_another_key_is_not_ready_and_says_why(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=3)
    stranger = routers.others()[0]
    stranger.end_at_once()
    routers.wait_agreed()
    routers.write_keys(new_key(), routers=[stranger])
    stranger.restart()
    eventually(lambda: stranger.ready()[1].startswith("fleet") or "fleet" in stranger.ready()[1], "it to answer")
    others = [address for address in routers.addresses if address != f"127.0.0.1:{stranger.fleet_port}"]

    def says_why():
        ready, text = stranger.ready()
        return not ready and all(address in text for address in others)
    eventually(says_why, "it to say that it reaches nobody")
    stays(lambda: not stranger.is_ready(), 1.0)
    stranger.expect_logged("the peer does not have the key of this router")
    assert routers.key not in stranger.log
    for one in routers:
        if one is not stranger:
            assert one.is_ready() and one.score(b"x").status == 200
    routers.write_keys(routers.key, routers=[stranger])
    routers.wait_agreed()
    assert stranger.score(b"x").status == 200


@pytest.mark.parametrize("text", ["", "0" * 63, "not hexadecimal " * 4, "a" * 64 + "\n" + "b" * 64 + "\n" + "c" * 64])
def test_a_file_that_has_no_key_refuses_the_start_and_no_reload(counting, fleet, text):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=1)
    only = routers[0]
    routers.write_keys(text)
    eventually(lambda: "fleet.key" in only.log or "key_file" in only.log, "the mistake to be told")
    assert only.score(b"x").status == 200
    assert text == "" or text[:64] not in only.log
    only.end_at_once()
    only.restart()
    only.expect_exit = 1
    assert only.wait_exit() == 1
    assert "key_file" in only.log or "fleet.key" in only.log


def test_the_key_is_rotated_under_load_and_nothing_is_lost(counting, fleet, load):
    pods = counting(2, slots=1, sleep=0.01)
    routers = fleet(scored_by(pods))
    old, new = routers.key, new_key()
    running = load(routers, 60, clients=12, plan=lambda number: Plan(body=b"%d" % number))
    for keys in ([old, new], [new, old], [new]):
        routers.write_keys(*keys)
        time.sleep(1.2)  # each router reads it within a second
        assert all(one.is_ready() for one in routers)
    # A restarted router has the new key alone: the others must accept it, and be accepted.
    restarted = routers.others()[0]
    restarted.end_at_once()
    restarted.restart()
    routers.wait_agreed()
    result = sort(running.stop())
    lost = [one for one in result.failed if one.client != restarted.port]
    assert not lost, told(lost)
    assert len(result.served) > 150
    assert not [one.name for one in routers if old in one.log or new in one.log]


@pytest.mark.parametrize("at_home", [False, True], ids=["another router", "the home"])
def test_a_router_whose_key_was_replaced_alone_kept_its_links_and_nobody_was_told(at_home, counting, fleet):
    """It could send no request on any more, or none could be sent on to it."""
    pods = counting(1, slots=1, sleep=0.005)
    routers = fleet(scored_by(pods))
    odd = routers.home() if at_home else routers.others()[0]
    others = [one for one in routers if one is not odd]
    routers.write_keys(new_key(), routers=[odd])

    def unreachable(router):
        return {address.rpartition(":")[2] for address in router.fleet()["unreachable"]}
    eventually(lambda: unreachable(odd) == {str(one.fleet_port) for one in others}, "both others to be out of its reach", patience=20)
    for one in others:
        eventually(lambda: unreachable(one) == {str(odd.fleet_port)}, "it to be out of the others' reach", patience=20)
        assert f":{odd.fleet_port} cannot be reached: the peer does not have the key of this router" in one.log


def test_a_port_scan_of_the_fleet_port_disturbs_nobody(counting, fleet):
    pods = counting(1, slots=1, sleep=0.005)
    routers = fleet(scored_by(pods))
    home, away = routers.home(), routers.others()[0]
    silent = []
    for number in range(300):
        sock = socket.create_connection(("127.0.0.1", home.fleet_port), timeout=5)
        if number % 4 == 0:
            sock.sendall(os.urandom(200))
        elif number % 4 == 1:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        elif number % 4 == 2:
            sock.sendall((b"L", b"R")[number % 8 > 3])
        silent.append(sock)
        if number % 50 == 0:
            assert away.score(b"x").status == 200
    eventually(lambda: len(open_sockets(silent)) == 0, "the strangers to be sent away", patience=15)
    assert all(one.is_ready() for one in routers)
    for one in routers:
        assert one.score(b"x").status == 200
    for one in silent:
        one.close()


def open_sockets(sockets):
    """Those whose peer has not ended the connection."""
    still = []
    for one in sockets:
        one.setblocking(False)
        try:
            while one.recv(65536):
                pass
        except BlockingIOError:
            still.append(one)
        except OSError:
            pass
    return still


def answer_of(sock):
    sock.settimeout(8)
    try:
        return sock.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize("first", [b"", b"R", b"L"], ids=["plain", "as requests", "as a link"])
@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_the_port_of_the_fleet_serves_no_request_of_a_stranger(strangers, first, tls):
    routers, pods = strangers
    home = routers.home()
    sock = socket.create_connection(("127.0.0.1", home.fleet_port), timeout=8)
    sock.sendall(first)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(OSError):
            context.wrap_socket(sock)
    else:
        head = b"POST /score HTTP/1.1\r\nHost: x\r\nx-ir: me 0 - 1 - /my-endpoint/blue\r\nContent-Length: 1\r\n\r\nx"
        try:
            sock.sendall(head)
        except OSError:
            pass
        assert b"HTTP/" not in answer_of(sock)
    sock.close()
    assert pods.total("begun") == 0
    assert home.is_ready()


@pytest.fixture(scope="module")
def strangers(shared):
    pods = shared.counting(1, slots=1)
    return shared.fleet(scored_by(pods), size=2), pods


def test_a_router_that_is_away_is_waited_for_or_forgotten(counting, fleet):
    """With fixed peers a router that was never met may run: the others are ready when an operator says that it is off for good."""
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=3, wait=False)
    missing = routers[2]
    missing.end_at_once()
    first, second = routers[0], routers[1]
    address = f"127.0.0.1:{missing.fleet_port}"
    if first.is_ready() or second.is_ready():
        pytest.fail("ready before the third was met")
    eventually(lambda: address in first.ready()[1] and address in second.ready()[1], "both to miss the third")
    stays(lambda: not first.is_ready() and not second.is_ready(), 1.0)
    for one in (first, second):
        status, text = one.forget(address)
        assert status in (200, 202), text
    routers.wait_agreed()
    assert [one.score(b"x").status for one in (first, second)] == [200, 200]


def test_a_peer_that_is_taken_out_by_reload_is_not_waited_for(counting, fleet):
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods), size=3)
    gone = routers.home()
    gone.end_at_once()
    routers.wait_agreed()
    peers = [address for address in routers.addresses if address != f"127.0.0.1:{gone.fleet_port}"]
    routers.shrink([gone])
    routers.wait_agreed()
    for one in routers.running():
        assert [member["address"] for member in one.fleet()["members"] if member["state"] != "dead"] == peers
        assert one.score(b"x").status == 200
    restarted = routers.running()[0]
    restarted.end_at_once()
    restarted.restart()
    routers.wait_agreed()


def test_a_waiting_client_of_a_router_outside_the_fleet_is_told(counting, fleet):
    """A router that has met nobody begins nothing: the request waits for its queue time, and the answer says so."""
    pods = counting(1, slots=1)
    routers = fleet(scored_by(pods, max_queue_wait_ms=500), size=2, wait=False)
    routers[1].end_at_once()
    eventually(lambda: routers[0].ready()[1].startswith("{"), "it to answer")
    try:
        answer = Asked(routers[0]).answer()
    except Gone:
        pytest.fail("the connection was cut")
    assert (answer.status, answer.why) == (503, "queue_timeout")
    assert pods.total("begun") == 0
