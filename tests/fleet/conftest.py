import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "integration")]

import pytest  # noqa: E402

pytest.register_assert_rewrite("support", "harness")

from harness.fixtures import *  # noqa: E402,F401,F403
from support.fixtures import *  # noqa: E402,F401,F403


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds, not milliseconds; still part of every run")
    config.addinivalue_line("markers", "serial: measures time: runs alone")
