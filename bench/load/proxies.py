"""The replica stub and the proxies of the load benchmark: how each is configured, started on one core, and ended."""
import mmap
import os
import pathlib
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time

import processes

TEMPLATES = pathlib.Path(__file__).parent / "templates"
START_SECONDS = 20
STOP_SECONDS = 10
LOG = {  # what the templates say about access logs
    "off": {"NGINX_LOG": "off", "HAPROXY_LOG": "", "HAPROXY_OPTION": "", "ROUTER_LOG": ""},
    "on": {"NGINX_LOG": "@FOLDER@/nginx-access.log json buffer=64k flush=1s", "HAPROXY_LOG": "log stdout format raw local0",
           "HAPROXY_OPTION": "log global\n  option httplog", "ROUTER_LOG": "access_log: router-access.log"},
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true, what):
    until = time.monotonic() + START_SECONDS
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {START_SECONDS} s")
        time.sleep(0.02)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout",
                    folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())


class Process:
    """A process that we started, on one core, and its descendants."""

    def __init__(self, name, command, core, folder, **options):
        self.name = name
        self.output = (folder / f"{name}.out").open("wb")
        options.setdefault("stdout", self.output)
        self.popen = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stderr=self.output, cwd=folder, **options)
        self.pids = [self.popen.pid]

    def must_run(self):
        if self.popen.poll() is not None:
            raise SystemExit(f"{self.name} ended with {self.popen.returncode}; see {self.output.name}")
        return True

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.output.close()


class Stub(Process):
    def __init__(self, binary, core, folder):
        count = folder / "requests"
        count.write_bytes(bytes(8))
        super().__init__("stub", [binary, count], core, folder, stdout=subprocess.PIPE)
        line = self.popen.stdout.readline()
        self.must_run()
        self.http = int(line)
        self.https = None
        with count.open("rb") as file:
            self._count = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def requests(self):
        """POST requests answered so far."""
        return struct.unpack("=Q", self._count[:])[0]


class Proxy(Process):
    def __init__(self, name, command, core, folder, http, https):
        super().__init__(name, command, core, folder)
        self.http, self.https = http, https
        wait_until(lambda: self.must_run() and accepts(http) and accepts(https), f"{name} accepts connections")
        self.pids = processes.family(self.popen.pid)


class Bench:
    """Everything of one run: the stub, and the proxies in front of it, each started once."""

    def __init__(self, router, stub_binary, folder, proxy_core, load_core, logging):
        self.folder = folder
        self.key = secrets.token_urlsafe(32)
        self.running = []
        self.core = proxy_core
        self.logging = logging
        self.observe = free_port()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_certificate(folder)
        key_file = folder / "key"
        key_file.touch(0o600)
        key_file.write_text(self.key + "\n")
        try:
            self.stub = Stub(stub_binary, load_core, folder)
            self.running.append(self.stub)
            self.router = self._start("router", lambda path: [router, "--config", path], "router.yaml", ("endpoint.yml", "deployment.yml"))
            self.nginx = self._start("nginx", lambda path: [find("nginx"), "-p", folder, "-e", folder / "nginx.log", "-c", path], "nginx.conf")
            self.haproxy = self._start("haproxy", lambda path: [find("haproxy"), "-db", "-f", path], "haproxy.cfg")
        except BaseException:
            self.stop()
            raise

    def _start(self, name, command, template, more=()):
        http, https = free_port(), free_port()
        values = LOG[self.logging] | {"HTTP": http, "HTTPS": https, "REPLICA": self.stub.http, "OBSERVE": self.observe, "FOLDER": self.folder}
        for file in (template, *more):
            text = (TEMPLATES / file).read_text()
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            (self.folder / file).write_text(text)
        proxy = Proxy(name, command(self.folder / template), self.core, self.folder, http, https)
        self.running.append(proxy)
        return proxy

    def environment(self):
        return os.environ | {"BENCH_KEY": self.key}

    def stop(self):
        for process in reversed(self.running):
            process.stop()


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise SystemExit(f"{program} is not installed (Debian packages: nginx-light haproxy wrk; strace for system calls)")
    return path
