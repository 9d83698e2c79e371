import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.fixtures import *  # noqa: E402,F401,F403
from support.router import SANITIZED  # noqa: E402

# A sanitizer replaces the allocator, so these tests could not count the router's allocations. `./dev check` reports that it leaves them
# out.
collect_ignore = ["test_allocations.py", "test_exchange_cost.py"] if SANITIZED else []


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes seconds, not milliseconds; still part of every run")
    config.addinivalue_line("markers", "serial: measures time, CPU time or memory, or loads the machine: runs alone, after the tests that run two at once")
