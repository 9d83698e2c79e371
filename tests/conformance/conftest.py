import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.fixtures import *  # noqa: E402,F401,F403
from support.settings import deployment, endpoint  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds, not milliseconds; still part of every run")


@pytest.fixture(scope="module")
def scene(shared_stage):
    """A router before an echoing pod without a limit; `scene.reached(marker)` tells whether a request got there."""
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod], slots=0)))

        @classmethod
        def reached(cls, marker):
            return any(marker in one.target for one in cls.pod.requests)
    return Scene
