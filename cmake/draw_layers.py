#!/usr/bin/env python3
"""Draws docs/layers.svg, the modules and their dependencies, from CMake's own graph, and checks the layers with it.

    draw_layers.py BUILD          writes docs/layers.svg; BUILD is a configured build directory, such as build/dev
    draw_layers.py BUILD --check  refuses an outdated picture, an outdated table of levels in docs/architecture.md, and a
                                  dependency on a level that is not lower, unless cmake/exceptions.txt lists it

The dependencies come from `cmake --graphviz`, the levels from CMake's cache, where router_module() writes them. An arrow that
follows from others is left out: if proxy uses http and http uses base, there is no arrow from proxy to base.
"""
import math
import pathlib
import re
import subprocess
import sys
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/layers.svg"
PAGE = ROOT / "docs/architecture.md"
EXCEPTIONS = ROOT / "cmake/exceptions.txt"
PROGRAM = "inference-router"

WIDTH_AT_FIRST, LEFT, ROW, BOX_WIDTH, BOX_HEIGHT, GAP = 960, 84, 78, 126, 34, 26
WAY_WIDTH = 8  # width of an arrow that passes through a row


# --- CMake's graph ---------------------------------------------------------------------------------------------------------------
def read_levels(build):
    cache = (build / "CMakeCache.txt").read_text()
    return {name: int(level) for name, level in re.findall(r"^ROUTER_LEVEL_(\w+):INTERNAL=(\d+)$", cache, re.M)}


def read_graph(build):
    """{target: the targets that it is linked with}"""
    file = build / "graph/targets.dot"
    subprocess.run(["cmake", f"--graphviz={file}", str(build)], check=True, stdout=subprocess.DEVNULL)
    text = file.read_text()
    names = dict(re.findall(r'^ *"(node\d+)" \[ label = "([^"\\]+)', text, re.M))
    graph = defaultdict(set)
    for one, another in re.findall(r'^ *"(node\d+)" -> "(node\d+)"', text, re.M):
        graph[names[one]].add(names[another])
    return graph


def direct(graph, target, modules):
    """The modules that a target uses directly, or through targets that are not modules (the root's objects)."""
    found = set()
    for used in (each for each in graph[target] if each.startswith("router_")):
        name = used.removeprefix("router_")
        found |= {name} if name in modules else direct(graph, used, modules)
    return found


def read_modules(build):
    """({module: level}, {module: the modules that it is linked with}); the program is above all modules."""
    levels, graph = read_levels(build), read_graph(build)
    levels = {name: level for name, level in levels.items() if f"router_{name}" in graph or any(f"router_{name}" in used for used in graph.values())}
    uses = {name: direct(graph, f"router_{name}", levels) for name in levels}
    uses[PROGRAM] = direct(graph, PROGRAM, levels)
    return levels | {PROGRAM: max(levels.values()) + 1}, uses


def behind(uses, name):
    return uses[name].union(*(behind(uses, each) for each in uses[name]))


def without_implied(uses):  # expects only dependencies on lower levels
    return {name: sorted(used - set().union(*(behind(uses, each) for each in used))) for name, used in uses.items()}


# --- where things are drawn ------------------------------------------------------------------------------------------------------
class Layout:
    """Rows by level. A row has the modules of its level and an item for each arrow that passes it, placed for few crossings."""

    def __init__(self, levels, arrows):
        self.rows = [[] for _ in range(max(levels.values()) + 1)]
        self.above, self.below = defaultdict(list), defaultdict(list)
        self.paths = []  # one for each arrow, from the using module to the used one
        for name in sorted(levels):
            self.rows[levels[name]].append(name)
        for name in sorted(arrows):
            for used in arrows[name]:
                self.add_path(name, used, levels)
        self.order()
        self.place()

    def add_path(self, name, used, levels):
        path = [name]
        for level in range(levels[name] - 1, levels[used], -1):
            path.append((name, used, level))
            self.rows[level].append(path[-1])
        path.append(used)
        for upper, lower in zip(path, path[1:]):
            self.below[upper].append(lower)
            self.above[lower].append(upper)
        self.paths.append(path)

    def crossings(self):
        count = 0
        for row in range(1, len(self.rows)):
            at = {item: i for i, item in enumerate(self.rows[row - 1])}
            ends = [(i, at[lower]) for i, upper in enumerate(self.rows[row]) for lower in self.below[upper]]
            count += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])
        return count

    def order(self):
        """Sorts each row by the mean position of the neighbours, alternately downwards and upwards, and keeps the best order."""
        best = None
        for turn in range(40):
            rows = range(len(self.rows) - 2, -1, -1) if turn % 2 == 0 else range(1, len(self.rows))
            for row in rows:
                beside, near = (row + 1, self.above) if turn % 2 == 0 else (row - 1, self.below)
                at = {item: i / len(self.rows[beside]) for i, item in enumerate(self.rows[beside])}
                middle = {item: i / len(self.rows[row]) for i, item in enumerate(self.rows[row])}
                middle |= {item: mean([at[each] for each in near[item]]) for item in self.rows[row] if near[item]}
                self.rows[row].sort(key=middle.get)
            if best is None or self.crossings() < best[0]:
                best = self.crossings(), [list(row) for row in self.rows]
        self.rows = best[1]

    def place(self):
        """Moves each item to the mean position of its neighbours, as far as the items beside it leave room."""
        self.x = {item: (i + 0.5) * WIDTH_AT_FIRST / len(row) for row in self.rows for i, item in enumerate(row)}
        for _ in range(60):
            for row in self.rows:
                wanted = []
                for item in row:
                    near = [self.x[each] for each in self.above[item] + self.below[item]]
                    wanted.append(mean(near) if near else self.x[item])
                for item, x in zip(row, apart(row, wanted)):
                    self.x[item] = x

        moved = LEFT - min(self.x[item] - width_of(item) / 2 for item in self.x)
        self.x = {item: x + moved for item, x in self.x.items()}

    def width(self):
        return round(max(self.x[item] + width_of(item) / 2 for item in self.x)) + GAP

    def height(self):
        return len(self.rows) * ROW

    def y(self, item):
        row = next(number for number, row in enumerate(self.rows) if item in row)
        return self.height() - row * ROW - ROW // 2


