#!/usr/bin/env python3
"""Draws docs/path.svg, one request through the code, from the numbered steps of docs/life_of_a_request.md, and checks them.

    draw_path.py          writes docs/path.svg
    draw_path.py --check  refuses an outdated picture, a file that is not there, and a function that the file does not have

A step is `N. **Name** (`file`, `Class::function`)`: files below router/ without their ending. The picture shows for each step its
files, and on the left what the request holds from there on. Arrows on the right are the ways back.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/life_of_a_request.md"
PICTURE = ROOT / "docs/path.svg"

WIDTH, TOP, ROW, BOX_LEFT, BOX_WIDTH, BOX_HEIGHT = 900, 30, 46, 250, 470, 34
# What a request holds, from one step to another, as the bars on the left.
HELD = [("connection", "Accept", "Account"), ("view", "View", "Account"), ("waiter", "Queue", "Queue"),
        ("slot", "Queue", "Give the slot back"), ("pod's connection", "Open", "Give the slot back")]
BACK = [("Open", "Queue", "no connection: its old position"), ("Forward", "Open", "the connection had ended: once more")]


def read_steps():
    found = re.findall(r"^(\d+)\. \*\*([^*]+)\*\* ?(?:\(([^)]*)\))?", PAGE.read_text(), re.M)
    return [(int(number), name, re.findall(r"`([^`]+)`", sources)) for number, name, sources in found]


def mistakes(steps):
    for expected, (number, name, sources) in enumerate(steps, 1):
        if number != expected:
            yield f"step {number}, {name}: {expected} is expected"
        if not sources:
            yield f"step {number}, {name}: names no file"
        for source in sources:
            if "::" in source:
                owner, function = source.split("::")
                if not any(f"{owner}::{function}(" in path.read_text() for path in (ROOT / "router").rglob("*.cpp")):
                    yield f"step {number}, {name}: there is no function {source}"
            elif not any((ROOT / folder / f"{source}{end}").is_file() for folder in ("router", ".") for end in (".h", ".cpp")):
                yield f"step {number}, {name}: there is no file {source}"
    names = {name for _, name, _ in steps}
    for each in {name for _, *ends in HELD for name in ends} | {name for *ends, _ in BACK for name in ends}:
        if each not in names:
            yield f"cmake/draw_path.py: there is no step {each}"


def text(x, y, words, more=""):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x}" y="{y}"{more}>{words}</text>'


def draw(steps):
    at = {name: TOP + index * ROW for index, (_, name, _) in enumerate(steps)}
    height = TOP + len(steps) * ROW + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="#24292f">',
        "<title>One request through the code</title>", "<!-- drawn by cmake/draw_path.py from docs/life_of_a_request.md -->",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>', '<rect width="100%" height="100%" fill="white"/>',
        text(14, 18, "what the request holds", ' fill="#57606a"'), text(BOX_LEFT, 18, "step, and where it is in router/", ' fill="#57606a"')]
    for index, (what, first, last) in enumerate(HELD):
        x, top, bottom = 22 + index * 44, at[first], at[last] + BOX_HEIGHT
        lines.append(f'<rect x="{x}" y="{top}" width="22" height="{bottom - top}" rx="4" fill="#e7f3ec" stroke="#2f7d4f"/>')
        size = 11 if bottom - top > 8 * len(what) else 9
        lines.append(text(x + 15, bottom - 3, what, f' font-size="{size}" transform="rotate(-90 {x + 15} {bottom - 3})"'))
    for number, name, sources in steps:
        y = at[name]
        lines.append(f'<rect x="{BOX_LEFT}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#eef4fb" stroke="#1f5fa8"/>')
        lines.append(text(BOX_LEFT + 10, y + 22, f"{number}  {name}", ' font-weight="bold"'))
        lines.append(text(BOX_LEFT + BOX_WIDTH - 10, y + 21, ", ".join(sources), ' font-size="11" text-anchor="end" fill="#57606a"'))
        if number < len(steps):
            middle = BOX_LEFT + 60
            lines.append(f'<path d="M{middle} {y + BOX_HEIGHT}V{y + ROW}" stroke="#57606a" marker-end="url(#end)"/>')
    for index, (start, end, why) in enumerate(BACK):
        right, out = BOX_LEFT + BOX_WIDTH, BOX_LEFT + BOX_WIDTH + 26
        y, to = at[start] + 10, at[end] + BOX_HEIGHT - 8
        lines.append(f'<path d="M{right} {y}H{out}V{to}H{right + 2}" fill="none" stroke="#57606a" marker-end="url(#end)"/>')
        words = why.split(": ")
        lines += [text(out + 6, (y + to) // 2 - 2 + row * 14, part, ' font-size="11"') for row, part in enumerate(words)]
    return "\n".join(lines + ["</svg>", ""])


def main():
    steps = read_steps()
    wrong = list(mistakes(steps))
    if not wrong and sys.argv[1:] != ["--check"]:
        PICTURE.write_text(draw(steps))
    elif not wrong and (not PICTURE.is_file() or PICTURE.read_text() != draw(steps)):
        wrong = ["docs/path.svg is outdated: run cmake/draw_path.py"]
    for each in wrong:
        print(f"docs/life_of_a_request.md: {each}" if each.startswith("step") else each, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
