"""A Pod of the router's image: the real binary in a container of its own, as the Pod describes it.

The container has a network namespace, the Pod's volumes at their paths, its arguments and variables, its user and no writable folder.
The probes work as a kubelet's: their results make the Pod Ready, or end its process. A changed ConfigMap or Secret arrives within a second.
`output` is what the router prints."""

import asyncio
import contextlib
import subprocess
from http.client import HTTPConnection
from pathlib import Path

import requests

from support.client import Client
from support.metrics import Metrics
from support.router import BINARY

from .api import ApiError
from .kubelet import FOREVER, PAUSE, Pod, first
from .volumes import Missing, Volumes

IMAGE = "inference-router"
VOLUMES_PAUSE = 0.5  # seconds between two checks of ConfigMaps and Secrets
RESTART_PAUSE = 1.0  # seconds


def maker(api_port):
    """Returns the function with which a Kubelet makes Pods: those of the router's image run the router, all others are model servers."""
    def make(kubelet, described):
        image = described["spec"]["containers"][0]["image"]
        is_router = image.rpartition("/")[2].partition(":")[0].partition("@")[0] == IMAGE
        return RouterPod(kubelet, described, api_port) if is_router else Pod(kubelet, described)
    return make


class Probe:
    """One probe of the Pod. A kubelet probes at the given period from the start. This one retries at once until the first success, to save
    time, and counts failures from then on. `passes` is None until the first success."""

    def __init__(self, described, ports):
        asked = described["httpGet"]
        self._path, self._port = asked["path"], ports.get(asked["port"], asked["port"])
        self._timeout, self._period = described.get("timeoutSeconds", 1), described.get("periodSeconds", 10)
        self._failures_max = described.get("failureThreshold", 3)
        self.passes = None

    async def run(self, address, judge):
        """Probes one process: awaits `judge(passes)` whenever `passes` has changed."""
        self.passes, failures = None, 0
        while True:
            succeeded = await self._succeeds(address)
            failures = 0 if succeeded else failures + 1
            changes = succeeded != self.passes and (succeeded or (self.passes and failures >= self._failures_max))
            if changes:
                self.passes = succeeded
                await judge(succeeded)
            await asyncio.sleep(PAUSE if self.passes is None else self._period)

    async def _succeeds(self, address):
        writer = None
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(address, self._port)
                writer.write(f"GET {self._path} HTTP/1.1\r\nHost: {address}:{self._port}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            return 200 <= int(line.split()[1]) < 400
        except (OSError, TimeoutError, ValueError, IndexError):
            return False
        finally:
            if writer:
                writer.close()


class RouterPod(Pod):
    def __init__(self, kubelet, described, api_port):
        spec = described["spec"]
        self._api_port = api_port
        self.container = spec["containers"][0]
        self.ports = {one["name"]: one["containerPort"] for one in self.container["ports"]}
        self.probes = {name: Probe(self.container[f"{name}Probe"], self.ports) for name in ("readiness", "liveness")}
        self._folder = kubelet.folder / f"{described['metadata']['name']}-{described['metadata']['uid'][:8]}"
        self._volumes = Volumes(kubelet.api, described, self._folder / "volumes")
        self._relay = None
        self.output_file = self._folder / "output"
        self._folder.mkdir()
        super().__init__(kubelet, described)

    # for tests
    @property
    def output(self):
        return self.output_file.read_text(errors="replace")

    def connect(self, tls=None, server_name=None):
        """Returns a client of the port https if `tls` is given, else of http."""
        return Client(self.ports["https" if tls else "http"], self.ip, tls=tls, server_name=server_name)

    def ask_observe(self, path):
        connection = HTTPConnection(self.ip, self.ports["observe"], timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def metrics(self):
        status, text = self.ask_observe("/metrics")
        assert status == 200
        return Metrics(text)

    # life cycle
    def _seconds(self, name):
        return RESTART_PAUSE if name == "restart-delay" else super()._seconds(name)

    def _take_address(self):
        return self._kubelet.network.take_own()

    def _release_address(self):
        self._kubelet.network.release_own(self.ip)

    async def _start_process(self):
        if not await self._mount():
            return  # the Pod is to end
        self._relay = self._relay or await self._open_relay()
        self._exited = asyncio.Event()
        with self.output_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment())
        self._watcher = asyncio.create_task(self._tell_exit(self._process, self._exited))

    async def _mount(self):
        """Waits, like a kubelet, until all objects exist that the volumes name."""
        while not self._deleted.is_set():
            with contextlib.suppress(Missing, ApiError, requests.RequestException):
                await asyncio.to_thread(self._volumes.write)
                return True
            await first(PAUSE, self._deleted)
        return False

    def _command(self):
        root = self._folder / f"root-{self.restarts}"
        root.mkdir()
        pod, own = self._described["spec"].get("securityContext", {}), self.container.get("securityContext", {})
        asked = {**pod, **own}
        assert own.get("capabilities", {}).get("drop") == ["ALL"] and own.get("allowPrivilegeEscalation") is False, own
        user, group = asked["runAsUser"], asked["runAsGroup"]
        read_only = str(asked.get("readOnlyRootFilesystem", False)).lower()
        mounts = [part for one in self.container["volumeMounts"] for part in (self._volumes.path(one["name"]), one["mountPath"])]
        return self._kubelet.network.command_own(
            self.ip, "unshare", "--mount", Path(__file__).with_name("container.sh"), root, user, group, asked.get("fsGroup", group),
            read_only, BINARY, *mounts, "--", *self.container["args"])

    def _environment(self):
        """Returns an environment without the tests' own variables. The API server has the address of a cluster's Service."""
        host, port = self._relay.sockets[0].getsockname()
        fields = {"status.podIP": self.ip, "metadata.uid": self.uid, "metadata.name": self.name, "metadata.namespace": self.namespace}
        of_fields = {one["name"]: fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
                     for one in self.container.get("env", []) if "valueFrom" in one}
        return {"PATH": "/usr/bin:/bin", "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port), **self._variables, **of_fields}

    async def _open_relay(self):
        """The API server listens on the machine's loopback interface, which Pods cannot reach."""
        async def relay(reader, writer):
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._api_port)
                await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer), return_exceptions=True)
            writer.close()
        return await asyncio.start_server(relay, self._kubelet.network.host, 0)

    async def _serve(self):
        tasks = [asyncio.create_task(one) for one in (
            self.probes["readiness"].run(self.ip, self._judge_readiness), self.probes["liveness"].run(self.ip, self._judge_liveness),
            self._refresh())]
        try:
            await first(FOREVER, self._deleted, self._exited)
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge_readiness(self, passes):
        await self._report(ready=passes)

    async def _judge_liveness(self, passes):
        if not passes:
            self._process.kill()

    async def _refresh(self):
        while True:
            await asyncio.sleep(VOLUMES_PAUSE)
            with contextlib.suppress(Missing, ApiError, requests.RequestException):
                await asyncio.to_thread(self._volumes.write)

    async def _end(self):
        await super()._end()
        if self._relay:
            self._relay.close()


async def _pass_on(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
