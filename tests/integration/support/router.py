"""The real binary as a child process, with its files in a folder of the test."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

from . import yaml
from .client import SCORE, Client, request
from .metrics import Metrics
from .ports import ReservedPort
from .wait import eventually

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("ROUTER_BINARY", ROOT / "build" / "dev" / "inference-router")).absolute()


def _is_sanitized():
    """Whether the binary was built with AddressSanitizer or ThreadSanitizer: it is slower, and its memory use says nothing."""
    try:
        linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    return "libasan" in linked or "libtsan" in linked


SANITIZED = _is_sanitized()


def write_at_once(path, text):
    """Replaces the file in one step: a reader sees the old contents or the new contents, never a part."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)


class Router:
    """Writes the configuration and starts the process. `stop` asserts a clean end. Settings of router.yaml are keyword arguments; a nested
    value replaces the whole default value."""
    host = "127.0.0.1"  # where it listens

    def __init__(self, folder, *endpoints, tls=None, listeners=None, environment=None, wait=True, binary=BINARY,
                 pass_fds=(), **process):
        self.binary = binary
        self._pass_fds = pass_fds  # stay open in the process, with the same numbers
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._reserved = [ReservedPort() for _ in range(3)]
        self.port, observe, admin = (reserved.port for reserved in self._reserved)
        self.observe_port, self.admin_port = observe, admin
        self.client_context = None  # if set, `connect` uses TLS
        listener = {"address": self.host, "port": self.port}
        if tls:
            listener["tls"] = tls
        self.access_log_file = self.folder / "access.log"
        self.settings = {
            "listeners": listeners(self.port) if listeners else [listener],
            "threads": 2,
            "observe": {"address": f"{self.host}:{observe}"},
            "admin": {"address": f"{self.host}:{admin}"},
            "access_log": str(self.access_log_file),
            "drain_delay_ms": 0,
            "drain_grace_ms": 10000,
            "endpoints": ["endpoints/*.yml"],
            **process,
        }
        self.endpoints = list(endpoints)
        self.config_file = self.folder / "router.yaml"
        self.write()
        self.log = ""
        self.expect_exit = 0
        self._start(environment, wait)

    # files
    def write(self):
        for one in self.endpoints:
            self.write_endpoint(one)
        write_at_once(self.config_file, yaml.dump(self.settings))

    def write_endpoint(self, described):
        """Writes the endpoint's keys, its deployments, then the endpoint, each file in one step. The secondary key is written first: while
        keys are rotated, the key in use is valid in each intermediate state."""
        folder = self.folder / "endpoints"
        (self.folder / "keys").mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        name = described["endpoint"]["name"]
        files = {}
        for kind, key in reversed(list(zip(("primary", "secondary"), described["keys"]))):
            if key is None:
                continue
            path = self.folder / "keys" / f"{name}-{kind}"
            write_at_once(path, key + "\n")
            files[f"{kind}_file"] = f"../keys/{name}-{kind}"
        whole = dict(described["endpoint"])
        whole["router"] = {**whole["router"], **({"keys": files} if files else {})}
        if not whole["router"]:
            del whole["router"]
        for one in described["deployments"]:
            write_at_once(folder / f"{name}-{one['name']}.yml", yaml.dump(one))
        write_at_once(folder / f"{name}.yml", yaml.dump(whole))

    # process
    def _start(self, environment, wait):
        assert self.binary.exists(), f"{self.binary} is not built (set ROUTER_BINARY)"
        self.process = subprocess.Popen(
            self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})}, text=True, errors="replace", pass_fds=self._pass_fds)
        self.output = ""
        self._readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                         for pair in ((self.process.stderr, "log"), (self.process.stdout, "output"))]
        for reader in self._readers:
            reader.start()
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()  # nothing else would end the process
                raise

    def _command(self):
        return [self.binary, "--config", self.config_file]

    def _collect(self, stream, into):
        for line in stream:
            setattr(self, into, getattr(self, into) + line)

    def wait_ready(self, replicas=True):
        """Waits until /readyz answers 200 and every replica that a deployment names is ready."""
        def listening():
            assert self.process.poll() is None, f"the router ended with {self.process.returncode}:\n{self.log}"
            try:
                return self.observe("/readyz")[0] == 200
            except OSError:
                return False
        eventually(listening, "/readyz to answer 200", patience=20)
        if replicas:
            eventually(lambda: all(len(one["replicas"]) == one["replicas_ready"] for one in self.deployments()),
                       "all replicas to be ready", patience=20)

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, patience=20):
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired as slow:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(f"the router did not end within {patience} s:\n{self.log[-3000:]}") from slow
        for reader in self._readers:
            reader.join(5)
        return code

    def expect_logged(self, *texts):
        """Waits until the log has all of these texts. A thread reads the log, so a line may arrive after other effects are visible."""
        eventually(lambda: all(text in self.log for text in texts), f"{texts} in the log")

    def stop(self):
        """Ends the process and asserts a clean end: no slot held, the expected exit code, and no message of a bug in the log."""
        held = None
        if self.process.poll() is None:
            try:
                eventually(lambda: self.slots_in_use() == 0, "slots to be free at the end", patience=5)
            except (AssertionError, OSError) as error:
                held = error
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
        code = self.wait_exit()
        for reserved in self._reserved:
            reserved.close()
        assert code == self.expect_exit, f"exit code {code}:\n{self.log[-6000:]}"
        for sign in ("our bug", "assertion", "Sanitizer", "runtime error:"):
            assert sign not in self.log, self.log[-6000:]
        if held:
            raise held

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # the operators' listeners
    def ask(self, port, path, method="GET"):
        connection = HTTPConnection(self.host, port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def observe(self, path, method="GET"):
        return self.ask(self.observe_port, path, method)

    def admin(self, path, method="GET"):
        return self.ask(self.admin_port, path, method)

    def metrics(self):
        status, text = self.observe("/metrics")
        assert status == 200
        return Metrics(text)

    def status(self):
        status, text = self.admin("/status")
        assert status == 200
        return json.loads(text)

    def generation(self):
        return self.status()["generation"]

    def deployments(self):
        return [one for endpoint in self.status()["endpoints"] for one in endpoint["deployments"]]

    def slots_in_use(self):
        return sum(one["slots_in_use"] for one in self.deployments())

    def queue_length(self):
        return sum(one["queue_length"] for one in self.deployments())

    def reloaded(self, change):
        """Runs `change`, then waits until a newer generation is active."""
        before = self.generation()
        change()
        eventually(lambda: self.generation() > before, "the reload", patience=5)

    def memory(self, field="VmRSS"):
        """Returns the resident memory in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError(field)

    def cpu_seconds(self):
        """Seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def access_lines(self, count):
        """Returns the first `count` lines of the access log, as objects, once they are written."""
        def lines():
            text = self.access_log_file.read_text() if self.access_log_file.exists() else ""
            whole = text[:text.rfind("\n") + 1].splitlines()
            return whole if len(whole) >= count else None
        return [json.loads(line) for line in eventually(lines, f"{count} lines in the access log")]

    # clients
    def connect(self, **options):
        if self.client_context and "tls" not in options:
            options = {"tls": self.client_context, "server_name": "router.test", **options}
        return Client(self.port, **{"host": self.host, **options})

    def score(self, *args, **kwargs):
        """Sends one request on a connection of its own."""
        with self.connect() as client:
            return client.exchange(*args, **kwargs)

    def start_request(self, *args, **kwargs):
        """Sends a request on a connection of its own; the test reads the answer later."""
        return self.connect().send(request(*args, **kwargs))

    @property
    def url(self):
        scheme = "https" if self.client_context else "http"
        return f"{scheme}://{self.host}:{self.port}{SCORE}"


def elapsed_since(start):
    return time.monotonic() - start


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
