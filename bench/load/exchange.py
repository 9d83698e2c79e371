#!/usr/bin/env python3
"""The exact cost of one exchange: system calls, allocations and instructions of the shard for a 1 KB POST. See docs/performance.md.

  exchange.py ROUTER_BINARY BUILD_DIR [--against BINARY] [--exchanges N] [--rounds N] [--figures A B] [--cases A B]

BUILD_DIR is a build with ROUTER_BENCH=ON: it holds the library that counts allocations, and exchange.json is written there. The exit
status is 1 if a figure is more than 1 % above that of the other binary.
"""
import argparse
import contextlib
import dataclasses
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys

import system_calls
from checks import require
from lockstep import Lockstep, Renewed, Replica, Shard
from proxies import Proxy, find, make_certificates
from report import half_range

RATIO_MAX = 1.01  # to the cost before
TRACE = 0.01      # of a call or an allocation: what happens once in many exchanges does not count
FIGURES = {"calls": ("system calls", 3), "allocations": ("allocations", 3), "instructions": ("instructions (callgrind)", 0),
           "counters": ("instructions (counters of the processor)", 0)}
ATTEMPTS = 5
KEY = "key-of-the-benchmark-that-counts"


@dataclasses.dataclass(frozen=True)
class Case:
    transport: str
    slots: int  # of the replica; 0: no limit
    logging: str = "off"

    def __str__(self):
        words = [self.transport, f"{self.slots} slot" if self.slots else "no limit"]
        return ", ".join(words + (["logs"] if self.logging == "on" else []))

    @property
    def name(self):
        return f"{self.transport}-{self.slots}{'-logs' if self.logging == 'on' else ''}"


CASES = {case.name: case for case in [*(Case(transport, slots) for transport in ("plaintext", "tls") for slots in (1, 0)),
                                      *(Case(transport, 1, "on") for transport in ("plaintext", "tls"))]}


class Allocations:
    """The number of a thread's heap allocations so far (tests/support/count_allocations.cpp)."""

    def __init__(self, file, thread):
        self.thread = thread
        with file.open("rb") as opened:
            self.table = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)

    def __call__(self):
        return dict(struct.iter_unpack("=QQ", self.table[:])).get(self.thread, 0)


class Callgrind:
    """The number of instructions that a thread under valgrind has executed since the last call."""

    def __init__(self, pid, folder, number):
        self.pid, self.folder, self.number, self.asked = pid, folder, number, 0

    def __call__(self):
        self.asked += 1
        subprocess.run([find("callgrind_control"), "-d", str(self.pid)], check=True, capture_output=True, timeout=60)
        dump = self.folder / f"callgrind.{self.asked}-{self.number:02}"
        return int(re.search(r"^totals: (\d+)$", dump.read_text(), re.MULTILINE)[1])


class Bench:
    """Routers in front of one replica, each in a folder of its own."""

    def __init__(self, options):
        self.options = options
        self.folder = options.build.resolve() / "exchange"
        self.library = options.build.resolve() / "libcount_allocations.so"
        require(self.library.exists(), f"{self.library} is not built")
        self.replica = Replica()
        self.started = 0
        self.has_counters = system_calls.instructions(os.getpid(), lambda: None) is not None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        make_certificates(self.folder)

    @contextlib.contextmanager
    def router(self, binary, case, under=(), environment=()):
        """Yields the router's folder, its process, its shard and the exchanges with it."""
        self.started += 1
        folder = self.folder / f"{self.started:02}-{case.name}"
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        with contextlib.ExitStack() as stack:
            proxy = Proxy("router", binary, folder, cores, KEY, [[self.replica.port]], case.logging, case.slots, self.folder, under=under,
                          env=os.environ | dict(environment))
            stack.callback(proxy.stop)
            shard = Shard(proxy.popen.pid)
            stack.callback(shard.close)
            lockstep = Lockstep(shard, self.replica, proxy, KEY, case.transport == "tls", case.slots)
            stack.callback(lockstep.close)
            yield folder, proxy, shard, lockstep

    def of_one(self, measure):
        """The cost of one exchange. `measure(exchanges)` returns the cost of so many, which includes the cost of measuring: the difference of
        two batches is without it."""
        number = self.options.exchanges
        once, twice = self.undisturbed(measure, number), self.undisturbed(measure, 2 * number)
        return {key: (twice[key] - once.get(key, 0)) / number for key in twice}

    @staticmethod
    def undisturbed(measure, exchanges):
        for _ in range(ATTEMPTS):
            with contextlib.suppress(Renewed):
                return measure(exchanges)
        raise SystemExit(f"FAILED: the machine pauses too often for {exchanges} exchanges")

    def natively(self, binary, case):
        """One round of the figures that need no valgrind."""
        environment = {"LD_PRELOAD": str(self.library), "ALLOCATIONS_FILE": "allocations"}
        with self.router(binary, case, environment=environment) as (folder, _, shard, lockstep):
            allocations = Allocations(folder / "allocations", shard.thread)

            def measure(exchanges):
                found = {"allocations": -allocations()}
                counted = system_calls.count([shard.thread], lambda: lockstep.run(exchanges) or 1, threads=True)
                found["allocations"] += allocations()
                require(counted, "neither perf nor strace may count here")
                if self.has_counters:
                    found["counters"] = system_calls.instructions(shard.thread, lambda: lockstep.run(exchanges))
                self.tool, calls = counted
                return found | {"calls": sum(calls.values())} | {f"call {name}": calls for name, calls in calls.items()}

            return self.of_one(measure)

    def under_callgrind(self, binary, case):
        under = [find("valgrind"), "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=callgrind"]
        with self.router(binary, case, under) as (folder, proxy, shard, lockstep):
            count = Callgrind(proxy.popen.pid, folder, shard.number)

            def measure(exchanges):
                count()  # discards what came before
                lockstep.run(exchanges)
                return {"instructions": count()}

            return self.of_one(measure)

    def rounds(self, binary, case):
        """For each figure the results of all rounds. Each round has routers of its own."""
        found = {}
        for number in range(self.options.rounds):
            got = {}
            if {"calls", "allocations"} & set(self.options.figures):
                got |= self.natively(binary, case)
            if "instructions" in self.options.figures:
                got |= self.under_callgrind(binary, case)
            for key, value in got.items():
                found.setdefault(key, []).append(value)
            shown = "  ".join(f"{figure} {got[figure]:.3f}" for figure in FIGURES if figure in got)
            print(f"{case}, round {number + 1}: {binary}: {shown}", file=sys.stderr)
        return found


