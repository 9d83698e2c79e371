"""The router under a service manager: systemd's protocols for readiness (NOTIFY_SOCKET) and for sockets that are opened before the router
starts (LISTEN_FDS). docs/install.md."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest
from support.client import Client, request
from support.router import BINARY, Router
from support.settings import deployment, endpoint
from support.wait import eventually

# Does what systemd does between fork and exec: the sockets become 3, 4, …, and LISTEN_PID is the new process.
_PASS = """
import os, sys
fds = [int(each) for each in sys.argv[1].split(",")]
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Started(Router):
    """A router that gets listening sockets when it starts."""

    def __init__(self, folder, *endpoints, sockets=(), environment=None, **settings):
        folder.mkdir(parents=True)
        (folder / "pass.py").write_text(_PASS)
        fds = [each.fileno() for each in sockets]
        script = folder / "start"
        script.write_text(f"#!/bin/sh\nexec /usr/bin/python3 {folder}/pass.py {','.join(map(str, fds))} {BINARY} \"$@\"\n")
        script.chmod(0o755)
        super().__init__(folder, *endpoints, environment={"LISTEN_FDS": str(len(fds)), **(environment or {})}, binary=script,
                         pass_fds=fds, **settings)


def listening(port=0, host="127.0.0.1", reuse=False):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.listen(1024)
    return sock


def at(sock, **more):
    return {"listeners": lambda _: [{"address": sock.getsockname()[0], "port": sock.getsockname()[1]}], **more}


