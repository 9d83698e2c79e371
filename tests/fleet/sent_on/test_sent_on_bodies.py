"""tests/integration/test_bodies.py, with every request sent on."""

from test_bodies import *  # noqa: F401,F403
