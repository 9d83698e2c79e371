"""Fixtures for every test of the whole process. The end of a test stops what the test started, and checks how it ended."""

import pytest

from .certificates import Authority
from .gate import Gate
from .loop import BackgroundLoop
from .pod import Clogged, Pod, echo
from .ports import ReservedPort
from .router import Router


class _Stage:
    """The pods and routers of a test, or of a module."""

    def __init__(self, folder):
        self.folder = folder
        self.pods, self.routers = [], []

    def pod(self, behave=echo, name=None, kind=Pod, **options):
        pod = kind(behave, name or f"pod-{len(self.pods)}", **options)
        self.pods.append(pod)
        return pod

    def clogged(self):
        self.pods.append(Clogged())
        return self.pods[-1]

    def start(self, *endpoints, **settings):
        router = Router(self.folder / f"router-{len(self.routers)}", *endpoints, **settings)
        self.routers.append(router)
        return router

    def end(self):
        try:
            for router in self.routers:
                router.stop()
        finally:
            for router in self.routers:
                router.kill()
            for pod in self.pods:
                pod.stop()
        failures = [failure for pod in self.pods for failure in getattr(pod, "failures", ())]
        assert not failures, failures


@pytest.fixture
def stage(tmp_path):
    """The pods and routers of this test."""
    stage = _Stage(tmp_path)
    yield stage
    stage.end()


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory):
    """The pods and routers that the tests of a module share."""
    stage = _Stage(tmp_path_factory.mktemp("shared"))
    yield stage
    stage.end()


@pytest.fixture
def clogged(stage):
    """Starts servers that stop accepting connections when the test calls `clog()`."""
    return stage.clogged


@pytest.fixture
def pod(stage):
    """Starts pods: `pod(behaviour)`."""
    return stage.pod


@pytest.fixture
def start(stage):
    """Starts routers: `start(endpoint(...), setting=value)`."""
    return stage.start


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def ports():
    """Returns free ports, one for each call."""
    reserved = []

    def take():
        reserved.append(ReservedPort())
        return reserved[-1].port

    yield take
    for one in reserved:
        one.close()


@pytest.fixture
def background():
    loop = BackgroundLoop()
    yield loop
    loop.stop()


@pytest.fixture
def gate(background):
    """Starts gates: `gate(port)`."""
    gates = []

    def make(port):
        gates.append(Gate(background, port))
        return gates[-1]

    yield make
    for one in gates:
        one.stop()
