"""A shard whose loop has stopped is noticed: /healthz of `observe` fails and names the shard, and the log reports it."""

import contextlib
import ctypes
import os
import signal
import time

from support.settings import deployment, endpoint
from support.wait import eventually

PTRACE_ATTACH = 16
PTRACE_DETACH = 17
WAIT_FOR_ANY_CHILD = 0x40000000  # __WALL: a thread of another process


def thread_named(pid, name):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="utf-8") as comm:
            if comm.read().strip() == name:
                return int(thread)
    raise AssertionError(f"no thread has the name {name}")


@contextlib.contextmanager
def stopped(thread):
    """Stops one thread of a process that this test has started: the kernel holds it for its tracer."""
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(what):
        if libc.ptrace(what, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    trace(PTRACE_ATTACH)
    _, status = os.waitpid(thread, WAIT_FOR_ANY_CHILD)
    assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP
    try:
        yield
    finally:
        trace(PTRACE_DETACH)


def test_a_shard_that_hangs_fails_the_health_and_is_named_until_it_turns_again(pod, start):
    router = start(endpoint(deployment([pod()])), threads=2)
    assert router.observe("/healthz") == (200, "ok\n")
    began = time.monotonic()
    with stopped(thread_named(router.process.pid, "shard-1")):
        eventually(lambda: router.observe("/healthz")[0] == 503, "/healthz to fail", patience=20)
        assert time.monotonic() - began >= 4.5
        status, body = router.observe("/healthz")
        assert status == 503
        assert body.startswith("shard 1 has not turned for ") and body.endswith(" s\n"), body
        assert router.observe("/readyz")[0] == 200  # the router does not drain: the other shards serve
        eventually(lambda: "shard 1 has not turned for 5 s" in router.log, "the log to report it")
    eventually(lambda: router.observe("/healthz")[0] == 200, "the shard's loop to run again")
    eventually(lambda: "shard 1 turns again" in router.log, "the log to report the end")
    assert router.score(b"x").status == 200
