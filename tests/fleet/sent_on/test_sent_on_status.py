"""tests/integration/test_status.py, with every request sent on: the same status, reason and fields in both profiles."""

from test_status import *  # noqa: F401,F403