def mean(values):
    return math.fsum(values) / len(values)  # before Python 3.12, sum() rounds differently, and the picture would depend on the version


def width_of(item):
    return BOX_WIDTH if isinstance(item, str) else WAY_WIDTH


def apart(row, wanted):
    """The wanted positions, moved so that the items of a row do not overlap."""
    half = [width_of(item) / 2 for item in row]
    room = [half[i - 1] + half[i] + GAP for i in range(1, len(row))]
    right, left = list(wanted), list(wanted)
    for i in range(1, len(row)):
        right[i] = max(right[i], right[i - 1] + room[i - 1])
    for i in range(len(row) - 2, -1, -1):
        left[i] = min(left[i], left[i + 1] - room[i])
    return [(a + b) / 2 for a, b in zip(left, right)]


# --- the picture -----------------------------------------------------------------------------------------------------------------
def number(value):
    return f"{value:.0f}"


def line_of(layout, path):
    x, y = number(layout.x[path[0]]), layout.y(path[0]) + BOX_HEIGHT // 2
    text = f"M{x} {y}"
    for item in path[1:]:
        x_before, x = x, number(layout.x[item])
        end = layout.y(item) - BOX_HEIGHT // 2
        bend = (y + end) // 2
        text += f"C{x_before} {bend} {x} {bend} {x} {end}"
        y = end + BOX_HEIGHT
        if item != path[-1]:
            text += f"V{y}"  # straight through the row
    return text


def picture(levels, uses):
    downward = {name: {used for used in uses[name] if levels[used] < levels[name]} for name in uses}
    layout = Layout(levels, without_implied(downward))
    width, height = layout.width(), layout.height()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="#24292f">',
        "<title>The modules by level, and what each uses</title>",
        "<!-- drawn by cmake/draw_layers.py from CMake's graph -->",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for level in range(len(layout.rows)):
        top = height - (level + 1) * ROW
        if level % 2 == 0:
            lines.append(f'<rect y="{top}" width="{width}" height="{ROW}" fill="#f6f8fa"/>')
        lines.append(f'<text x="14" y="{top + ROW // 2 + 5}" fill="#57606a">level {level}</text>')
    lines.append('<g fill="none" stroke="#57606a">')
    lines += [f'<path d="{line_of(layout, path)}" marker-end="url(#end)"/>' for path in layout.paths]
    lines.append("</g>")
    for one, another in sorted((name, used) for name in uses for used in uses[name] - downward[name]):  # exceptions
        ends = f'x1="{number(layout.x[one])}" y1="{layout.y(one)}" x2="{number(layout.x[another])}" y2="{layout.y(another)}"'
        lines.append(f'<line {ends} stroke="#c62828" stroke-dasharray="5 4"/>')
    for name in sorted(levels):
        x, y = layout.x[name], layout.y(name)
        lines.append(f'<rect x="{number(x - BOX_WIDTH / 2)}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#eef4fb" stroke="#1f5fa8"/>')
        lines.append(f'<text x="{number(x)}" y="{y + 5}" text-anchor="middle">{name}</text>')
    return "\n".join(lines + ["</svg>", ""])


# --- the check -------------------------------------------------------------------------------------------------------------------
def read_exceptions():
    text = EXCEPTIONS.read_text() if EXCEPTIONS.is_file() else ""
    return set(re.findall(r"^([\w-]+ -> [\w-]+) \| \S", text, re.M))


def wrong_dependencies(levels, uses):
    listed = read_exceptions()
    found = {f"{name} -> {used}" for name in uses for used in uses[name] if levels[used] >= levels[name]}
    yield from (f"{each}: does not lead to a lower level" for each in sorted(found - listed))
    yield from (f"cmake/exceptions.txt: {each} is no longer an exception: remove the line" for each in sorted(listed - found))


def wrong_table(levels):
    """Each row of the page's table names modules as `folder/`, or `router/folder`, in the row of their level."""
    told = {}
    for level, folders in re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE.read_text(), re.M):
        told |= {pathlib.PurePath(folder).name: int(level) for folder in re.findall(r"`([^`]+)`", folders)}
    told[PROGRAM] = told.pop("main.cpp", None)
    for name in sorted(levels):
        if told.get(name) != levels[name]:
            yield f"docs/architecture.md: {name} is of level {levels[name]}; the table says {told.get(name)}"


def main():
    build = ROOT / sys.argv[1]
    levels, uses = read_modules(build)
    drawn = picture(levels, uses)
    if sys.argv[2:] != ["--check"]:
        PICTURE.write_text(drawn)
        return 0
    wrong = [*wrong_dependencies(levels, uses), *wrong_table(levels)]
    if not PICTURE.is_file() or PICTURE.read_text() != drawn:
        wrong.append(f"docs/layers.svg is outdated: run cmake/draw_layers.py {sys.argv[1]}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
