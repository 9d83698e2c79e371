import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

import pytest  # noqa: E402

pytest.register_assert_rewrite("support")

from support.fixtures import *  # noqa: E402,F401,F403
