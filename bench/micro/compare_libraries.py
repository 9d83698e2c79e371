#!/usr/bin/env python3
"""The rows of bench_micro in which the router's own code stands beside Asio's or Beast's, as ratios. See docs/performance.md.

  compare_libraries.py BENCH_MICRO [--rounds N] [--seconds S] [--rows REGEX] [--no-instructions]

A row's name is SUBJECT/WAY or SUBJECT/WAY/ARGUMENT; the router's ways begin with `router_`. A round runs every row once, so that a
ratio is that of neighbours in time. Time is the thread's CPU time for one thing (a frame, a byte that was waited for).
Instructions are those in user mode, counted by callgrind if there is a valgrind.
"""
import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

OWN = "router_"
# What the bytes cost alone, for these subjects: their rows have a second ratio, that of what waiting adds to it.
NOTHING = "WaitForByte/nothing"
WAITING = ("WaitForByte", "AwaitByteOrDeadline")
DEFAULT_ROWS = "/(router|asio|beast)_|/heap|/nothing"
INSTRUCTIONS_SECONDS = 0.05  # of callgrind's time


def run(command, rows, seconds, folder):
    """Every row once: {name: row of the benchmark's JSON}, in order."""
    out = pathlib.Path(folder) / "rows.json"
    subprocess.run([*command, f"--benchmark_filter={rows}", f"--benchmark_min_time={seconds}", f"--benchmark_out={out}",
                    "--benchmark_out_format=json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = {row["name"]: row for row in json.loads(out.read_text())["benchmarks"]}
    for name, row in found.items():
        if row.get("error_occurred"):
            sys.exit(f"{name}: {row['error_message']}")
    return {name: row for name, row in found.items() if "each" in row}


def instructions(binary, rows, folder):
    """{name: instructions of one thing}. Each run of a row's loop makes a dump that tells how many things it did; the last one of a
    row did as many as its line says."""
    dumps = pathlib.Path(folder) / "callgrind"
    command = [shutil.which("valgrind"), "--tool=callgrind", f"--callgrind-out-file={dumps}", binary]
    found = run(command, rows, INSTRUCTIONS_SECONDS, folder)
    made = iter(sorted(pathlib.Path(folder).glob("callgrind.*"), key=lambda path: int(path.suffix[1:])))
    counted = {}
    for name, row in found.items():
        things = round(row["iterations"] * row["each"])
        for path in made:
            text = path.read_text()
            if re.search(rf"^desc: Trigger: Client Request: {things}$", text, re.MULTILINE):
                counted[name] = int(re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)[1]) / things
                break
    return counted


def split(name):
    """(subject with its argument, way)"""
    parts = name.split("/")
    return "/".join([parts[0], *parts[2:]]), parts[1]


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3


def ratio(ours, theirs):
    """Ratio of the medians, and half the distance between the quartiles of what the single rounds say."""
    low, _, high = quartiles([one / other for one, other in zip(ours, theirs)])
    return f"{statistics.median(ours) / statistics.median(theirs):.2f} ±{(high - low) / 2:.2f}"


def above(times, name):
    """The times of a row without what its bytes cost alone."""
    argument = name.split("/")[2]
    return [max(one - alone, 1e-3) for one, alone in zip(times[name], times[f"{NOTHING}/{argument}"])]


def table(times, last, counted):
    own = {split(name)[0]: [] for name in times}
    for name in times:
        if split(name)[1].startswith(OWN):
            own[split(name)[0]].append(name)
    yield "| row | ns | allocations | instructions | router / this | waiting alone |"
    yield "|---|---|---|---|---|---|"
    for name, values in times.items():
        subject, way = split(name)
        ratios, waiting = [], []
        for ours in own[subject] if not way.startswith(OWN) and name.rsplit("/", 1)[0] != NOTHING else []:
            label = f" ({split(ours)[1]})" if len(own[subject]) > 1 else ""
            ratios.append(ratio(times[ours], values) + label)
            if name.split("/")[0] in WAITING and f"{NOTHING}/{name.split('/')[2]}" in times:
                waiting.append(ratio(above(times, ours), above(times, name)))
        count = f"{counted[name]:,.0f}" if name in counted else ""
        yield (f"| `{name}` | {statistics.median(values):,.1f} | {last[name]['allocations']:.2f} | {count} | {', '.join(ratios)} | "
               f"{', '.join(waiting)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.1, help="of CPU time for a row in a round")
    parser.add_argument("--rows", default=DEFAULT_ROWS)
    parser.add_argument("--no-instructions", action="store_true")
    options = parser.parse_args()
    times, last = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            last = run([options.binary], options.rows, options.seconds, folder)
            for name, row in last.items():
                times.setdefault(name, []).append(row["cpu_time"] / row["each"])
        counted = {}
        if not options.no_instructions and shutil.which("valgrind"):
            print("instructions", file=sys.stderr)
            counted = instructions(options.binary, options.rows, folder)
    print("\n".join(table(times, last, counted)))


if __name__ == "__main__":
    main()
