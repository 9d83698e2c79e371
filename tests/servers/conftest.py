import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.fixtures import *  # noqa: E402,F401,F403


@pytest.fixture(scope="session")
def table():
    """Collects what this run has measured for each server: `table.add(recipe, column, text)`. At its end it writes
    build/servers/servers.md."""
    from servers_table import Table
    return Table()
