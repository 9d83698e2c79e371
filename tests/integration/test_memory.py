"""Memory runs short on the control thread, at any point of a reload: the old state stays whole, or the new one is."""

import mmap
import random
import signal
import struct

import pytest
from support.router import BINARY, SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

LIBRARY = BINARY.parent / "libfail_allocations.so"
POINTS = 60
IN_A_ROW = 1  # the reserve is passed by


class ShortMemory:
    """Lets requests for memory of the control thread fail."""

    def __init__(self, router, file):
        with file.open("r+b") as opened:
            self.order = mmap.mmap(opened.fileno(), 0)
        self.thread = router.process.pid  # control is the first thread

    def __call__(self, served, failing):
        self.order[8:32] = struct.pack("=QQQ", served, failing, 0)
        self.order[0:8] = struct.pack("=Q", self.thread)

    def end(self):
        """How many requests there were, and how many failures were not met."""
        self.order[0:8] = struct.pack("=Q", 0)
        _, _, failing, requests = struct.unpack("=QQQQ", self.order[:])
        return requests, failing


@pytest.mark.skipif(SANITIZED, reason="a sanitizer has an allocator of its own")
def test_a_reload_that_finds_no_memory_loses_nothing_and_the_next_one_acts(stage):
    assert LIBRARY.exists(), f"{LIBRARY} is not built"
    pods = [stage.pod(), stage.pod()]
    file = stage.folder / "failing"
    blue = endpoint(deployment(pods, slots=1))
    router = stage.start(blue, environment={"LD_PRELOAD": str(LIBRARY), "FAIL_ALLOCATIONS_FILE": str(file)})
    memory = ShortMemory(router, file)

    def variant(number):
        """Another number of slots each time, and every other time one deployment more."""
        some = [deployment(pods, slots=1 + number % 3)]
        if number % 2:
            some.append(deployment([pods[0]], name=f"extra{number}"))
        return endpoint(*some, traffic={"blue": 100})

    def is_in_force(number):
        now = {one["name"]: one["slots"] for one in router.deployments()}
        return now["blue"] == 2 * (1 + number % 3) and (number % 2 == 0 or f"extra{number}" in now)

    def reported():
        return router.log.count("configuration read again") + router.log.count("configuration refused")

    def reload(number):
        before = reported()
        router.write_endpoint(variant(number))
        router.signal(signal.SIGHUP)
        eventually(lambda: reported() > before, "the reload to be reported")

    memory(1 << 40, 0)
    reload(1)
    requests, _ = memory.end()
    eventually(lambda: is_in_force(1), "the first change")
    refused = 0
    points = sorted(random.Random(1).sample(range(requests), POINTS))
    for number, point in enumerate(points, start=2):
        lines = router.log.count("configuration refused")
        memory(point, IN_A_ROW)
        router.write_endpoint(variant(number))
        router.signal(signal.SIGHUP)
        eventually(lambda: struct.unpack("=QQQQ", memory.order[:])[2] == 0, "memory to have run short")
        memory.end()
        assert router.score(b"x").status == 200, point
        refused += router.log.count("configuration refused") > lines
        router.signal(signal.SIGHUP)
        eventually(lambda: is_in_force(number), f"the next reload to act, after point {point} of {requests}")
        assert router.score(b"x").status == 200, point
    assert refused > 0
    assert router.slots_in_use() == 0
