"""The kubelet of the only node. Every Pod is a model server, a process with an address of its own (except Pods of the router's image:
router_pod.py). A Pod that names no node is assigned to this one, since there is no scheduler.

The model server is tests/integration/support/replica_process.py: it answers 200 to GET /, echoes all other requests (a request's `x-do`
may ask for more), and records each request. The Pod's object configures it:

- the first container's first port (5001 if it has none);
- the variable SLEEP of the first container: seconds that a request takes (0);
- annotations, all in seconds (0): `test/start-delay` before the process starts, `test/ready-delay` from then until the Pod is Ready
  (`never`: the Pod does not become ready), `test/restart-delay` between its death and its restart, `test/termination-delay` between
  the Pod's deletion and SIGTERM.

As with a kubelet, the end of a process makes the Pod not Ready, and the process is started again unless restartPolicy is Never. A deleted
Pod gets SIGTERM, and SIGKILL after its grace period. It is removed when its process has ended; one that is removed by force is killed."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import requests

from support import replica
from support.loop import BackgroundLoop
from support.wait import eventually

from .api import ApiError

NODE = "node-of-the-tests"
PORT = 5001
FOREVER = 1e9  # seconds
PAUSE = 0.05  # seconds until the next attempt, when the API server does not answer
CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


async def first(seconds, *events):
    """Waits until one of the events is set, at most so many seconds."""
    waiters = [asyncio.create_task(one.wait()) for one in events]
    await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for one in waiters:
        one.cancel()


class Pod:
    """The life of one Pod. All but the methods for tests run on the kubelet's loop."""

    def __init__(self, kubelet, described):
        self._kubelet, self._described = kubelet, described
        metadata = described["metadata"]
        self.name, self.namespace, self.uid = metadata["name"], metadata["namespace"], metadata["uid"]
        self.labels = metadata.get("labels", {})
        self._path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.record_file = kubelet.folder / f"{self.name}-{self.uid[:8]}.record"
        container = described["spec"]["containers"][0]
        self._container = {"name": container["name"], "image": container["image"], "imageID": container["image"]}
        self._variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        self.port = next((one["containerPort"] for one in container.get("ports", [])), PORT)
        self.ip = None
        self.is_ready = False  # and the API server knows it
        self.restarts = 0
        self._phase, self._ready, self._since = "Pending", False, {}
        self._process, self._exited = None, asyncio.Event()
        self._deleted, self._gone = asyncio.Event(), asyncio.Event()  # the Pod is to end; the Pod is deleted
        self._grace = 0
        self._reporting = asyncio.Lock()
        self.task = asyncio.create_task(self._run())

    # for tests, from any thread
    @property
    def address(self):
        return f"{self.ip}:{self.port}"

    @property
    def pid(self):
        return self._process.pid

    def is_alive(self):
        return self._process is not None and self._process.returncode is None

    def kill(self):
        """Kills the process with SIGKILL and waits for its end. The Pod stays, and a new process is started."""
        async def end():
            self._ready = self.is_ready = False
            self._process.kill()
            await self._process.wait()
        self._kubelet.loop.run(end())

    def set_ready(self, ready):
        """Sets the result of the readiness probe. Returns when the API server knows it."""
        self._kubelet.loop.run(self._report(ready=ready))

    def set_sleep(self, seconds):
        """Sets the time that a request takes, until the process ends."""
        self._kubelet.loop.call(self._process.stdin.write, json.dumps({"sleep": seconds}).encode() + b"\n")

    def events(self):
        """Returns the requests that it received, over all its processes: support/replica.py."""
        return replica.read_events(self.record_file)

    # life cycle
    async def _run(self):
        try:
            await first(self._seconds("start-delay"), self._deleted)
            if not self._deleted.is_set():
                self.ip = await asyncio.to_thread(self._take_address)
                await self._live()
            await self._end()
        finally:
            if self.is_alive():
                self._process.kill()
                await self._process.wait()
            if self.ip:
                await asyncio.to_thread(self._release_address)

    def _take_address(self):
        return self._kubelet.network.take()

    def _release_address(self):
        self._kubelet.network.release(self.ip)

    def _seconds(self, name):
        text = self._described["metadata"].get("annotations", {}).get(f"test/{name}", "0")
        return FOREVER if text == "never" else float(text)

    async def _live(self):
        while not self._deleted.is_set():
            await self._start_process()
            if not self._deleted.is_set():
                await self._report(phase="Running")
                await self._serve()
            if self._deleted.is_set():
                return
            if self._described["spec"]["restartPolicy"] == "Never":
                await self._report(phase="Failed", ready=False)
                await self._deleted.wait()
                return
            self.restarts += 1
            await self._report(ready=False)
            await first(self._seconds("restart-delay"), self._deleted)

    async def _serve(self):
        """Runs from the process's start until it has ended, or is to end."""
        await first(self._seconds("ready-delay"), self._deleted, self._exited)
        if not self._deleted.is_set() and not self._exited.is_set():
            await self._report(ready=True)
        await first(FOREVER, self._deleted, self._exited)

    async def _start_process(self):
        options = {"name": self.name, "record": str(self.record_file), "host": self.ip, "port": self.port, "probe": "/",
                   "sleep": float(self._variables.get("SLEEP", "0"))}
        program = Path(replica.__file__).with_name("replica_process.py")
        self._exited = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *self._kubelet.network.command(sys.executable, program, json.dumps(options)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        await self._process.stdout.readline()  # the process listens
        self._watcher = asyncio.create_task(self._tell_exit(self._process, self._exited))

    async def _tell_exit(self, process, exited):
        await process.wait()
        exited.set()

    async def _end(self):
        if self.is_alive():
            await first(self._seconds("termination-delay"), self._gone, self._exited)
            if not self._gone.is_set() and self.is_alive():
                self._process.terminate()
                await first(self._grace, self._gone, self._exited)
            if self.is_alive():
                self._process.kill()
                await self._process.wait()
        await self._report(phase="Succeeded", ready=False)
        remove = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        await self._insist(self._kubelet.api.delete, self._path, remove)

    # exchange with the API server
    def observe(self, described):
        if "deletionTimestamp" in described["metadata"]:
            self._grace = described["metadata"].get("deletionGracePeriodSeconds", 0)
            self._deleted.set()

    def observe_gone(self):
        self._gone.set()
        self._deleted.set()

    async def _report(self, phase=None, ready=None):
        async with self._reporting:
            self._phase = phase or self._phase
            self._ready = self._ready if ready is None else ready
            self.is_ready = self.is_ready and self._ready
            await self._insist(self._kubelet.api.patch, f"{self._path}/status", {"metadata": {"uid": self.uid}, "status": self._status()})
            self.is_ready = self._ready

    def _status(self):
        ready = {"ContainersReady": self._ready, "Ready": self._ready}
        conditions = []
        for name in CONDITIONS:
            value = str(ready.get(name, True))
            if self._since.get(name, (None,))[0] != value:
                self._since[name] = (value, now())
            conditions.append({"type": name, "status": value, "lastTransitionTime": self._since[name][1]})
        state = {"running": {}} if self.is_alive() else {"terminated": {"exitCode": abs(self._process.returncode)} if self._process else {}}
        status = {"phase": self._phase, "conditions": conditions, "hostIP": self._kubelet.network.host,
                  "containerStatuses": [{**self._container, "ready": self._ready, "started": self.is_alive(), "state": state,
                                         "restartCount": self.restarts}]}
        if self.ip:
            status.update(podIP=self.ip, podIPs=[{"ip": self.ip}])
        return status

    async def _insist(self, send, *arguments):
        """Retries until the API server has accepted the request, or answers that this Pod does not exist any more."""
        while not self._gone.is_set():
            try:
                await asyncio.to_thread(send, *arguments)
                return
            except ApiError as error:
                if error.status in (404, 409):  # deleted, or another Pod has this name
                    return
            except requests.RequestException:
                pass
            await asyncio.sleep(PAUSE)


class Kubelet:
    """`all` and `ready` find Pods. With `reuse_addresses`, the next Pod gets the address of a Pod that has ended. `make_pod(kubelet,
    described)` makes the Pod's process from the object of the API server."""

    def __init__(self, api, network, folder, make_pod=Pod):
        self.api, self.network, self._make_pod = api, network, make_pod
        self.folder = Path(folder) / "pods"
        self.folder.mkdir()
        self.loop = BackgroundLoop()
        self._pods = {}  # by uid; including those that have ended
        self._stopping = False
        follow = ((f"spec.nodeName={NODE}", self._replace, self._observe), ("spec.nodeName=", self._bind_all, self._bind))
        self._watchers = [threading.Thread(target=self._follow, args=what, daemon=True) for what in follow]

    def start(self):
        self.api.post("/api/v1/nodes", {"metadata": {"name": NODE}})
        self.api.patch(f"/api/v1/nodes/{NODE}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": self.network.host}],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now(),
                            "lastTransitionTime": now()}],
        }})
        for one in self._watchers:
            one.start()

    def stop(self):
        """Kills every Pod's process. The watches end with the API server."""
        self._stopping = True
        self.loop.stop()

    def reuse_addresses(self, reuse=True):
        self.network.reuse = reuse

    def all(self, namespace, ended=True, **labels):
        """Returns the Pods of this namespace with these labels, the oldest first."""
        return [one for one in list(self._pods.values()) if one.namespace == namespace and (ended or not one.task.done())
                and all(one.labels.get(name.replace("_", "-")) == value for name, value in labels.items())]

    def ready(self, namespace, count, patience=30, **labels):
        """Waits until exactly `count` of these Pods exist, including those that are ending, and all are Ready."""
        def these():
            pods = self.all(namespace, ended=False, **labels)
            return pods if len(pods) == count and all(one.is_ready for one in pods) else None
        if count == 0:
            eventually(lambda: not self.all(namespace, ended=False, **labels), "the Pods to end", patience)
            return []
        return eventually(these, f"{count} Pods to be ready", patience)

    def _follow(self, fields, replace, observe):
        mine = {"fieldSelector": fields}
        while not self._stopping:
            try:
                listed = self.api.get("/api/v1/pods", **mine)
                self.loop.call(replace, listed["items"])
                for kind, described in self.api.watch("/api/v1/pods", listed["metadata"]["resourceVersion"], **mine):
                    if self._stopping:
                        return
                    self.loop.call(observe, kind, described)
            except (ApiError, requests.RequestException, ValueError):
                time.sleep(PAUSE)

    # the scheduler
    def _bind_all(self, described):
        for one in described:
            self._bind("ADDED", one)

    def _bind(self, kind, described):
        metadata = described["metadata"]
        if kind == "ADDED" and "deletionTimestamp" not in metadata:
            self.loop.start(asyncio.to_thread(self._bind_one, metadata))

    def _bind_one(self, metadata):
        try:
            self.api.post(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/binding", {
                "metadata": {"name": metadata["name"], "uid": metadata["uid"]}, "target": {"kind": "Node", "name": NODE}})
        except (ApiError, requests.RequestException):
            pass  # the Pod or the API server is gone: then the watch lists all again

    # the Pods
    def _replace(self, described):
        present = {one["metadata"]["uid"] for one in described}
        for uid, pod in self._pods.items():
            if uid not in present:
                pod.observe_gone()
        for one in described:
            self._observe("ADDED", one)

    def _observe(self, kind, described):
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            return
        uid = described["metadata"]["uid"]
        if kind == "DELETED":
            if uid in self._pods:
                self._pods[uid].observe_gone()
            return
        if uid not in self._pods:
            self._pods[uid] = self._make_pod(self, described)
        self._pods[uid].observe(described)
