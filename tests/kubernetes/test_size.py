"""The cost of following many objects. They are created through the API server and have no Pods."""

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.following import age
from harness.resources import endpoint_slice, online_deployment, online_endpoint, path, secret
from support.wait import eventually

ENDPOINTS, REPLICAS = 1000, 10  # replicas of each endpoint
LIST_MAX = 20.0  # seconds of CPU for all lists
CHANGE_MAX = 1.0  # seconds of CPU for one change
MEMORY_MAX = 256 * 1024 * 1024  # bytes of resident memory

pytestmark = pytest.mark.long


def cpu_of(router):
    """Seconds of CPU that the process has used."""
    fields = Path(f"/proc/{router.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def name_of(number):
    return f"many-{number}"


def address(number, replica):
    """An address of the range for network benchmarks, which no machine has. The router sends nothing there: no request of these tests has a
    valid key."""
    return f"198.18.{number // 25}.{1 + number % 25 * REPLICAS + replica}"


def slice_of(number, replicas=REPLICAS):
    return endpoint_slice(f"{name_of(number)}-1", f"{name_of(number)}-blue", [address(number, each) for each in range(replicas)])


def make(api, namespace, number):
    name = name_of(number)
    for plural, described in (("secrets", secret(f"{name}-keys", primary=f"key-of-{name}")), ("endpointslices", slice_of(number)),
                              ("onlineendpoints", online_endpoint(name, router={"hostnames": [f"{name}.test"]})),
                              ("onlinedeployments", online_deployment("blue", name))):
        api.post(path(plural, namespace), described)


def wait_idle(router):
    """Waits until it uses no CPU for a second."""
    seen = []

    def idle():
        seen.append(cpu_of(router))
        return len(seen) > 10 and seen[-1] - seen[-10] < 0.05
    eventually(idle, "the router to be idle", patience=120, pause=0.1)


def ready_replicas(router):
    return int(router.metrics().value("replicas", state="ready"))


def test_a_thousand_endpoints_and_ten_thousand_replicas(cluster, namespace, follow):
    api = cluster.api
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: make(api, namespace, number), range(ENDPOINTS)))
    print(f"\n{4 * ENDPOINTS} objects made in {time.monotonic() - begun:.0f} s")

    begun = time.monotonic()
    router = follow(wait=False, allow_custom_endpoint_slices=True)
    eventually(lambda: is_ready(router), "/readyz to answer 200", patience=180)
    ready_after = time.monotonic() - begun
    eventually(lambda: ready_replicas(router) == ENDPOINTS * REPLICAS, "all replicas to be ready", patience=180, pause=0.1)
    eventually(lambda: sum(one["keys"] for one in router.status()["endpoints"]) == 2 * ENDPOINTS, "all keys", patience=180, pause=0.5)
    known_after = time.monotonic() - begun
    wait_idle(router)
    listing, resident, process = cpu_of(router), router.memory(), router.status()["process"]
    print(f"full list: /readyz after {ready_after:.1f} s, all known after {known_after:.1f} s, {listing:.2f} s of CPU, "
          f"{resident / 2**20:.0f} MiB resident, {process['heap_bytes'] / 2**20:.1f} MiB of heap, {process['descriptors']} descriptors, "
          f"generation {router.generation()}")

    measure = Measure(router)
    change_slice = lambda number: api.patch(path("endpointslices", namespace, f"{name_of(number)}-1"),  # noqa: E731
                                            {"endpoints": slice_of(number, REPLICAS - 1)["endpoints"]})
    change_secret = lambda number: api.patch(path("secrets", namespace, f"{name_of(number)}-keys"),  # noqa: E731
                                             {"data": {"secondaryKey": None}})
    change_split = lambda number: api.patch(path("onlineendpoints", namespace, name_of(number)),  # noqa: E731
                                            {"spec": {"traffic": {"blue": 0}}})
    measure("one EndpointSlice", change_slice, lambda number: len(described(router, number)["deployments"][0]["replicas"]) == REPLICAS - 1)
    measure("one Secret", change_secret, lambda number: described(router, number)["keys"] == 1)
    measure("one OnlineEndpoint", change_split, lambda number: refusal(router, number) == "deployment_not_found")
    assert age(router) < 5
    assert listing < LIST_MAX
    assert max(measure.cpu) < CHANGE_MAX
    assert resident < MEMORY_MAX


class Measure:
    """Measures how long a change takes to be applied, while the test polls for it; and the CPU that a second, similar change costs without
    polling."""

    def __init__(self, router):
        self._router = router
        self._numbers = itertools.count()
        self.cpu = []

    def __call__(self, what, change, acts):
        timed, counted = next(self._numbers), next(self._numbers)
        assert not acts(timed) and not acts(counted)
        begun = time.monotonic()
        change(timed)
        eventually(lambda: acts(timed), what, patience=60)
        seconds = time.monotonic() - begun
        wait_idle(self._router)
        before = cpu_of(self._router)
        change(counted)
        wait_idle(self._router)
        self.cpu.append(cpu_of(self._router) - before)
        assert acts(counted)
        print(f"{what}: acts after {seconds * 1000:.0f} ms, {self.cpu[-1] * 1000:.0f} ms of CPU")


def described(router, number):
    return next(one for one in router.status()["endpoints"] if one["name"] == name_of(number))


def refusal(router, number):
    """Sends a request without a valid key, which therefore reaches no replica. Returns the reason."""
    return router.score(b"", path=f"/api/v1/endpoint/{name_of(number)}/score", key="no-key-of-anybody").why


def is_ready(router):
    try:
        return router.observe("/readyz")[0] == 200
    except OSError:
        return False
