"""Fixtures of the tests with several routers. The end of a test ends what it started, and checks how it ended."""

import pytest

from .fleet import Fleet
from .load import Balancer, FleetLoad
from .pods import Pods


class _Started:
    """What a test, or a module, has started."""

    def __init__(self, folder):
        self.folder, self.fleets, self.pods = folder, [], []

    def fleet(self, *endpoints, wait=True, **options):
        fleet = Fleet(self.folder / f"fleet-{len(self.fleets)}", *endpoints, **options)
        self.fleets.append(fleet)
        if wait:
            fleet.wait_agreed()
        return fleet

    def counting(self, count=1, **options):
        self.pods.append(Pods(count, prefix=f"pods-{len(self.pods)}", **options))
        return self.pods[-1]

    def end(self):
        try:
            for pods in self.pods:
                pods.assert_never_over()
        finally:
            try:
                for fleet in self.fleets:
                    fleet.stop()
            finally:
                for pods in self.pods:
                    pods.stop()


@pytest.fixture
def started(tmp_path):
    started = _Started(tmp_path)
    yield started
    started.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What the tests of a module share: `shared.fleet(...)`, `shared.counting(...)`."""
    started = _Started(tmp_path_factory.mktemp("shared"))
    yield started
    started.end()


@pytest.fixture
def fleet(started):
    """Starts fleets: `fleet(endpoint(...), size=3)`."""
    return started.fleet


@pytest.fixture
def counting(started):
    """Starts counting pods: `counting(3, slots=1, sleep=0.01)`. The end of the test asserts that no pod ever had too much."""
    return started.counting


@pytest.fixture
def load(background):
    """Starts load over a fleet: `load(fleet, rate, clients, plan)`; ends with the test."""
    running, balancers = [], []

    def make(fleet, rate, clients, **options):
        balancers.append(Balancer(background, getattr(fleet, "routers", fleet)))
        running.append(FleetLoad(background, balancers[-1], rate, clients, **options))
        running[-1].balancer = balancers[-1]
        return running[-1]

    yield make
    for one in running:
        one.stop()
    for one in balancers:
        one.stop()
