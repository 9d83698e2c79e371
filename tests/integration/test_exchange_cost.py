"""`./dev bench --exchange` notices if a router does more work for an exchange than the previous one."""

import json
import statistics
import subprocess
import sys

import pytest
from support.router import BINARY, ROOT

pytestmark = pytest.mark.serial  # the benchmark waits for moments in which the router sleeps

COUNTER = BINARY.parent / "libcount_allocations.so"
SENDS = 2  # sends of one exchange: to the pod and to the client
MORE = """
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
void *volatile more;
ssize_t send(int socket, const void *data, size_t size, int flags) {
  more = malloc(1);
  free(more);
  syscall(SYS_getuid);
  return syscall(SYS_sendto, socket, data, size, flags, NULL, 0);
}
"""


@pytest.fixture
def router_that_does_more(tmp_path):
    """A router that makes one more system call and one more allocation with each `send`."""
    (tmp_path / "more.c").write_text(MORE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "more.so", tmp_path / "more.c"], check=True)
    script = tmp_path / "router"
    script.write_text(f'#!/bin/sh\nLD_PRELOAD="$LD_PRELOAD {tmp_path}/more.so" exec {BINARY} "$@"\n')
    script.chmod(0o755)
    return script


def compare(folder, router, before, case):
    """Returns the exit status, and for each figure its value here and before."""
    build = folder / "build"
    build.mkdir()
    (build / COUNTER.name).symlink_to(COUNTER)
    done = subprocess.run([sys.executable, ROOT / "bench" / "load" / "exchange.py", router, build, "--against", before, "--cases", case,
                           "--figures", "calls", "allocations", "--exchanges", "100", "--rounds", "1"], capture_output=True, text=True, check=False, timeout=400)  # a busy machine has few moments in which the router sleeps
    assert "system calls by name" in done.stdout, done.stdout + done.stderr  # the whole table
    (found,) = json.loads((build / "exchange.json").read_text()).values()
    return done.returncode, {figure: tuple(statistics.median(found[which][figure]) for which in ("here", "before"))
                             for figure in ("calls", "allocations")}


def test_one_more_call_and_one_more_allocation_are_seen(tmp_path, router_that_does_more):
    status, figures = compare(tmp_path, router_that_does_more, BINARY, "tls-0")
    assert status == 1
    for here, before in figures.values():
        assert here - before == pytest.approx(SENDS, abs=0.12)


def test_the_same_router_costs_the_same(tmp_path):
    """Also if the connection to the pod is idle in a slot and is closed there while the benchmark counts."""
    status, figures = compare(tmp_path, BINARY, BINARY, "plaintext-1")
    assert status == 0
    for here, before in figures.values():
        assert here == pytest.approx(before, abs=0.12)
