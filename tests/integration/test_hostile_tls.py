"""Attacks of TLS clients: handshakes that do not end, renegotiation, key updates without end."""

import signal
import subprocess
import threading

from support.client import Client
from support.settings import deployment, endpoint
from support.wait import eventually


def failed_handshakes(router):
    return router.metrics().value("tls_handshakes_total", result="failed")


def test_half_open_handshakes_do_not_keep_honest_clients_out(pod, start, authority):
    """The router closes the oldest handshakes for the newest. Nothing else ends them here, since the header timeout is long."""
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), tls={"certificates": [pair.as_dict()]},
                   limits={"max_handshakes": 8, "header_timeout_ms": 600_000})
    router.client_context = authority.client_context()
    half_open = []
    for number in range(60):
        half_open.append(Client(router.port).send(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b""))
        if number % 10 == 0:
            assert router.score(b"x").status == 200
    eventually(lambda: failed_handshakes(router) == 60 - 8, "all but the newest handshakes to be closed")
    assert router.metrics().value("connections_active") == 8
    assert half_open[0].is_closed()
    assert router.score(b"x").status == 200
    for one in half_open:
        one.close()


def test_three_strangers_who_shake_hands_at_one_place_do_not_end_the_process(pod, start, authority):
    """One handshake is permitted. The first client has sent bytes, which the router has not read yet, when two silent clients connect. The
    router spares it for the second. The third closes the second, and the router spares the first again, now alone in the list."""
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), tls={"certificates": [pair.as_dict()]}, threads=1,
                   limits={"max_handshakes": 1, "header_timeout_ms": 600_000})
    router.client_context = authority.client_context()
    for _ in range(5):
        with Client(router.port) as first:
            eventually(lambda: router.metrics().value("connections_active") == 1, "the first client")
            router.signal(signal.SIGSTOP)
            with Client(router.port) as second, Client(router.port):
                first.send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
                router.signal(signal.SIGCONT)
                assert second.is_closed()
                assert router.score(b"x").body == b"x"
        eventually(lambda: router.metrics().value("connections_active") == 0, "the connections of these clients to end")
    assert router.process.poll() is None, router.log


class SClient:
    """openssl s_client, whose commands are single letters: R renegotiates, K updates the keys and requests an update in return."""

    def __init__(self, router, authority, *arguments):
        self._process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{router.port}", "-CAfile", str(authority.file), "-servername",
             "router.test", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.said = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        eventually(lambda: b"Verify return code" in self.said, "the handshake")

    def _read(self):
        while data := self._process.stdout.read1():
            self.said += data

    def command(self, letter):
        """Returns False if the process has ended."""
        try:
            self._process.stdin.write(letter + b"\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return not self.ended()

    def ended(self):
        return self._process.poll() is not None

    def wait(self):
        self._process.wait(20)
        self._reader.join(5)
        return self.said


def test_renegotiation_is_refused(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    client = SClient(router, authority, "-tls1_2")
    client.command(b"R")
    said = client.wait()  # the process ends by itself
    assert b"RENEGOTIATING" in said and b"no renegotiation" in said, said[-2000:]
    assert router.score(b"x").status == 200


def test_a_flood_of_key_updates_is_ended_and_does_not_hold_the_shard(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), threads=1, tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    client = SClient(router, authority, "-tls1_3")
    with router.connect() as other:
        updates = 0
        while client.command(b"K") and updates < 1000:
            updates += 1
            eventually(lambda: client.said.count(b"KEYUPDATE") >= updates or client.ended(), "an update", pause=0)
            assert other.exchange(b"x").status == 200
    assert 32 <= updates < 1000
    client.wait()
