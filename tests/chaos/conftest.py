import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.fixtures import *  # noqa: E402,F401,F403
from support.load import Load  # noqa: E402
from support.reliability import Table  # noqa: E402
from support.replica import Replica  # noqa: E402
from support.router import ROOT, SANITIZED  # noqa: E402


class Scale:
    """Duration and rate of the tests. CHAOS_LONG=1 extends what every other run limits."""
    LONG = os.environ.get("CHAOS_LONG") == "1"
    SLOWER = 4 if SANITIZED else 1  # with a sanitizer: a quarter of the rate, four times the patience

    @classmethod
    def seconds(cls, usual, long):
        return long if cls.LONG else usual

    @classmethod
    def rate(cls, per_second):
        return per_second / cls.SLOWER


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds, not milliseconds; still part of every run")


@pytest.fixture
def scale():
    return Scale


@pytest.fixture(scope="session")
def table():
    table = Table()
    yield table
    table.write(ROOT / "build" / "chaos" / "reliability.md")


@pytest.fixture
def replica(tmp_path):
    """Starts replicas as processes: `replica(sleep=0.01)`."""
    started = []

    def make(name=None, **options):
        started.append(Replica(tmp_path, name or f"replica-{len(started)}", **options))
        return started[-1]

    make.all = started
    yield make
    for one in started:
        one.kill()


@pytest.fixture
def load(background, scale):
    """Starts load: `load(router, rate, clients, plan)`; ends with the test."""
    running = []

    def make(router, rate, clients, **options):
        options.setdefault("port", router.port)
        running.append(Load(background, rate=scale.rate(rate), clients=clients, tls=router.client_context, **options))
        return running[-1]

    yield make
    for one in running:
        one.stop()
