"""tests/integration/test_timeouts.py and test_early_answers.py, with every request sent on."""

from test_early_answers import *  # noqa: F401,F403
from test_timeouts import *  # noqa: F401,F403
