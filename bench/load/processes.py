"""What the processes of a benchmark have used, as the kernel counts it: processor time and memory."""
import contextlib
import os
import pathlib


def family(pid):
    """The process and all its descendants."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may contain anything; a list of words follows the last parenthesis.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    members, fresh = set(), {pid}
    while fresh:
        members |= fresh
        fresh = {child for child, parent in parents.items() if parent in fresh} - members
    return sorted(members)


def _seconds_of_process(pid):
    tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    try:
        # Nanoseconds of processor time, user and system, of each thread.
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except FileNotFoundError:
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """User and system time so far. Threads that have ended do not count; no proxy here ends any during a measurement."""
    return sum(_seconds_of_process(pid) for pid in pids)


def waited_seconds(pids):
    """How long the threads were ready to run and had no core, so far; 0 if the kernel does not tell."""
    tasks = [task for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    with contextlib.suppress(FileNotFoundError):
        return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9
    return 0.0


def cpu_seconds_by_mode(pids):
    """User and system time so far, and both (`all`). The kernel knows how long a process ran to the nanosecond, but where it ran only by looking at
    each tick of its clock: the two parts need some seconds."""
    ticks = os.sysconf("SC_CLK_TCK")
    words = [pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return {"user": sum(int(one[11]) for one in words) / ticks, "system": sum(int(one[12]) for one in words) / ticks, "all": cpu_seconds(pids)}


def memory(pids):
    """Bytes of private memory of the processes, plus their share of shared memory (Pss)."""
    found = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found += int(line.split()[1]) * 1024
    return found


class Idle:
    """The idle share of the whole machine since this was made, 0 to 1."""

    def __init__(self):
        self._begun = self._read()

    @staticmethod
    def _read():
        words = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return words[3] + words[4], sum(words)

    def share(self):
        idle, total = (now - then for now, then in zip(self._read(), self._begun))
        return idle / total if total else 1.0


def precede(pid):
    """Lets the process, which leads a session, run before other sessions' work on its core. False if that is not allowed here."""
    try:
        pathlib.Path(f"/proc/{pid}/autogroup").write_text("-10")
    except OSError:
        return False
    return True


def move(pids, core):
    """Lets all threads of the processes run on this core only."""
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})
