"""The stub of the replicas and the proxies of the benchmarks: configures each, starts it on one core, and ends it."""
import mmap
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time

import processes

TEMPLATES = pathlib.Path(__file__).parent / "templates"
ROOT = pathlib.Path(__file__).parent.parent.parent
START_SECONDS = 30
STOP_SECONDS = 10
PEERS = ("nginx", "haproxy", "envoy")
NAMES = ("router",) + PEERS
CERTIFICATES = ("ecdsa", "rsa")
REPLICAS = 4  # of an endpoint
ENDPOINTS_MAX = 200
SLOTS = 1024  # of a replica: together more than the largest number of connections, so that no request waits in the queue
ENDPOINT = "bench"

_HAPROXY_FORMAT = ('log-format \'{"TimeGenerated":"%T","EndpointName":"%b","Method":"%HM","Path":"%HU","Protocol":"%HV","ResponseCode":%ST,'
                   '"RequestPayloadSize":%U,"ResponsePayloadSize":%B,"UserAgent":"%[capture.req.hdr(0)]","XRequestId":"%ID",'
                   '"XMSClientRequestId":"%[capture.req.hdr(1)]","TotalDurationMs":%Ta,"QueueDurationMs":%Tw,"ResponseDurationMs":%Tr,'
                   '"Replica":"%s"}\'')
_ENVOY_FIELDS = {"TimeGenerated": "%START_TIME%", "EndpointName": "%UPSTREAM_CLUSTER%", "Method": "%REQ(:METHOD)%", "Path": "%REQ(:PATH)%",
                 "Protocol": "%PROTOCOL%", "ResponseCode": "%RESPONSE_CODE%", "ResponseCodeReason": "%RESPONSE_FLAGS%",
                 "RequestPayloadSize": "%BYTES_RECEIVED%", "ResponsePayloadSize": "%BYTES_SENT%", "UserAgent": "%REQ(USER-AGENT)%",
                 "XRequestId": "%REQ(X-REQUEST-ID)%", "XMSClientRequestId": "%REQ(X-MS-CLIENT-REQUEST-ID)%", "TotalDurationMs": "%DURATION%",
                 "ResponseDurationMs": "%RESPONSE_DURATION%", "Replica": "%UPSTREAM_HOST%"}
LOG = {  # the templates' lines for access logs
    "off": {"NGINX_LOG": "off", "HAPROXY_LOG": "", "HAPROXY_OPTION": "", "HAPROXY_FORMAT": "", "ROUTER_LOG": "", "ENVOY_LOG": ""},
    "on": {"NGINX_LOG": "@FOLDER@/access.log json buffer=64k flush=1s",
           "HAPROXY_LOG": "log stdout format raw local0", "HAPROXY_OPTION": "log global", "HAPROXY_FORMAT": _HAPROXY_FORMAT,
           "ROUTER_LOG": "access_log: access.log",
           "ENVOY_LOG": "access_log: [{name: envoy.access_loggers.file, typed_config: {"
                        "\"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: @FOLDER@/access.log, "
                        "log_format: {json_format: {" + ", ".join(f'{key}: "{value}"' for key, value in _ENVOY_FIELDS.items()) + "}}}}]"},
}


def find(program):
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise SystemExit(f"{program} is not installed: run `./dev setup bench`")
    return path


def envoy_binary():
    """Where `./dev setup bench` has installed Envoy; None if it is not installed."""
    found = sorted(ROOT.glob("build/envoy/lib/python*/site-packages/envoy/_bin/envoy"))
    return found[0] if found else None


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


def make_certificates(folder):
    kinds = {"ecdsa": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}
    for name, kind in kinds.items():
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-days", "30", "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        both = folder / f"{name}.pem"
        both.touch(0o600)
        both.write_text(certificate.read_text() + key.read_text())
        key.unlink()
        certificate.unlink()


def fill(text, values, lists):
    """Fills in a template: repeats the text between `@FOR X@` and `@END X@` for each element of list X, then replaces @NAME@ by its value.
    A value that is a list serves the loops within."""
    lists = lists | {key: value for key, value in values.items() if isinstance(value, list)}

    def repeat(match):
        return "".join(fill(match[2], element, lists) for element in lists[match[1]])

    text = re.sub(r"^@FOR (\w+)@\n(.*?)^@END \1@\n", repeat, text, flags=re.MULTILINE | re.DOTALL)
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


class Process:
    """A process that is started on the given cores, and its descendants."""

    def __init__(self, name, command, cores, folder, **options):
        self.name = name
        self.output = (folder / f"{name}.out").open("wb")
        options.setdefault("stdout", self.output)
        self.begun = time.monotonic()
        self.popen = subprocess.Popen(["taskset", "-c", str(cores), *map(str, command)], stderr=self.output, cwd=folder, **options)
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
    def __init__(self, binary, core, folder, replicas, record=None):
        count = folder / "requests"
        count.write_bytes(bytes(8))
        super().__init__("stub", [binary, count, replicas, *([record] if record else [])], core, folder, stdout=subprocess.PIPE)
        line = self.popen.stdout.readline()
        self.must_run()
        self.ports = [int(word) for word in line.split()]
        with count.open("rb") as file:
            self._count = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def requests(self):
        """POST requests answered so far."""
        return struct.unpack("=Q", self._count[:])[0]


