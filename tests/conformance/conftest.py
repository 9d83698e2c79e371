import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.conformance import Conformance  # noqa: E402
from support.fixtures import *  # noqa: E402,F401,F403
from support.router import ROOT  # noqa: E402
from support.settings import deployment, endpoint  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds, not milliseconds; still part of every run")
    if "PYTEST_XDIST_WORKER" not in os.environ:  # only in the first process of the run
        shutil.rmtree(ROOT / "build" / "conformance" / "parts", ignore_errors=True)


@pytest.fixture(scope="session")
def conformance():
    """The table: `conformance.add("9112 5.1", "white space before a colon", "400")`."""
    table = Conformance(ROOT / "build" / "conformance", os.environ.get("PYTEST_XDIST_WORKER", "main"))
    yield table
    table.write()


@pytest.fixture(scope="module")
def scene(shared_stage):
    """A router in front of an echoing pod without a limit. `scene.reached(marker)` returns whether a request reached the pod."""
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod], slots=0)))

        @classmethod
        def reached(cls, marker):
            return any(marker in one.target for one in cls.pod.requests)
    return Scene
