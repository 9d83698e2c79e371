"""Makes rows from rounds, and prints the table and the goals."""
import statistics

from proxies import NAMES, PEERS

METRICS = {  # metric of a row: title in the table, digits, and whether less is better
    "cpu_us_per_request": ("CPU a request, us", 1, True),
    "requests_per_second": ("requests a second", 0, False),
    "latency_p50_us": ("latency at a fixed rate, us, p50", 0, True),
    "latency_p99_us": ("latency at a fixed rate, us, p99", 0, True),
    "latency_p999_us": ("latency at a fixed rate, us, p99.9", 0, True),
    "cpu_us_per_handshake": ("CPU a TLS handshake, us", 0, True),
    "handshakes_per_second": ("handshakes a second", 0, False),
    "bytes_per_idle_tls_connection": ("memory of an idle TLS connection, bytes", 0, True),
    "syscalls_per_request": ("system calls a request", 2, True),
    "ready_after_ms": ("from start to ready, ms", 0, True),
    "exchanges_over_1_ms": ("exchanges with more than 1 ms in the router, while it is scraped", 0, True),
}
COLUMNS = NAMES + ("direct",)
DIRECT_COSTS_NOTHING = {"cpu_us_per_request", "cpu_us_per_handshake"}


def half_range(values):
    return (max(values) - min(values)) / 2


def relative(rounds):
    """The ratio of two contenders, median to median, and half the range of the ratios of the single rounds."""
    ours, theirs = rounds
    ratio = statistics.median(ours) / statistics.median(theirs)
    return ratio, half_range([one / other for one, other in zip(ours, theirs)])


def make_row(case, metric, rounds):
    """`rounds`: the figures of each contender in all rounds. The ratio is to the best peer (by its median)."""
    rounds = {name: values for name, values in rounds.items() if values and not (name == "direct" and metric in DIRECT_COSTS_NOTHING)}
    median = {name: statistics.median(values) for name, values in rounds.items()}
    row = case.facts() | {"metric": metric} | {name: round(value, 3) for name, value in median.items()}
    added = metric.startswith("latency") and "direct" in median
    peers = [name for name in PEERS if name in median]
    if "router" in median and peers:
        best = (min if METRICS[metric][2] else max)(peers, key=median.get)
        ours, theirs = rounds["router"], rounds[best]
        if added and median[best] > median["direct"] and median["router"] > median["direct"]:
            # What the proxy adds to the latency of the same requests when they are sent straight to the replica.
            ours, theirs = ([value - median["direct"] for value in values] for values in (ours, theirs))
        row["best"] = best
        ratio, spread = relative((ours, theirs))
        row["ratio"], row["spread"] = round(ratio, 3), round(spread, 3)
    if "router_one" in median:
        ratio, spread = relative((rounds["router"], rounds["router_one"]))
        row["own_ratio"], row["own_spread"] = round(ratio, 3), round(spread, 3)
    row["rounds"] = {name: [round(value, 3) for value in values] for name, values in rounds.items()}
    return row


def label(row):
    if "certificate" in row:
        return f"{row['certificate']}, {'resumed' if row['resumed'] else 'full'}"
    words = [row["workload"], row["transport"]] + ([str(row["connections"])] if row["connections"] else [])
    if row["endpoints"] > 1:
        words.append(f"{row['endpoints']} endpoints")
    if row["logging"] == "on":
        words.append("logs")
    return ", ".join(words)


def print_table(rows):
    print(f"\n{'':36}" + "".join(f"{name:>10}" for name in COLUMNS) + f"{'/best':>8}  spread")
    for metric, (title, digits, _) in METRICS.items():
        found = [row for row in rows if row["metric"] == metric]
        if not found:
            continue
        print(title)
        for row in found:
            cells = "".join(f"{row[name]:>10.{digits}f}" if name in row else f"{'-':>10}" for name in COLUMNS)
            ratio = f"{row['ratio']:>8.2f}  ±{row['spread']:.2f}  ({row['best']})" if "ratio" in row else f"{'-':>8}"
            print(f"  {label(row):34}{cells}{ratio}")
            if "unscraped" in row:
                print(f"  {'  without scrapes':34}{row['unscraped']:>10.0f}")
            if "own_ratio" in row:
                print(f"  {'  the router with one endpoint':34}{row['router_one']:>10.{digits}f}{'':40}{row['own_ratio']:>8.2f}  ±{row['own_spread']:.2f}")


