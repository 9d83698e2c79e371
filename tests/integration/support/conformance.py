"""The table of what the documents about HTTP require and how the router answered. tests/conformance writes it."""

from pathlib import Path

HEAD = """# Conformance to HTTP

The tests in `tests/conformance` write this table to `build/conformance/conformance.md`. Each row is a case that a test tried in this run; a
test that fails writes no row. The copy in `docs/` is of one run on the `dev` build. Sections are of RFC 9110 and 9112 unless another document
is named.

| section | case | answer |
|---|---|---|
"""


class Conformance:
    """Rows of several test processes. Each process writes its rows to a file of its own and joins all files that exist."""

    def __init__(self, folder, worker):
        self._folder, self._worker, self._rows = Path(folder), worker, []

    def add(self, section, case, answer):
        self._rows.append((section, case, answer))

    def write(self):
        if not self._rows:
            return
        parts = self._folder / "parts"
        parts.mkdir(parents=True, exist_ok=True)
        (parts / self._worker).write_text("".join(f"| {section} | {case} | {answer} |\n" for section, case, answer in self._rows))
        rows = sorted({row for part in parts.iterdir() for row in part.read_text().splitlines(keepends=True)}, key=_order)
        (self._folder / "conformance.md").write_text(HEAD + "".join(rows))


def _order(row):
    section = row.split("|")[1].split()
    return [section[:-1], [int(part) if part.isdigit() else 0 for part in section[-1].split(".")], row]
