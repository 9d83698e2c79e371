"""Clients that request large answers and do not read them."""

import socket
import time
from pathlib import Path

import pytest
from support.client import request
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

CLIENTS, ANSWER = 60, 4_000_000
KEPT_MAX = 512 * 1024  # 256 KB that were not sent, the bytes in flight to a client that reads nothing, and one step of the kernel


def resident_kb(router):
    status = Path(f"/proc/{router.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def kept_by_the_kernel(port):
    """Returns the bytes that the kernel holds for each client of the listener at `port`: not sent, or not acknowledged."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # By peer, since the kernel lists a connection twice if others begin or end while the file is read.
    kept = {line[2]: int(line[4].split(":")[0], 16) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    return list(kept.values())


@pytest.mark.serial
def test_a_flood_of_interim_responses_is_not_kept_for_a_client_that_does_not_read(pod, start):
    """A head of 41 KB, again and again: the router kept 100 of them for each request."""
    heads = (b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 41_000 + b"\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: y\r\n\r\n" * 100)

    def flood(exchange):
        exchange.body()
        for i in range(100_000):
            exchange.send(heads[0] if i < 150 else heads[1])
        exchange.answer()

    router = start(endpoint(deployment([pod(flood)], slots=0, request_timeout_ms=4000), name="flood"), endpoint(deployment([pod()])), threads=1)
    assert router.score(b"y").status == 200
    before, floods = resident_kb(router), 20
    clients = [router.connect(receive_buffer=4096).send(request(b"x", path="/api/v1/endpoint/flood/score")) for _ in range(floods)]
    most = before
    for _ in range(10):
        time.sleep(0.2)
        most = max(most, resident_kb(router))
        assert router.score(b"y").status == 200
    each = (most - before) / floods
    got, reasons = [], set()
    for client in clients:
        with client:
            answer = client.response()
            got.append(sum(len(name) + len(value) for one in answer.interim for name, value in one.headers))
            reasons.add(answer.why)
    print(f"\n{each:.0f} KB of the router for each of {floods} requests, {max(got) / 1024:.1f} KB of interim heads to each client")
    assert reasons == {"upstream_timeout"} and max(got) < 16 * 1024 and (SANITIZED or each < 400)


def test_clients_that_do_not_read_leave_little_with_the_kernel_and_disturb_nobody(pod, start):
    def behave(exchange):
        exchange.answer(200, b"x" * ANSWER if exchange.request.headers.get("x-large") else b"small")
    router = start(endpoint(deployment([pod(behave)], slots=0)))
    clients = []
    for _ in range(CLIENTS):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", router.port))
        client.sendall(request(b"x", headers={"x-large": "1"}))
        clients.append(client)
    eventually(lambda: min(kept_by_the_kernel(router.port), default=0) > 0, "each answer to have begun", patience=20)
    time.sleep(2)  # until the kernel has filled its buffers
    kept = kept_by_the_kernel(router.port)
    print(f"\n{sum(kept) / CLIENTS / 1024:.0f} KB for each of {CLIENTS} clients that do not read, {max(kept) / 1024:.0f} KB at most")
    assert len(kept) == CLIENTS
    assert min(kept) > 0 and max(kept) < KEPT_MAX
    assert router.score(b"y").body == b"small"
    last = clients.pop()
    last.settimeout(20)
    got = 0
    while got < ANSWER:  # a client that reads at last gets the whole answer
        piece = last.recv(1 << 20)
        assert piece
        got += len(piece)
    for client in clients + [last]:
        client.close()
