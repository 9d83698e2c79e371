"""Draws the dashboard: each panel at its `gridPos`, from Prometheus' answers to the panel's own queries.
The program writes the SVG itself, without Grafana."""

import html
import math
import re
import time
from dataclasses import dataclass

COLUMN, ROW, GAP = 60, 28, 4  # pixels: size of a cell of Grafana's grid of 24 columns, and the gap between panels
HEADER = 46
COLOURS = ["#1f78b4", "#e6842a", "#3a9b4b", "#c5383f", "#7b5ea7", "#8a5a44", "#d66fb0", "#6f7681", "#a8a92b", "#28a9b8"]
BUSY = {"red": "#c5383f", "orange": "#d9822b", "green": "#2c8a41"}
LEGEND_LINE, LEGEND_LINES = 14, 3  # pixels; and the maximum number of lines below a graph


def text(x, y, words, size=11, anchor="start", weight="normal", fill="#24292f"):
    return (f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f'{html.escape(str(words))}</text>')


def cut(words, width, size=11):
    """Shortens `words` to `width` pixels."""
    most = max(4, int(width / (size * 0.6)))
    if len(words) <= most:
        return words
    return "…" + words[1 - most:] if words.startswith("/") else words[:most - 1] + "…"  # the end of a path says more than its beginning


def three_digits(value):
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def shown(value, unit):
    """The value roughly as Grafana would write it."""
    if not math.isfinite(value):
        return ""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        size = abs(value)
        for factor, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
            if size >= factor:
                return f"{three_digits(value / factor)} {name}"
        return f"{three_digits(value * 1e6)} µs" if size else "0 s"
    if unit == "Bps":
        for factor, name in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s")):
            if abs(value) >= factor:
                return f"{three_digits(value / factor)} {name}"
        return f"{three_digits(value)} B/s"
    if unit == "bytes":
        for factor, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= factor:
                return f"{three_digits(value / factor)} {name}"
        return f"{three_digits(value)} B"
    return three_digits(value) + {"reqps": " /s", "cps": " /s"}.get(unit, "")


def named(legend, labels):
    if legend == "__auto":
        return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or "value"
    filled = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], "-"), legend)
    return "(none)" if filled == "-/-" else filled