class Direct:
    """The stub's first replica in the place of a proxy: shows the limit of the load itself."""

    def __init__(self, stub):
        self.name, self.http, self.https, self.pids = "direct", stub.ports[0], {}, stub.pids
        self.must_run = stub.must_run


class Proxy(Process):
    """One proxy with one configuration, in a folder of its own. `replicas`: the ports of each endpoint's replicas. The first endpoint
    gets the load; it is the last one in the configuration. `certificates`: their folder, by default the folder above. `under`: a command
    that runs the program. `more`: lines at the end of the router's configuration."""

    def __init__(self, name, program, folder, core, key, replicas, logging="off", slots=SLOTS, certificates=None, wait=True, under=(), more="",
                 **options):
        folder.mkdir(parents=True)
        self.http, self.observe = free_port(), free_port()
        self.https = {kind: free_port() for kind in CERTIFICATES}
        (folder / "key").touch(0o600)
        (folder / "key").write_text(key + "\n")
        own = {"HTTP": self.http, "OBSERVE": self.observe, "FOLDER": folder, "KEY": key, "SLOTS": slots, "SLOTS_IN_ALL": slots * len(replicas[0])}
        names = [ENDPOINT] + [f"other{number}" for number in range(1, len(replicas))]
        lists = {
            "ENDPOINT": [{"NAME": one, "REPLICA": [{"NUMBER": number, "PORT": port} for number, port in enumerate(ports)]}
                         for one, ports in reversed(list(zip(names, replicas)))],
            "CERTIFICATE": [{"CERTIFICATE_NAME": kind, "CERTIFICATE": (certificates or folder.parent) / kind, "PORT": port} for kind, port in self.https.items()],
        }
        for file in {"router": ("router.yaml", "endpoints.yml"), "nginx": ("nginx.conf",), "haproxy": ("haproxy.cfg",), "envoy": ("envoy.yaml",)}[name]:
            text = fill((TEMPLATES / file).read_text(), LOG[logging], lists) + (more if file == "router.yaml" else "")
            (folder / file).touch(0o600)  # they contain the key
            (folder / file).write_text(fill(text, own, {}))
        command = {"router": [program, "--config", folder / "router.yaml"],
                   "nginx": [program, "-p", folder, "-e", folder / "nginx.log", "-c", folder / "nginx.conf"],
                   "haproxy": [program, "-db", "-f", folder / "haproxy.cfg"],
                   "envoy": [program, "-c", folder / "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]}[name]
        super().__init__(name, [*under, *command], core, folder, **options)
        if not wait:
            return
        try:
            wait_until(lambda: self.must_run() and all(map(accepts, (self.http, *self.https.values()))), f"{name} accepts connections")
        except BaseException:
            self.stop()
            raise

    def find_family(self):
        """To be called once the proxy has answered: nginx listens before its worker is started."""
        self.pids = processes.family(self.popen.pid)


class Fleet:
    """The stub, and proxies in front of it, which `get` starts at their first use."""

    def __init__(self, router, build, folder, proxy_core, load_core, names):
        self.folder, self.load_core, self.proxy_core = folder, load_core, proxy_core
        self.key = secrets.token_urlsafe(32)
        self.client = build / "bench" / "bench_client"
        self.programs = {"router": router, "envoy": envoy_binary()} | {name: find(name) for name in ("nginx", "haproxy") if name in names}
        self.names = [name for name in names if self.programs[name]]
        self.proxies = {}
        self._started = 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make_certificates(folder)
        (folder / "openssl.cnf").write_text("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = tls\n[tls]\n"
                                            "MinProtocol = TLSv1.3\nCiphersuites = TLS_AES_256_GCM_SHA384\nGroups = X25519\n")
        self.stub = Stub(build / "bench" / "bench_stub", load_core, folder, REPLICAS * ENDPOINTS_MAX)
        self.direct = Direct(self.stub)

    def start(self, name, endpoints=1, logging="off", wait=True):
        self._started += 1
        starts = [number % ENDPOINTS_MAX * REPLICAS for number in range(endpoints)]  # beyond ENDPOINTS_MAX several endpoints share replicas
        replicas = [self.stub.ports[first:first + REPLICAS] for first in starts]
        return Proxy(name, self.programs[name], self.folder / f"{self._started:02}-{name}-{endpoints}-{logging}", self.proxy_core, self.key,
                     replicas, logging, wait=wait)

    def get(self, name, endpoints=1, logging="off"):
        wanted = (name, endpoints, logging)
        if name == "direct":
            return self.direct
        if wanted not in self.proxies:
            self.proxies[wanted] = self.start(*wanted)
        return self.proxies[wanted]

    def keep_only(self, wanted):
        """Ends all other proxies: the probes and timers of idle ones would disturb the figures."""
        for each in set(self.proxies) - set(wanted):
            self.proxies.pop(each).stop()

    def environment(self):
        """The environment of the load: the key, and for wrk one cipher and one group, so that all proxies do the same work."""
        return os.environ | {"BENCH_KEY": self.key, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}

    def stop(self):
        self.keep_only([])
        self.stub.stop()
