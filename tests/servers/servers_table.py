"""The table of docs/servers.md, written by the tests. Runs with the same versions write the same cells."""

from recipes import RECIPES
from support.router import ROOT

FILE = ROOT / "build" / "servers" / "servers.md"
COLUMNS = ("scoring route", "readiness route", "slots", "runs at once", "`drain_on_abort`", "a stream", "the model raises",
           "a client leaves", "closes an idle connection", "restarted under load")


class Table:
    def __init__(self):
        self._cells = {}

    def add(self, recipe, column, text):
        assert column in COLUMNS and (recipe.name, column) not in self._cells
        self._cells[recipe.name, column] = str(text)

    def is_whole(self):
        return all((recipe.name, column) in self._cells for recipe in RECIPES for column in COLUMNS)

    def text(self):
        """One table for all servers, not one for each, so that they can be compared. It has two parts of at most six columns."""
        return "\n".join(self._part(columns) for columns in (COLUMNS[:5], COLUMNS[5:]))

    def _part(self, columns):
        lines = ["| server | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for recipe in RECIPES:
            cells = [self._cells.get((recipe.name, column), "not known to this run") for column in columns]
            lines.append(f"| {recipe.title} ({recipe.versions}) | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"

    def write(self):
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(self.text())
