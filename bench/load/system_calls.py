"""Counts the system calls of a process under load: with perf if it may count tracepoints, otherwise with strace.

strace slows the process down several times, so data has usually arrived before the process looks for it: there are fewer waits and
fewer reads without result than normally. perf hardly slows the process down.
"""
import pathlib
import shutil
import signal
import subprocess
import tempfile

NAMED = ("recvfrom", "recvmsg", "read", "readv", "sendto", "sendmsg", "write", "writev", "epoll_ctl", "epoll_wait", "epoll_pwait", "poll",
         "ioctl", "fcntl", "getsockopt", "setsockopt", "accept4", "close", "clock_gettime", "timerfd_settime", "futex", "getpid", "brk",
         "mmap", "munmap", "madvise")
ALL = "raw_syscalls:sys_enter"
TRACEPOINTS = pathlib.Path("/sys/kernel/tracing/events/syscalls")
END_SECONDS = 20


def _start(command, **options):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)


def _end(process):
    """Waits for a process that is ending, at most END_SECONDS; then kills it."""
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _perf(events, pids, threads, load):
    """The count of each event that can be counted here; None if perf may not count."""
    with tempfile.NamedTemporaryFile("r", suffix=".perf") as report:
        # perf starts its command once the counters run, and reports when the command ends. The command prints `on`, and ends with its input.
        process = _start(["perf", "stat", "-x", ",", "-o", report.name, "-e", ",".join(events), "-t" if threads else "-p",
                          ",".join(map(str, pids)), "sh", "-c", "echo on >&2; exec cat"], stdin=subprocess.PIPE)
        try:
            if process.stderr.readline() != "on\n":
                return None
            load()
        finally:
            _end(process)  # closes its input
        found = {}
        for line in report.read().splitlines():
            words = line.split(",")
            if len(words) > 2 and words[0].isdigit():
                found[words[2]] = int(words[0])
    return found


def _by_perf(pids, threads, load):
    events = [ALL] + [f"syscalls:sys_enter_{name}" for name in NAMED if (TRACEPOINTS / f"sys_enter_{name}").is_dir()]
    counts = {event.removeprefix("syscalls:sys_enter_"): count for event, count in (_perf(events, pids, threads, load) or {}).items()}
    total = counts.pop(ALL, 0)
    return counts | {"other": max(total - sum(counts.values()), 0)} if total else None


def _by_strace(pids, threads, load):
    with tempfile.NamedTemporaryFile("r", suffix=".strace") as report:
        process = _start(["strace", "-c", *([] if threads else ["-f"]), "-o", report.name, *(word for pid in pids for word in ("-p", str(pid)))])
        try:
            for _ in pids:
                if "attached" not in process.stderr.readline():
                    return None
            load()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # it detaches and reports
            _end(process)
        counts = {}
        for line in report.read().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                counts[words[-1]] = int(words[3])
    return counts or None


def count(pids, load, threads=False):
    """Runs `load`, which returns how many requests it made. Returns the tool and the system calls per request by name; None if no tool
    may count. `threads`: `pids` are threads, and other threads of their processes do not count."""
    for tool, counted in (("perf", _by_perf), ("strace", _by_strace)):
        requests = []
        counts = counted(pids, threads, lambda made=requests: made.append(load())) if shutil.which(tool) else None
        if counts:
            return tool, {call: calls / requests[-1] for call, calls in counts.items()}
    return None


def instructions(thread, load):
    """The instructions that the processor counts in user mode while `load` runs; None if it has no counters."""
    return (_perf(["instructions:u"], [thread], True, load) or {}).get("instructions:u") if shutil.which("perf") else None
