"""What TLS connections cost whose handshake has not ended."""

import select
import socket
import time

import pytest
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

CONNECTIONS = 4000
EACH_MAX = 8 * 1024  # bytes; nginx 1.22 takes 150 KB for a large hello, 43 KB for one of 16 KB
REST_MAX = 16 * 1024 * 1024  # memory that may remain when they have ended


def hello_of(size):
    """9 bytes: a record with the beginning of a ClientHello of `size` bytes."""
    return b"\x16\x03\x01\x00\x04\x01" + size.to_bytes(3, "big")


def closed(sockets):
    """Returns how many of them the router has closed."""
    poll = select.poll()
    for one in sockets:
        poll.register(one, select.POLLRDHUP)
    return len(poll.poll(0))


def slowest_of(client, count=50):
    times = []
    for _ in range(count):
        begun = time.monotonic()
        assert client.exchange(b"x" * 1000).status == 200
        times.append(time.monotonic() - begun)
    return max(times)


@pytest.mark.serial
@pytest.mark.parametrize("sent, refused", [(hello_of(131_000), True), (hello_of(16_000), False), (b"", False)],
                         ids=["announcing more than any client needs", "announcing 16 KB", "silent"])
def test_nine_bytes_of_a_hello_do_not_reserve_memory(pod, start, authority, sent, refused):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()], slots=0)), tls={"certificates": [pair.as_dict()]},
                   limits={"header_timeout_ms": 600_000, "max_handshakes": 2 * CONNECTIONS})
    router.client_context = authority.client_context()
    with router.connect() as honest:
        slowest_of(honest)
        before, held = router.memory(), []
        for _ in range(CONNECTIONS):
            held.append(socket.create_connection(("127.0.0.1", router.port)))
            held[-1].sendall(sent)
        if refused:
            eventually(lambda: closed(held) == CONNECTIONS, "all connections to be refused")
            assert held[0].recv(100) == b"\x15\x03\x03\x00\x02\x02\x2f", "should be illegal_parameter"
        else:
            eventually(lambda: router.metrics().value("connections_active") == CONNECTIONS + 1, "all connections to be accepted")
            assert closed(held) == 0
        during = router.memory()
        assert slowest_of(honest) < 1
        assert router.score(b"x").status == 200, "a new handshake should succeed"
        for one in held:
            one.close()
        eventually(lambda: router.metrics().value("connections_active") == 1, "all connections to end")
        after = router.memory()
        print(f"{(during - before) / CONNECTIONS / 1024:.1f} KB each, {(after - before) / 1024 / 1024:.1f} MB left")
        assert SANITIZED or during - before < CONNECTIONS * EACH_MAX
        assert SANITIZED or after - before < REST_MAX
        assert slowest_of(honest) < 1
