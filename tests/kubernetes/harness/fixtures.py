"""Fixtures of the tests that run the router beside the cluster."""

import pytest

from support.load import Load

from . import resources
from .following import start_following
from .helm import Helm


@pytest.fixture(scope="session")
def kinds(cluster):
    """OnlineEndpoint and OnlineDeployment."""
    resources.install(cluster)


@pytest.fixture
def account(cluster, namespace, kinds):
    """The router's ServiceAccount, with the rights that it needs in the test's namespace."""
    return cluster.service_account(namespace, "router", rules=resources.rights())


@pytest.fixture
def follow(account, namespace, start, tmp_path):
    """Starts routers as in a Pod of the namespace, which they serve: `follow(api_port=gate.port)`. Further options are those of the section
    kubernetes of router.yaml."""
    def make(api_port=None, wait=True, **kubernetes):
        kubernetes.setdefault("namespaces", [{"name": namespace}])
        return start_following(start, account, tmp_path, api_port, wait, **kubernetes)
    return make


@pytest.fixture
def load(background):
    """Starts load: `load(routers, rate, clients, plan=…)`, spread over all of them. It ends with the test."""
    running = []

    def make(routers, rate, clients, **options):
        running.append(Load(background, [one.port for one in routers], rate, clients, **options))
        return running[-1]

    yield make
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    """Helm without a cluster: `helm("template", ...)`."""
    return Helm(tmp_path_factory.mktemp("helm"))
