"""Three times as many requests as can be served: the slots stay busy, no request waits longer than permitted, the rest is refused at
once."""

import statistics
import threading
import time

import pytest
from support.client import Client
from support.load import Plan
from support.reliability import access_lines_of, leaked
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

REPLICAS, SLOTS = 8, 1
QUEUE_WAIT_MS = 500
RESUMED_WITHIN_MS = 100  # the wait is measured until the shard has noticed that the slot is free, on a busy machine
REASONS = {"queue_full", "queue_timeout", "deadline_unmeetable"}
BUSY_AT_LEAST = 0.85 if SANITIZED else 0.95  # share of the time, by the replicas' own records; a sanitizer's purpose is to find races


def service_time(replica):
    """Returns 50 ms, or more on a machine on which a round trip to a replica without the router takes a considerable part of this."""
    with Client(replica.port) as client:
        trips = []
        for _ in range(60):
            begun = time.monotonic()
            assert client.exchange(b"x").status == 200
            trips.append(time.monotonic() - begun)
    return max(0.050, 80 * statistics.median(trips))


def busy_fraction(replicas, begin, end):
    """Returns the share of the time between `begin` and `end` in which the slots were in use, by the replicas' own records."""
    busy = 0.0
    for one in replicas:
        since = {}
        for event in one.events():
            if event.kind == "delivered":
                since[event.id] = event.at
            elif event.kind in ("finished", "aborted") and event.id in since:
                busy += max(0.0, min(event.at, end) - max(since.pop(event.id), begin))
    return busy / (REPLICAS * SLOTS * (end - begin))


class MemoryOverTime:
    """Samples the resident memory twice a second."""

    def __init__(self, router):
        self._router, self._samples = router, []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self):
        while not self._done.wait(0.5):
            self._samples.append(self._router.memory())

    def stop(self):
        """Returns the medians of the second and of the last quarter. In the first quarter, pools are filled."""
        self._done.set()
        self._thread.join()
        quarter = len(self._samples) // 4
        return int(statistics.median(self._samples[quarter:2 * quarter])), int(statistics.median(self._samples[-quarter:]))


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0.0


@pytest.mark.parametrize("length, seconds", [(64, 20), (1000, 10)], ids=["line as usual", "line of a thousand"])
def test_three_times_the_capacity(start, replica, load, table, scale, length, seconds):
    replicas = [replica() for _ in range(REPLICAS)]
    router = start(endpoint(deployment(replicas, slots=SLOTS, max_queue_wait_ms=QUEUE_WAIT_MS, request_timeout_ms=60000,
                                       router={"max_queue_length": length})))
    sleep = service_time(replicas[0])
    for one in replicas:
        one.set_sleep(sleep)
    capacity = REPLICAS * SLOTS / sleep
    duration = scale.seconds(seconds, 60)
    running = load(router, 3 * capacity * scale.SLOWER, clients=300, plan=lambda number: Plan(body=b"%d" % number))
    time.sleep(2)  # the queue fills, and the router learns its pace
    begin = time.monotonic()
    memory = MemoryOverTime(router)
    time.sleep(duration)
    end = time.monotonic()
    early, late = memory.stop()
    outcomes = running.stop()
    eventually(lambda: router.queue_length() == 0 and router.slots_in_use() == 0, "the queue to be empty", patience=10)
    recovered = time.monotonic() - running.ended

    refused = [one for one in outcomes if one.status in (503, 429)]
    lost = [one for one in outcomes if not one.served and (one.status, one.why in REASONS) != (503, True)]
    lines = access_lines_of(router, outcomes)
    waits = [lines[one.id]["QueueDurationMs"] for one in outcomes if one.served]
    busy = busy_fraction(replicas, begin, end)
    at_once = [one.ended - one.begun for one in refused if one.why != "queue_timeout"]
    by_reason = {reason: sum(one.why == reason for one in refused) for reason in sorted(REASONS)}
    offered = len(outcomes) / (running.ended - running.begun) / capacity

    assert len(refused) > 100 and offered > 1.5, f"only {offered:.1f} times the capacity was offered"
    assert busy >= BUSY_AT_LEAST, f"slots were in use {busy:.1%} of the time while requests were refused"
    assert percentile(waits, 99) <= QUEUE_WAIT_MS + RESUMED_WITHIN_MS * scale.SLOWER
    assert max(waits) <= 2 * QUEUE_WAIT_MS * scale.SLOWER  # twice as long, since the machine may stop for a moment
    assert all(1 <= int(one.retry_after) <= 60 for one in refused)
    assert all(lines[one.id]["Replica"] == "" for one in refused), "a refused request had a slot"
    assert all(event.concurrent <= SLOTS for one in replicas for event in one.events())
    assert SANITIZED or late < early * 1.05 + (1 << 20), f"memory went from {early} to {late}"
    assert recovered < 2 * scale.SLOWER, "a request still waited after the load had ended"  # half a second of it is max_queue_wait_ms
    told = ", ".join(f"{count} {reason}" for reason, count in by_reason.items() if count)
    table.add(fault=f"overload: {offered:.1f} times the capacity for {duration} s, {REPLICAS} replicas with {SLOTS} slot, "
              f"a queue of at most {length}", injected=1, requests=len(outcomes), failed=len(refused), lost=len(lost),
              leaked=leaked(router), why=f"refused with Retry-After while the slots were busy {busy:.1%} of the time: {told}")
    table.figure(f"Overload, a queue of at most {length}: the slots were busy {busy:.1%} of the time (by the replicas' records, "
                 f"exchanges of {sleep * 1000:.0f} ms); served after waiting {percentile(waits, 99):.0f} ms (p99), "
                 f"{max(waits):.0f} ms at most (`max_queue_wait_ms` {QUEUE_WAIT_MS}); refused at once within "
                 f"{percentile(at_once, 50) * 1000:.1f} ms (p50), {percentile(at_once, 99) * 1000:.1f} ms (p99), as the client sees it; "
                 f"queue and slots empty {recovered:.1f} s after the last request; resident memory {early >> 20} MB, then "
                 f"{late >> 20} MB.")