def ticks(most, unit):
    """At most five round numbers from 0 on, the last one not below `most`."""
    if most <= 0:
        return [0, 1]
    whole = 86400 if unit == "s" and most > 2 * 86400 else 1  # whole days
    step = 10 ** math.floor(math.log10(most / whole / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step * 4 >= most / whole * 0.999)
    count = math.ceil(most / whole / step - 0.001)
    return [step * number * whole for number in range(count + 1)]


@dataclass
class Box:
    x: float
    y: float
    width: float
    height: float


def box_of(panel):
    place = panel.described["gridPos"]
    return Box(place["x"] * COLUMN + GAP, HEADER + place["y"] * ROW + GAP, place["w"] * COLUMN - 2 * GAP, place["h"] * ROW - 2 * GAP)


def frame(box, title):
    return [f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" fill="white" stroke="#d0d7de"/>',
            text(box.x + 8, box.y + 17, cut(title, box.width - 16, 12), 12, weight="bold")]


def step_colour(thresholds, value):
    colour = "green"
    for step in thresholds["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return BUSY.get(colour, colour)


class Picture:
    def __init__(self, dashboard, prometheus, begun, ended):
        self._dashboard, self._prometheus = dashboard, prometheus
        self._begun, self._ended = begun, ended

    def _series(self, panel):
        """(name, [(time, value), …]) of all queries of the panel, in its order, without values that are not finite."""
        found = []
        for query in panel.queries:
            for labels, values in self._prometheus.over(query.expression, self._begun, self._ended):
                values = [(at, value) for at, value in values if math.isfinite(value)]
                if values:
                    found.append((named(query.legend, labels), values))
        return found

    def draw(self):
        parts, bottom = [], 0
        for panel in self._dashboard.panels:
            box = box_of(panel)
            bottom = max(bottom, box.y + box.height)
            parts += getattr(self, "_" + panel.kind)(panel, box)
        width, height = 24 * COLUMN, bottom + 10
        title = (f"Every panel of charts/inference-router/dashboards/inference-router.json, {self._ended - self._begun:.0f} s of two "
                 f"routers under load, scraped every {self._prometheus.interval} s")
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" '
                f'font-family="DejaVu Sans, Verdana, sans-serif">\n<rect width="100%" height="100%" fill="#f6f8fa"/>\n'
                + text(8, 20, "Inference router", 16, weight="bold") + "\n" + text(8, 38, title, 11, fill="#57606a") + "\n"
                + "\n".join(parts) + "\n</svg>\n")

    # One method for each kind of panel.
    def _row(self, panel, box):
        return [text(box.x, box.y + 16, panel.title, 14, weight="bold")]

    def _stat(self, panel, box):
        parts = frame(box, panel.title)
        defaults = panel.described["fieldConfig"]["defaults"]
        series = self._series(panel)
        if not series:
            return parts + [text(box.x + box.width / 2, box.y + box.height / 2 + 12, "no data", 12, "middle", fill="#8c959f")]
        value = series[0][1][-1][1]
        words = shown(value, defaults["unit"])
        for mapping in defaults.get("mappings", []):
            words = mapping["options"].get(f"{value:g}", {"text": words})["text"]
        colour = step_colour(defaults["thresholds"], value)
        return parts + [text(box.x + box.width / 2, box.y + box.height / 2 + 18, words, 24, "middle", "bold", colour)]

    def _table(self, panel, box):
        parts, rows = frame(box, panel.title), {}
        units = {one["matcher"]["options"]: one["properties"][0]["value"] for one in panel.described["fieldConfig"]["overrides"]}
        columns = [query.legend for query in panel.queries]
        for query in panel.queries:
            for labels, value in self._prometheus.now(query.expression):
                rows.setdefault((labels.get("endpoint", ""), labels.get("deployment", "")), {})[query.legend] = value
        width = box.width / (len(columns) + 2)
        y = box.y + 40
        for number, name in enumerate(["Endpoint", "Deployment", *columns]):
            parts.append(text(box.x + 8 + number * width, y, name, 11, weight="bold", fill="#57606a"))
        ordered = sorted(rows.items(), key=lambda row: -row[1].get(columns[0], 0))
        for (endpoint, deployment), values in ordered[:int((box.height - 50) / 22)]:
            y += 22
            parts.append(f'<line x1="{box.x + 8}" x2="{box.x + box.width - 8}" y1="{y - 15}" y2="{y - 15}" stroke="#eaeef2"/>')
            cells = [endpoint, deployment, *(shown(values[name], units[name]) if name in values else "" for name in columns)]
            parts += [text(box.x + 8 + number * width, y, words) for number, words in enumerate(cells) if words]
        return parts

    def _timeseries(self, panel, box):
        parts, series = frame(box, panel.title), self._series(panel)
        if not series:
            needs = any(query.needs_cluster or query.needs_autoscaler for query in panel.queries)
            why = "only with the section `kubernetes`" if needs else "no data"
            return parts + [text(box.x + box.width / 2, box.y + box.height / 2, why, 12, "middle", fill="#8c959f")]
        defaults = panel.described["fieldConfig"]["defaults"]
        stacked = defaults["custom"]["stacking"]["mode"] == "normal"
        legend, lines = self._legend(series, box)
        inner = Box(box.x + 62, box.y + 28, box.width - 74, box.height - 28 - 22 - lines * LEGEND_LINE - 4)
        layers = self._layers(series) if stacked else [(None, values) for _, values in series]
        levels = ticks(max(value for _, values in layers for _, value in values), defaults["unit"])
        self._axes(parts, inner, levels, defaults["unit"])
        for number, (below, values) in enumerate(layers):
            parts.append(self._line(inner, levels[-1], values, below, COLOURS[number % len(COLOURS)]))
        return parts + legend

    def _layers(self, series):
        """The lower and the upper edge of each series of a stack."""
        times = sorted({at for _, values in series for at, _ in values})
        edge, layers = {at: 0.0 for at in times}, []
        for _, values in series:
            known = dict(values)
            upper = {at: edge[at] + known.get(at, 0.0) for at in times}
            layers.append((sorted(edge.items()), sorted(upper.items())))
            edge = upper
        return layers

    def _legend(self, series, box):
        """Draws the legend below the graph, and returns its number of lines."""
        parts, x, line, places = [], box.x + 10, 0, []
        for number, (name, _) in enumerate(series):
            name = cut(name, box.width - 40, 10)
            width = 26 + len(name) * 6.1
            if x + width > box.x + box.width and x > box.x + 10:
                line, x = line + 1, box.x + 10
            if line == LEGEND_LINES:
                break
            places.append((x, line, name, COLOURS[number % len(COLOURS)]))
            x += width
        lines = places[-1][1] + 1
        top = box.y + box.height - 4 - lines * LEGEND_LINE
        for x, line, name, colour in places:
            y = top + line * LEGEND_LINE
            parts.append(f'<rect x="{x:.0f}" y="{y + 3:.0f}" width="10" height="4" fill="{colour}"/>' + text(x + 14, y + 9, name, 10))
        return parts, lines

    def _x(self, inner, at):
        return inner.x + (at - self._begun) / (self._ended - self._begun) * inner.width

    def _axes(self, parts, inner, levels, unit):
        for level in levels:
            y = inner.y + inner.height * (1 - level / levels[-1])
            parts.append(f'<line x1="{inner.x:.0f}" x2="{inner.x + inner.width:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eaeef2"/>'
                         + text(inner.x - 5, y + 4, shown(level, unit), 10, "end", fill="#57606a"))
        length = self._ended - self._begun
        step = next(one for one in (2, 5, 10, 30, 60, 120, 300, 600, 3600) if length / one <= 6)
        for number in range(int(length / step) + 1):
            at = self._begun + number * step
            x = self._x(inner, at)
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{inner.y:.0f}" y2="{inner.y + inner.height:.0f}" stroke="#f3f5f7"/>'
                         + text(x, inner.y + inner.height + 13, f"{number * step // 60}:{number * step % 60:02}", 10, "middle", fill="#57606a"))

    def _line(self, inner, most, values, below, colour):
        def point(at, value):
            return f"{self._x(inner, at):.1f},{inner.y + inner.height * (1 - value / most):.1f}"
        if below is None:
            points = " ".join(point(*one) for one in values)
            return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>'
        area = [point(*one) for one in values] + [point(*one) for one in reversed(below)]
        return f'<polygon points="{" ".join(area)}" fill="{colour}" fill-opacity="0.6"/>'


def draw(dashboard, prometheus, begun, ended=None):
    """The SVG of all panels, from `begun` to `ended` (as time.time(); default: now)."""
    return Picture(dashboard, prometheus, begun, ended or time.time()).draw()