class Manager:
    """Listens on the socket of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        self.socket.settimeout(20)

    def next(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.mark.parametrize("where", ["path", "abstract"])
def test_the_manager_is_told_of_readiness_reload_and_end(pod, start, tmp_path, where):
    manager = Manager(tmp_path / "notify" if where == "path" else f"@router-test-{os.getpid()}")
    router = start(endpoint(deployment([pod()])), environment={"NOTIFY_SOCKET": manager.path}, wait=False,
                   drain_delay_ms=300, drain_grace_ms=7000)
    assert manager.next() == {"READY": "1"}
    assert router.observe("/readyz")[0] in (200, 503)  # the router listens
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    router.signal(signal.SIGHUP)
    told = manager.next()
    assert told["RELOADING"] == "1"
    assert before <= int(told["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.next() == {"READY": "1"}
    assert router.generation() == 2
    router.signal(signal.SIGTERM)
    told = manager.next()
    assert told["STOPPING"] == "1"
    assert int(told["EXTEND_TIMEOUT_USEC"]) > 7_000_000 + 10_000_000
    assert router.wait_exit() == 0


def test_a_refused_reload_ends_for_the_manager_too(pod, start, tmp_path):
    manager = Manager(tmp_path / "notify")
    router = start(endpoint(deployment([pod()])), environment={"NOTIFY_SOCKET": manager.path})
    assert manager.next() == {"READY": "1"}
    router.config_file.write_text("nonsense: [\n")
    assert manager.next()["RELOADING"] == "1"
    assert manager.next() == {"READY": "1"}
    assert router.generation() == 1


def test_a_start_that_fails_is_never_told_as_ready(tmp_path):
    manager = Manager(tmp_path / "notify")
    taken = listening()
    (tmp_path / "router.yaml").write_text(
        f"listeners: [{{address: 127.0.0.1, port: {taken.getsockname()[1]}}}]\nobserve: {{address: 'unix:{tmp_path}/o'}}\n"
        f"admin: {{address: 'unix:{tmp_path}/a'}}\nendpoints: ['*.none']\n")
    done = subprocess.run([BINARY, "--config", tmp_path / "router.yaml"], env={**os.environ, "NOTIFY_SOCKET": manager.path},
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1 and "cannot listen" in done.stderr
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(100)


def test_a_manager_that_is_gone_holds_nothing_up(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])), environment={"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    assert router.score(b"x").status == 200
    assert "cannot send `READY=1` to the service manager" in router.log


@pytest.fixture
def begin(stage):
    def begin(*endpoints, **settings):
        router = Started(stage.folder / f"router-{len(stage.routers)}", *endpoints, **settings)
        stage.routers.append(router)
        return router
    return begin


def test_a_listener_accepts_from_the_socket_that_was_passed(pod, begin):
    sock = listening()
    early = Client(sock.getsockname()[1])  # before the router has started
    early.send(request(b"early"))
    router = begin(endpoint(deployment([pod()])), sockets=[sock], **at(sock))
    assert early.response().status == 200
    router.port = sock.getsockname()[1]
    assert router.score(b"x").status == 200
    assert "by a socket that was passed to this process" in router.log


def test_every_socket_of_an_address_is_accepted_from_whatever_the_number_of_threads(pod, begin):
    first = listening(reuse=True)
    sockets = [first] + [listening(first.getsockname()[1], reuse=True) for _ in range(4)]
    router = begin(endpoint(deployment([pod()])), sockets=sockets, threads=2, **at(first))
    router.port = first.getsockname()[1]
    assert all(router.score(b"x").status == 200 for _ in range(60))  # the kernel distributes them over all five


def test_sockets_for_another_process_are_left_alone(pod, begin):
    sock, other = listening(), listening()
    port = other.getsockname()[1]
    other.close()
    router = begin(endpoint(deployment([pod()])), sockets=[sock], environment={"LISTEN_PID": "1"},
                   listeners=lambda _: [{"address": "127.0.0.1", "port": port}])
    router.port = port
    assert router.score(b"x").status == 200
    assert "passed" not in router.log


def refused(router):
    router.expect_exit = 1
    assert router.wait_exit() == 1
    return router.log


def test_a_socket_that_no_listener_has_is_a_mistake(pod, begin):
    sock = listening()
    log = refused(begin(endpoint(deployment([pod()])), sockets=[sock], environment={"LISTEN_FDNAMES": "front"}, wait=False))
    host, port = sock.getsockname()
    assert f"no listener has the address of the socket {host}:{port} (front)" in log and "router.yaml:" in log


def test_what_is_no_listening_socket_is_a_mistake(pod, begin):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    log = refused(begin(endpoint(deployment([pod()])), sockets=[sock], wait=False))
    assert "descriptor 3 was passed to this process (LISTEN_FDS) and is not a listening TCP socket" in log


def test_a_listener_of_a_passed_socket_cannot_go_while_the_router_runs(pod, begin):
    sock = listening()
    router = begin(endpoint(deployment([pod()])), sockets=[sock], **at(sock))
    router.settings["listeners"] = [{"address": "127.0.0.1", "port": 0}]
    router.write()
    eventually(lambda: "no listener has the address of the socket" in router.log, "the refusal", patience=5)
    assert router.generation() == 1
    router.port = sock.getsockname()[1]
    assert router.score(b"x").status == 200


@pytest.mark.serial
def test_restarts_under_load_refuse_no_connection(pod, begin):
    """As with a socket unit: the socket stays open in this process, and the next router starts when the previous one has ended."""
    sock = listening()
    port = sock.getsockname()[1]
    described = endpoint(deployment([pod() for _ in range(4)]))
    router = begin(described, sockets=[sock], drain_delay_ms=200, **at(sock))
    refusals, answered, stopping = [], [], threading.Event()

    def client():
        while not stopping.is_set():
            try:
                with Client(port) as one:
                    answered.append(one.exchange(b"x", headers={"connection": "close"}).status)
            except OSError as error:
                refusals.append(error)
            time.sleep(0.01)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for each in clients:
        each.start()
    try:
        for _ in range(3):
            time.sleep(0.5)
            router.stop()
            router = begin(described, sockets=[sock], drain_delay_ms=200, **at(sock))
    finally:
        stopping.set()
        for each in clients:
            each.join()
    assert refusals == []
    assert len(answered) > 100
