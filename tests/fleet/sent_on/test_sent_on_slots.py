"""tests/integration/test_slots.py, with every request sent on."""

from test_slots import *  # noqa: F401,F403

del test_no_replica_ever_has_more_exchanges_or_connections_than_slots  # noqa: F821: ../test_counting.py