# --- goals -----------------------------------------------------------------------------------------------------------------------
class Goal:
    """A bound on the value `key` of one row, which has the facts `where` and the metric `metric`."""

    def __init__(self, text, bound, metric, key="ratio", **where):
        self.text, self.bound, self.metric, self.key, self.where = text, bound, metric, key, where

    def find(self, rows):
        """The worst of the rows that the goal is about."""
        found = [row for row in rows if row["metric"] == self.metric and self.key in row
                 and all(row.get(name) == value for name, value in self.where.items())]
        return max(found, key=lambda row: row[self.key], default=None)


GOALS = [
    *[Goal(f"CPU a request, 1 KB POST, {transport}, {words}", bound, "cpu_us_per_request", workload="post-1k", transport=transport,
           logging=logging, endpoints=1, connections=32)
      for transport in ("plaintext", "tls") for words, logging, bound in (("like for like", "off", 0.85), ("everything on", "on", 0.95))],
    *[Goal(f"CPU a request, {words}, {transport}", 0.95, "cpu_us_per_request", workload=workload, transport=transport)
      for words, workload in (("100 KB POST", "post-100k"), ("1 MB answer", "answer-1m")) for transport in ("plaintext", "tls")],
    Goal("CPU a full ECDSA handshake", 1.00, "cpu_us_per_handshake", certificate="ecdsa", resumed=False),
    Goal("CPU a resumed handshake", 1.00, "cpu_us_per_handshake", certificate="ecdsa", resumed=True),
    Goal("added latency p50, TLS", 1.00, "latency_p50_us", transport="tls"),
    Goal("added latency p99, TLS", 1.00, "latency_p99_us", transport="tls"),
    Goal("memory of an idle TLS connection", 1.00, "bytes_per_idle_tls_connection"),
    Goal("  in bytes", 16384, "bytes_per_idle_tls_connection", key="router"),
    Goal("CPU at 200 endpoints over 1", 1.05, "cpu_us_per_request", key="own_ratio", endpoints=200),
    Goal("ready with 200 endpoints, ms", 200, "ready_after_ms", key="router"),
    Goal("exchanges delayed by 1 ms by scrapes of 1000 endpoints", 0, "exchanges_over_1_ms", key="router"),
    Goal("waiting p99 over the ideal, log-normal, 80 % busy", 1.05, "p99_wait_ms", key="ideal_ratio", distribution="log-normal",
         utilisation=0.8),
]
SPREAD_MAX = 0.25  # with more, a run says nothing about the goal
SPREADS = {"ratio": "spread", "own_ratio": "own_spread", "ideal_ratio": "ideal_spread"}


def print_goals(rows):
    """A goal is met if its bound is above the ratio, or within the spread below it; the output says so in the second case."""
    print(f"\n{'goal':52}{'bound':>8}{'measured':>10}{'spread':>8}")
    for goal in GOALS:
        row = goal.find(rows)
        if row is None:
            print(f"{goal.text:52}{goal.bound:>8}{'-':>10}{'-':>8}  not measured in this run")
            continue
        value, spread = row[goal.key], row.get(SPREADS.get(goal.key), 0)
        if spread > SPREAD_MAX:
            verdict = "cannot tell: the rounds differ too much"
        else:
            verdict = "pass" if value <= goal.bound else "pass, by the spread" if value - spread <= goal.bound else "NOT met"
        print(f"{goal.text:52}{goal.bound:>8}{value:>10.{2 if goal.bound < 100 else 0}f}{spread:>8.2f}  {verdict}")
