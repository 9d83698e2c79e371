"""tests/integration/test_headers.py, with every request sent on."""

from test_headers import *  # noqa: F401,F403
