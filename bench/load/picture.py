"""Pictures of the figures: groups of bars, as SVG."""
import html

from proxies import NAMES

COLOURS = {"router": "#1f5fa8", "nginx": "#8cb369", "haproxy": "#e0a458", "envoy": "#b07aa1", "ideal": "#555555"}
WIDTH, BAR_HEIGHT, GAP, LEFT, RIGHT = 760, 13, 12, 250, 60


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">{html.escape(words)}</text>'


def bars(title, unit, groups, names, note):
    """`groups`: (label, {name: value}). Each group has its own scale, on which its longest bar is full, since they differ by orders."""
    parts, y = [text(10, 22, title, size=15, weight="bold")], 40
    for number, name in enumerate(names):
        parts.append(f'<rect x="{10 + 100 * number}" y="{y}" width="11" height="11" fill="{COLOURS[name]}"/>' + text(26 + 100 * number, y + 10, name))
    y += 30
    for label, values in groups:
        longest = max(values.values(), default=0) or 1
        parts.append(text(LEFT - 10, y + BAR_HEIGHT, label, anchor="end"))
        for name in (name for name in names if name in values):
            width = max(1.0, values[name] / longest * (WIDTH - LEFT - RIGHT))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT - 2}" fill="{COLOURS[name]}"/>'
                         + text(round(LEFT + width + 5, 1), y + 10, f"{values[name]:.4g}", size=11))
            y += BAR_HEIGHT
        y += GAP
    parts.append(text(10, y + 6, f"{unit}. {note}", size=11))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 20}" viewBox="0 0 {WIDTH} {y + 20}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def cpu(rows, label, note):
    groups = [(label(row), {name: row[name] for name in NAMES if name in row}) for row in rows if row["metric"] == "cpu_us_per_request"]
    return bars("Processor time of one request", "Microseconds, less is better", groups, NAMES, note) if groups else None


def waiting(rows, note):
    names = (*NAMES, "ideal")
    groups = [(f"{row['distribution']}, {row['utilisation']:.0%} busy", {name: row[name] for name in names if name in row})
              for row in rows if row["metric"] == "mean_wait_ms"]
    return bars("Waiting for a free replica", "Milliseconds on average, less is better", groups, names, note) if groups else None
