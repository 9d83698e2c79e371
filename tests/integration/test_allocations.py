"""A request on a busy connection that is kept open allocates from the heap only what docs/performance.md lists with a reason."""

import mmap
import statistics
import struct
from pathlib import Path

import pytest
from support.router import BINARY
from support.settings import deployment, endpoint

pytestmark = pytest.mark.serial
COUNTER = BINARY.parent / "libcount_allocations.so"
BATCH = 10
BATCHES = 21


def answer_in_one_piece(exchange):
    """Sends the answer in one write. Otherwise the router sometimes makes two TLS records of it."""
    exchange.body()
    exchange.ended()
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" + b"x" * 200)


class Allocations:
    """What the router's only shard has allocated from the heap so far."""

    def __init__(self, router, file):
        tasks = Path(f"/proc/{router.process.pid}/task")
        self.shards = {int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip().startswith("shard")}
        assert len(self.shards) == 1
        with file.open("rb") as opened:
            self.table = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)

    def __call__(self):
        return sum(count for thread, count in struct.iter_unpack("=QQ", self.table[:]) if thread in self.shards)


def allocations_of_a_request(stage, client_of, **settings):
    """Returns the median of several batches: on a busy machine, a connection to the pod is sometimes idle for too long and is replaced."""
    assert COUNTER.exists(), f"{COUNTER} is not built"
    file = stage.folder / "allocations"
    router = stage.start(endpoint(deployment([stage.pod(answer_in_one_piece)], **settings.pop("deployment", {}))), threads=1,
                         environment={"LD_PRELOAD": str(COUNTER), "ALLOCATIONS_FILE": str(file)}, **settings)
    count = Allocations(router, file)
    seen = []
    with client_of(router) as client:
        for number in range(BATCHES + 2):
            before = count()
            for _ in range(BATCH):
                assert client.exchange(b"x" * 1024).status == 200
            seen.append(count() - before)
    assert seen[0] > 0, "the first request must allocate; the counter does not work"
    return statistics.median(seen[2:]) / BATCH


@pytest.mark.parametrize("slots", [1, 0])
def test_a_plaintext_request_takes_nothing(stage, slots):
    assert allocations_of_a_request(stage, lambda router: router.connect(), deployment={"slots": slots}) < 0.5


def test_a_tls_request_takes_only_what_openssl_does(stage, authority):
    """OpenSSL makes four small allocations to encrypt and decrypt records. (The thread keeps the memory of its buffers.)"""
    pair = authority.issue("router.test")
    context = authority.client_context()
    taken = allocations_of_a_request(stage, lambda router: router.connect(tls=context, server_name="router.test"),
                                     tls={"certificates": [pair.as_dict()]})
    assert round(taken) <= 4
