"""Waiting for what must come, with a deadline; never a fixed sleep."""

import time

PATIENCE = 10.0  # seconds until a test gives up


def eventually(condition, what="the condition", patience=PATIENCE, pause=0.01):
    """Asks again and again until `condition()` is true; returns what it returned. Fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s in vain for {what}; last value: {value!r}")
        time.sleep(pause)


def stays(condition, duration, what="the condition"):
    """Holds `condition()` to be true for the whole of `duration` seconds: for what must not happen."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        assert condition(), f"{what} did not stay true"
        time.sleep(0.01)