def is_more(ours, theirs):
    return statistics.median(ours) > statistics.median(theirs) * RATIO_MAX + TRACE


def spread(rounds):
    return max(half_range(values) / max(statistics.median(values), TRACE) for values in rounds)


def print_figure(figure, rows):
    """Prints a line for each case. True if one of them costs more than with the other binary."""
    title, digits = FIGURES[figure]
    more = False
    print(title)
    for case, rounds in rows.items():
        found = [values[figure] for values in rounds.values()]
        medians = [statistics.median(values) for values in found]
        line = f"  {case:28}" + "".join(f"{max(value, 0):>12.{digits}f}" for value in medians)  # none, not -0.000
        if len(found) == 2:
            worse = is_more(*found)
            more |= worse
            line += f"{medians[0] / medians[1]:>9.3f}" if medians[1] > TRACE else f"{'-':>9}"
        print(line + f"  ±{spread(found):.3f}" + (f"  {'MORE' if worse else 'pass'}" if len(found) == 2 else ""))
    return more


def print_calls(rows):
    for case, rounds in rows.items():
        for name, values in rounds.items():
            calls = {key.removeprefix("call "): statistics.median(counts) for key, counts in values.items() if key.startswith("call ")}
            common = sorted(((count, call) for call, count in calls.items() if count >= TRACE), reverse=True)
            print(f"  {case:28}{name:>8}: " + ", ".join(f"{call} {count:.2f}" for count, call in common))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path, help="the binary before the change (`./dev bench --exchange` takes a commit, too)")
    parser.add_argument("--exchanges", type=int, default=500, help="number of exchanges of a batch; it is compared with one twice as large")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--figures", nargs="+", choices=("calls", "allocations", "instructions"), default=("calls", "allocations", "instructions"))
    parser.add_argument("--cases", nargs="+", choices=tuple(CASES), default=tuple(CASES))
    found = parser.parse_args()
    if found.exchanges < 10 or found.rounds < 1:
        parser.error("at least 10 exchanges and 1 round")
    return found


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that all started processes are ended
    binaries = {"here": options.router} | ({"before": options.against} if options.against else {})
    bench = Bench(options)
    rows = {str(CASES[name]): {which: bench.rounds(binary.resolve(), CASES[name]) for which, binary in binaries.items()}
            for name in options.cases}
    (options.build / "exchange.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"\n{'one exchange: 1 KB POST':30}" + "".join(f"{which:>12}" for which in binaries) + ("    ratio" if options.against else "") + "  spread")
    measured = [figure for figure in FIGURES if all(figure in values for rounds in rows.values() for values in rounds.values())]
    more = [print_figure(figure, rows) for figure in measured]
    if "calls" in measured:
        print(f"system calls by name (counted by {bench.tool})")
        print_calls(rows)
    sys.exit(1 if any(more) else 0)


if __name__ == "__main__":
    main()
