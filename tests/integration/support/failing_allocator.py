"""The allocator that fails on demand (tests/support/failing_allocations.cpp): how a test arms it, and how its failures are reported."""

import mmap
import os
import random
import re
import struct
import subprocess
from dataclasses import dataclass, field

from .router import BINARY, SANITIZED

FAILING = BINARY.parent / "inference-router-failing"
SHARDS, CONTROL, HELPERS = 1, 2, 4
NEW, OPENSSL = 1, 2

ALL = bool(os.environ.get("FAILING_ALL"))  # every n, not a selection
SEED = int(os.environ.get("FAILING_SEED", "0")) or random.randrange(1, 1 << 32)
PATIENCE = 20 if SANITIZED else 8  # seconds after which a client counts as hung

_HEAD = struct.Struct("=IIQQIIQQ")
_FRAMES = 40
NEVER = (1 << 63) - 1


@dataclass
class Failure:
    seen: int  # allocations while the allocator was armed
    failed: int  # allocations that failed
    stack: tuple  # offsets into the program; empty if no allocation failed


class Allocator:
    """The control block, a file that the process has mapped."""

    def __init__(self, file):
        with file.open("wb") as made:
            made.truncate(_HEAD.size + 8 * _FRAMES)
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)

    def arm(self, first=NEVER, times=1, threads=SHARDS, kinds=NEW, by_handler=False):
        """Arms the allocator: the next `first` allocations succeed, then `times` allocations fail."""
        self.disarm()
        self._map[:] = _HEAD.pack(0, kinds, first, times, by_handler, 0, 0, 0) + bytes(8 * _FRAMES)
        self._map[0:4] = struct.pack("=I", threads)

    def disarm(self):
        self._map[0:4] = struct.pack("=I", 0)
        *_, seen, failed = _HEAD.unpack(self._map[:_HEAD.size])
        stack = struct.unpack(f"={_FRAMES}Q", self._map[_HEAD.size:]) if failed else ()
        return Failure(seen, failed, tuple(address for address in stack if address))

    def failed(self):
        return _HEAD.unpack(self._map[:_HEAD.size])[-1]


def name_stacks(stacks):
    """Returns for each stack the functions of the router in it, innermost first, as `function at file:line`."""
    addresses = sorted({address for stack in stacks for address in stack})
    if not addresses:
        return {stack: [] for stack in stacks}
    told = subprocess.run(["addr2line", "-Caipfe", FAILING], input="\n".join(map(hex, addresses)), capture_output=True, text=True,
                          check=True).stdout
    frames, current = {}, None
    for line in told.splitlines():
        if line.startswith("0x"):
            address, line = line.split(": ", 1)
            current = frames.setdefault(int(address, 16), [])
        current.append(line.replace(" (inlined by) ", "").strip())
    def told_shortly(frame):
        """Returns `file:line function`; None if the function is not the router's. (A compiler cache may return objects that were built in
        another folder.)"""
        function, _, place = frame.rpartition(" at ")
        ours = re.search(r"(?:^|/)((?:router|tls|config)/[^ ]*)", place.replace("/../", "//").rpartition("//")[2])
        name = re.sub(r"\(.*", "", function.replace("(anonymous namespace)::", "").split("<")[0]).removeprefix("router::")
        return f"{ours[1]} {name}" if ours and "base/task.h" not in ours[1] else None

    return {stack: [frame for address in stack for frame in map(told_shortly, frames.get(address, ())) if frame] for stack in stacks}


def site_of(frames):
    """Returns the location in the router's code: the innermost function and the functions that called it."""
    short = [frame.split(" ")[0] for frame in frames]
    return " < ".join(dict.fromkeys(short[:3])) or "outside of our code"


@dataclass
class Finding:
    trial: str
    number: int
    effect: str
    stack: tuple
    frames: list = field(default_factory=list)

    def __str__(self):
        return f"{self.trial}, n = {self.number}: {self.effect}\n    " + "\n    ".join(self.frames[:14])


class Findings(list):
    def name(self):
        named = name_stacks({one.stack for one in self})
        for one in self:
            one.frames = named[one.stack]
        return self

    def text(self):
        """Returns one finding of each kind in full, with the number of findings of that kind."""
        groups = {}
        for one in self.name():
            groups.setdefault((site_of(one.frames), one.effect.split(":")[0]), []).append(one)
        parts = [f"{len(group)} times: {effect} [{site}]\n  {group[0]}" for (site, effect), group in groups.items()]
        report = os.environ.get("FAILING_REPORT")
        if report and parts:
            with open(report, "a", encoding="utf-8") as out:
                out.write("".join(f"- {part}\n" for part in parts))
        return f"{len(self)} findings (FAILING_SEED={SEED})\n" + "\n".join(parts)


def choose(totals, at_most, last=0):
    """Returns which n are tried: all, or about `at_most` of them, including the `last` ones of the shortest run and of the longest."""
    if SANITIZED:
        at_most, last = at_most // 3, last // 3
    least, most = totals[0], totals[-1]
    numbers = set(range(most + 6))  # also beyond the end, since the number varies
    if ALL or len(numbers) <= at_most:
        return sorted(numbers)
    chosen = {number for number in numbers if last and (least - last < number <= least or most - last < number)}
    rest = sorted(numbers - chosen)
    return sorted(chosen | set(random.Random(SEED).sample(rest, max(0, min(len(rest), at_most - len(chosen))))))
