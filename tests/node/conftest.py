import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "kubernetes"), str(HERE.parent / "integration")]

import pytest  # noqa: E402

pytest.register_assert_rewrite("support", "harness", "real_node", "scene")

from harness.helm import Helm  # noqa: E402
from real_node import NodeCluster  # noqa: E402
from scene import Scene  # noqa: E402
from support.certificates import Authority  # noqa: E402
from support.load import Load  # noqa: E402
from support.loop import BackgroundLoop  # noqa: E402
from support.router import ROOT  # noqa: E402

IMAGES = [ROOT / "build" / "image" / f"{name}.tar" for name in ("pause", "model", "inference-router")]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """This machine as the only node of a cluster: real_node.py."""
    cluster = NodeCluster(tmp_path_factory.mktemp("cluster"), IMAGES)
    try:
        cluster.start()
        print(f"\nthe node is ready after {cluster.node_started_in:.0f} s")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def scene(cluster, tmp_path_factory):
    """The installed chart, with an endpoint that two Pods serve: scene.py."""
    folder = tmp_path_factory.mktemp("scene")
    scene = Scene(cluster, Helm(folder, cluster), Authority(folder / "certificates"), folder)
    scene.install()
    scene.add_models()
    return scene


@pytest.fixture
def load(scene):
    """Starts load through the router's Service: `load(rate, clients)`. It ends with the test."""
    loop = BackgroundLoop()
    running = []

    def make(rate, clients):
        running.append(Load(loop, scene.port, rate, clients, tls=scene.tls, host=scene.address))
        return running[-1]

    yield make
    for one in running:
        one.stop()
    loop.stop()
