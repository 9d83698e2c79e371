"""The table of the faults that a run of tests/chaos injected, and what became of the requests."""

import json
from dataclasses import dataclass
from pathlib import Path

from .wait import eventually

HEAD = """# Faults, and what happened to the requests

The tests in `tests/chaos` write this table to `build/chaos/reliability.md`; each row is written by the test that injects the fault. The
copy in `docs/` is of one run on the `dev` build. `CHAOS_LONG=1` makes the tests longer.

*Expected failures*: requests that no router could have saved, for the reason given, or that were correctly refused. *Lost*: requests
that failed although no fault affected them. *Leaked*: slots still held, or requests still in the queue, at the end. A test fails unless
both are 0. Times and counts depend on the machine; the last two columns do not.
"""


@dataclass
class Row:
    fault: str
    injected: int
    requests: int
    failed: int
    why: str  # why these requests rightly fail; empty where none fails
    lost: int
    leaked: int


class Table:
    def __init__(self):
        self._rows = []
        self._figures = []

    def add(self, **row):
        """Adds a row and asserts that `lost` and `leaked` are 0."""
        self._rows.append(Row(**row))
        assert (row["lost"], row["leaked"]) == (0, 0), self._rows[-1]

    def figure(self, text):
        """Adds a sentence below the table."""
        self._figures.append(text)

    def write(self, path):
        if not self._rows:
            return
        lines = [HEAD, "| fault | injected | requests | expected failures | why | lost | leaked |", "|---|---|---|---|---|---|---|"]
        lines += [f"| {row.fault} | {row.injected} | {row.requests} | {row.failed} | {row.why} | {row.lost} | {row.leaked} |"
                  for row in self._rows]
        lines += ["", *(f"- {figure}" for figure in self._figures)]
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines).rstrip() + "\n")


def leaked(router):
    """Returns how many slots and positions in the queue are still held after all clients have left: 0 unless something leaks."""
    try:
        eventually(lambda: router.slots_in_use() == 0 and router.queue_length() == 0, "free slots and an empty queue", patience=20)
    except AssertionError:
        return router.slots_in_use() + router.queue_length()
    return 0


def access_lines_of(router, outcomes):
    """Returns the access log's line of each outcome, by request id, once all lines are written."""
    wanted = {one.id for one in outcomes}

    def lines():
        text = router.access_log_file.read_text()
        found = {line["XRequestId"]: line for line in map(json.loads, text[:text.rfind("\n") + 1].splitlines())}
        return found if wanted <= found.keys() else None
    return eventually(lines, "a line of the access log for each request", pause=0.1)


def was_dispatched(outcome, line):
    """Whether it failed because the replica that had it ended; `line` is its line in the access log. The router sends a GET once more,
    which may find no replica that accepts a connection."""
    again = outcome.plan.method == "GET" and line["Attempts"] == 2
    return outcome.status == 502 and (outcome.why == "upstream_reset" or outcome.why == "upstream_connect_failed" and again)
