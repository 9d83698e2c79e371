#!/usr/bin/env python3
"""The table, the gate and the picture of docs/autoscaling.md from the lines of bench_scaling.

    report.py FIGURES.csv [--page docs/autoscaling.md] [--picture docs/autoscaling.svg]

A cell is a trace, a number of slots, a start of pods, and a bound of refused requests. Of each rule it has the least pod-seconds at any target with
which no more were refused. The gate: over all cells, the geometric mean of ours divided by the best peer's is at most 1. Exit status 1 if not.
"""
import argparse
import collections
import csv
import html
import math
import pathlib
import sys

BOUNDS = {"conv": (0.005, 0.01, 0.02), "code": (0.05, 0.10, 0.20), "synthetic": (0.01, 0.03, 0.06)}
PEERS = ("azureml", "kpa", "hpa")
WORST = 1.25
BEGIN, END = "<!-- figures: begin (bench/scaling/report.py) -->", "<!-- figures: end -->"


def read_cells(file):
    """{(trace, slots, start, bound): {rule: least pod-seconds}}; a rule that keeps the bound at no target is missing."""
    cells = collections.defaultdict(dict)
    for line in csv.DictReader(file):
        for bound in BOUNDS[line["trace"]]:
            cell = cells[line["trace"], int(line["slots"]), float(line["start"]), bound]
            if float(line["refused"]) <= bound:
                cell[line["rule"]] = min(cell.get(line["rule"], math.inf), float(line["pod_seconds"]))
    return dict(cells)


def best_peer(cell):
    return min((cell[rule] for rule in PEERS if rule in cell), default=None)


def mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def ratio(cell, peer=None):
    """Ours divided by a peer's, or by the best one's. None if either cannot keep the bound."""
    other = best_peer(cell) if peer is None else cell.get(peer)
    return cell["ours"] / other if other and "ours" in cell else None


def ratios(cells, peer=None):
    return [found for found in (ratio(cell, peer) for cell in cells) if found is not None]


def number(value):
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def name(key):
    trace, slots, start, bound = key
    return f"{trace}, {slots} slots, start {start:g} s, {bound:.1%} refused".replace(".0%", "%").replace("%", " %")


def rows(cells):
    """One for each trace and start, over slots and bounds; pod-seconds in thousands, geometric means where all rules keep the bound."""
    lines = ["| trace | start of a pod | ours / best peer | ours / azureml | ours / KPA | ours / HPA | only ours | only a peer |", "|---|---|---|---|---|---|---|---|"]
    for trace in BOUNDS:
        for start in sorted({key[2] for key in cells}):
            part = [cell for key, cell in cells.items() if key[0] == trace and key[2] == start]
            means = " | ".join(number(mean(ratios(part, peer))) for peer in (None, *PEERS))
            alone = sum("ours" in cell and best_peer(cell) is None for cell in part)
            lost = sum("ours" not in cell and best_peer(cell) is not None for cell in part)
            lines.append(f"| {trace} | {start:g} s | {means} | {alone or ''} | {lost or ''} |")
    return lines


def summary(cells):
    found = ratios(cells.values())
    kept = {rule: sum(rule in cell for cell in cells.values()) for rule in ("ours", *PEERS)}
    lines = [
        f"Over all {len(found)} cells in which ours and a peer keep the bound: geometric mean of ours / best peer **{mean(found):.3f}**; "
        + ", ".join(f"/ {peer} {mean(ratios(cells.values(), peer)):.3f}" for peer in PEERS) + ".",
        f"Bounds kept, of {len(cells)}: " + ", ".join(f"{rule} {count}" for rule, count in kept.items()) + ".",
    ]
    worse = sorted(((ratio(cell), key) for key, cell in cells.items() if (ratio(cell) or 0) > WORST), reverse=True)
    lines.append(f"Cells over {WORST}: " + ("; ".join(f"{name(key)}: {value:.2f}" for value, key in worse) or "none") + ".")
    lost = [name(key) for key, cell in cells.items() if "ours" not in cell and best_peer(cell) is not None]
    lines.append("Bounds that only a peer keeps: " + ("; ".join(lost) or "none") + ".")
    above = [f"{name(key)}: {ratio(cell, 'azureml'):.2f}" for key, cell in cells.items() if (ratio(cell, "azureml") or 0) > 1]
    both = len(ratios(cells.values(), "azureml"))
    lines.append(f"Cells above azureml's rule, of {both} in which both keep the bound: {len(above)}: " + ("; ".join(above) or "none") + ".")
    return lines


def write_page(page, lines):
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


# --- the picture ---------------------------------------------------------------------------------------------------------------
COLOURS = {"azureml": "#8cb369", "kpa": "#e0a458", "hpa": "#b07aa1", "ours": "#1f5fa8"}
LABELS = {"azureml": "azureml-fe's rule", "kpa": "KPA", "hpa": "HPA", "ours": "ours"}
WIDTH, LEFT, RIGHT, ROW, BAR = 760, 190, 60, 58, 10


def text(x, y, words, size=12, anchor="start", weight="normal"):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">{html.escape(words)}</text>'


def groups(cells):
    """(label, {rule: geometric mean of its pod-seconds divided by the best of all}) for each trace and start, where a rule keeps the bound."""
    for trace in BOUNDS:
        for start in sorted({key[2] for key in cells}):
            part = [cell for key, cell in cells.items() if key[0] == trace and key[2] == start]
            values = {rule: mean(cell[rule] / min(cell.values()) for cell in part if rule in cell) for rule in COLOURS}
            yield f"{trace}, pods start in {start:g} s", {rule: value for rule, value in values.items() if not math.isnan(value)}


def picture(cells):
    parts, y = [text(10, 22, "Pod-seconds for the same share of refused requests (1 = the cheapest rule)", 15, weight="bold")], 40
    for place, rule in enumerate(COLOURS):
        parts.append(f'<rect x="{10 + 150 * place}" y="{y}" width="11" height="11" fill="{COLOURS[rule]}"/>' + text(26 + 150 * place, y + 10, LABELS[rule]))
    y += 26
    for label, values in groups(cells):
        parts.append(text(LEFT - 8, y + 24, label, anchor="end"))
        for place, (rule, value) in enumerate(values.items()):
            top, length = y + place * (BAR + 2), (WIDTH - LEFT - RIGHT) * min(value, 3) / 3
            parts.append(f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[rule]}"/>' + text(LEFT + length + 5, top + 9, f"{value:.2f}", 10))
        y += ROW
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y + 10}" fill="#ffffff"/>', *parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", type=pathlib.Path)
    parser.add_argument("--page", type=pathlib.Path)
    parser.add_argument("--picture", type=pathlib.Path)
    options = parser.parse_args()
    with options.figures.open() as file:
        cells = read_cells(file)
    said = summary(cells)
    print("\n".join([*rows(cells), "", *said]))
    if options.page:
        write_page(options.page, [*rows(cells), "", *(f"- {line}" for line in said)])
    if options.picture:
        options.picture.write_text(picture(cells))
    return 0 if mean(ratios(cells.values())) <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
