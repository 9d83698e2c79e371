"""Repeating the same load must not make the process larger."""

from support.load import Plan
from support.reliability import leaked
from support.router import SANITIZED
from support.settings import deployment, endpoint
from support.wait import eventually

TIMES = 3
REQUESTS = 1500
CLIENTS = 30
GROWTH_MAX = 0.01


def busy_plan(number):
    """Bodies of many sizes, streams, and sometimes a client that disconnects."""
    if number % 50 == 0:
        return Plan(body=b"leaves", headers={"x-do": "sleep=2"}, leave_after=0.05)
    if number % 10 == 0:
        return Plan(body=b"s", headers={"x-do": "stream=5"})
    return Plan(body=b"g" * [10, 1000, 30_000, 300_000][number % 4])


def test_the_third_time_costs_no_memory_and_no_descriptor(start, replica, load, table, scale):
    replicas = [replica() for _ in range(3)]
    router = start(endpoint(deployment(replicas, slots=8, max_queue_wait_ms=20000, request_timeout_ms=60000,
                                       router={"max_queue_length": 10 * CLIENTS})))
    total = gone = lost = 0

    def run(clients, rate):
        nonlocal total, gone, lost
        running = load(router, rate, clients=clients, plan=busy_plan)
        eventually(lambda: len(running.outcomes) >= REQUESTS * scale.seconds(1, 10) / scale.SLOWER, "enough requests", patience=200)
        outcomes = running.stop()
        total += len(outcomes)
        gone += sum(one.left for one in outcomes)
        lost += sum(not one.served and not one.left for one in outcomes)
        return idle(router)

    run(3 * CLIENTS, 5000)  # more clients than later, so that pools and caches have their full size
    held = [run(CLIENTS, 500) for _ in range(TIMES)]
    first, last = held[0], held[-1]
    grown = last["heap_bytes"] / max(first["heap_bytes"], 1) - 1
    assert last["descriptors"] == first["descriptors"], held
    assert SANITIZED or 0 < last["heap_bytes"] <= first["heap_bytes"] * (1 + GROWTH_MAX), held
    table.add(fault=f"none: the same load {TIMES} times, after a larger load; some clients disconnect", injected=gone,
              requests=total, failed=gone, why="their clients have gone", lost=lost, leaked=leaked(router))
    table.figure(f"Growth: heap in use after the first time {first['heap_bytes']} bytes, after the third {last['heap_bytes']} "
                 f"({grown:+.2%}); descriptors {first['descriptors']} and {last['descriptors']}.")


def idle(router):
    """Returns what the process holds when all client connections have ended and the idle connections to the replicas have expired."""
    eventually(lambda: router.metrics().value("connections_active") == 0 and router.slots_in_use() == 0, "all connections to end",
               patience=30)
    seen = []

    def unchanged():
        seen.append(router.status()["process"])
        return len(seen) > 20 and len({one["descriptors"] for one in seen[-20:]}) == 1
    eventually(unchanged, "the number of descriptors to stay constant", patience=30, pause=0.05)
    return {"descriptors": seen[-1]["descriptors"], "heap_bytes": min(one["heap_bytes"] for one in seen[-20:])}
