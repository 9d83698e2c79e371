import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(TESTS / "integration"), str(TESTS)]

import pytest  # noqa: E402

pytest.register_assert_rewrite("support", "harness", "fleet")

import itertools  # noqa: E402

from harness.cluster import running_cluster  # noqa: E402
from harness.fixtures import *  # noqa: E402,F401,F403
from harness.fleet_fixtures import *  # noqa: E402,F401,F403
from harness.scaling_fixtures import *  # noqa: E402,F401,F403
from harness.scaling import scaled  # noqa: E402,F401
from support.fixtures import *  # noqa: E402,F401,F403

numbers = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; only by ./dev test --kubernetes --long")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster that all tests share: harness/cluster.py."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster):
    """The name of a new namespace. The end of the test deletes it with all its objects, without waiting for that."""
    name = f"test-{next(numbers)}"
    cluster.create_namespace(name)
    yield name
    cluster.start_api_server()  # the test may have stopped it
    cluster.delete_namespace(name)


@pytest.fixture
def pods(cluster):
    """The Pods' processes: harness/kubelet.py."""
    return cluster.pods
