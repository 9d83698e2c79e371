"""System calls of a process during some load: by perf where it may count tracepoints, else by strace.

strace slows its process several times, so that data is there already whenever it looks: it sees fewer waits and fewer reads in vain
than there are. perf's counters leave the process nearly as it is.
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
    """Waits for one that was told to end; it may have no more than END_SECONDS."""
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _perf(events, pids, threads, load):
    """Of each event that can be counted here, how many there were; None where perf may not count."""
    with tempfile.NamedTemporaryFile("r", suffix=".perf") as report:
        # perf starts its command when the counters stand, which tells us so, and reports when the command ends: when its input does.
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
                process.send_signal(signal.SIGTERM)  # it lets go and reports
            _end(process)
        counts = {}
        for line in report.read().splitlines():
            words = line.split()
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                counts[words[-1]] = int(words[3])
    return counts or None


def count(pids, load, threads=False):
    """Runs `load`, which tells how many requests it made. Returns how they were counted and the system calls a request by name; None
    where nobody may count. `threads`: `pids` are threads, and no other of their processes counts."""
    for tool, counted in (("perf", _by_perf), ("strace", _by_strace)):
        requests = []
        counts = counted(pids, threads, lambda made=requests: made.append(load())) if shutil.which(tool) else None
        if counts:
            return tool, {call: calls / requests[-1] for call, calls in counts.items()}
    return None


def instructions(thread, load):
    """What the processor counts in user mode while `load` runs; None where it has no counters."""
    return (_perf(["instructions:u"], [thread], True, load) or {}).get("instructions:u") if shutil.which("perf") else None
