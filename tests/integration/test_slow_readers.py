"""Clients that ask for much and do not read it."""

import socket
import time
from pathlib import Path

from support.client import request
from support.settings import deployment, endpoint

CLIENTS, ANSWER = 60, 4_000_000
KEPT_MAX = 512 * 1024  # 256 KB that were not sent, what is on its way to a client that reads nothing, and one step of the kernel


def kept_by_the_kernel(port):
    """Bytes that it holds for each client of the listener at `port`: not sent, or not acknowledged."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # By the peer: the kernel tells a connection twice if others come or go while the file is read.
    kept = {line[2]: int(line[4].split(":")[0], 16) for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    return list(kept.values())


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
    time.sleep(2)  # as long as it takes the kernel to fill what it may
    kept = kept_by_the_kernel(router.port)
    print(f"\n{sum(kept) / CLIENTS / 1024:.0f} KB for each of {CLIENTS} clients that do not read, {max(kept) / 1024:.0f} KB at most")
    assert len(kept) == CLIENTS
    assert min(kept) > 0 and max(kept) < KEPT_MAX
    assert router.score(b"y").body == b"small"
    last = clients.pop()
    last.settimeout(20)
    got = 0
    while got < ANSWER:  # one that reads at last gets all of it
        piece = last.recv(1 << 20)
        assert piece
        got += len(piece)
    for client in clients + [last]:
        client.close()
