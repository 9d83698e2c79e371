"""Waits for an event with a deadline, never for a fixed time."""

import time

PATIENCE = 10.0  # seconds until a test gives up


def eventually(condition, what="the condition", patience=PATIENCE, pause=0.01):
    """Calls `condition()` until it is true, and returns its value. Fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}; last value: {value!r}")
        time.sleep(pause)


def stays(condition, duration, what="the condition"):
    """Asserts that `condition()` is true during the whole of `duration` seconds: for events that must not happen."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        assert condition(), f"did not last: {what}"
        time.sleep(0.01)
