"""Fixtures of the tests of the autoscaler: routers of one Lease, and deployments whose pods are processes that the Deployment controller
starts and ends."""

import json
import os
import re
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import requests
from support.loop import BackgroundLoop
from support.wait import eventually

from . import resources
from .api import ApiError
from .fleet_fixtures import Scene, score_path
from .objects import deployment, service

MANAGER = "inference-router-scaler"
SCALED_FOR = "inference-router.dev/scaled-for"
READ = [{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]}]
WRITE = [{"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["update"]}]
REPORT = [{"apiGroups": [resources.GROUP], "resources": ["onlineendpoints/status", "onlinedeployments/status"], "verbs": ["get", "patch"]},
          {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]
STATUS_LEASE = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}]


class Watched:
    """The versions of the objects of one list from now on, as a watch tells them: `seen` has (moment, object). `ends`: after that the
    thread ends with the next answer."""

    def __init__(self, api, path, **selected):
        self.seen, self._api, self._path, self._selected = [], api, path, selected
        self._ended = False
        listed = api.get(path, **selected)
        self.seen += [(time.monotonic(), one) for one in listed["items"]]
        threading.Thread(target=self._follow, args=(listed["metadata"]["resourceVersion"],), daemon=True).start()

    def end(self):
        self._ended = True

    def _follow(self, version):
        while not self._ended:
            try:
                for kind, one in self._api.watch(self._path, version, timeoutSeconds=30, **self._selected):
                    version = one["metadata"]["resourceVersion"]
                    if kind != "DELETED":
                        self.seen.append((time.monotonic(), one))
            except (ApiError, requests.RequestException, ValueError):
                time.sleep(0.05)  # the API server is away


def writer(described):
    """Who has set spec.replicas."""
    owners = [one["manager"] for one in described["metadata"].get("managedFields", [])
              if "f:replicas" in one.get("fieldsV1", {}).get("f:spec", {})]
    return MANAGER if MANAGER in owners else owners[-1] if owners else ""


class Scaled:
    """One endpoint with a deployment `blue` whose target is a Deployment."""

    def __init__(self, scene, namespace, endpoint):
        self._scene, self._cluster = scene, scene.cluster
        self.namespace, self.endpoint, self.target = namespace, endpoint, f"{endpoint}-blue"
        self.path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{self.target}"
        self.score = score_path(endpoint)
        self._resource = resources.path("onlinedeployments", namespace, self.target)
        self._watched = None

    def object(self):
        return self._cluster.api.get(self.path)

    def replicas(self):
        return self.object()["spec"]["replicas"]

    def wait_pods(self):
        """Until they are ready; those that do not get ready by themselves: until they run."""
        spec = self.object()["spec"]
        if spec["template"]["metadata"].get("annotations", {}).get("test/ready-delay") != "never":
            return self._cluster.pods.ready(self.namespace, spec["replicas"])
        return eventually(lambda: sum(each.is_alive() for each in self._cluster.pods.all(self.namespace)) == spec["replicas"],
                          "the pods to run", 30)

    def patch(self, change):
        """Changes the target."""
        return self._cluster.api.patch(self.path, change)

    def mark(self, marked=True):
        self.patch({"metadata": {"annotations": {SCALED_FOR: f"{self.endpoint}/blue" if marked else None}}})

    def want(self, least, most=None):
        """Sets min_instances: so many are wanted from now on, whatever the load."""
        most = {} if most is None else {"max_instances": most}
        self._cluster.api.patch(self._resource, {"spec": {"scale_settings": {"min_instances": least, **most}}})

    def conflict(self, name="by-cpu"):
        """Makes a HorizontalPodAutoscaler of the target; returns its path."""
        path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        self._cluster.api.post(path, {"metadata": {"name": name}, "spec": {
            "minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": self.target},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
        return f"{path}/{name}"

    def watch(self):
        """From now on `changes` knows each change of spec.replicas."""
        self._watched = Watched(self._cluster.api, self.path.rpartition("/")[0], fieldSelector=f"metadata.name={self.target}")
        return self

    def changes(self):
        """[(before, after, who)], in their order."""
        seen = [one for _, one in self._watched.seen]
        return [(before["spec"]["replicas"], after["spec"]["replicas"], writer(after)) for before, after in zip(seen, seen[1:])
                if before["metadata"]["uid"] == after["metadata"]["uid"] and before["spec"]["replicas"] != after["spec"]["replicas"]]

    def generation_watched(self):
        return self._watched.seen[-1][1]["metadata"]["generation"]

    def changed_at(self):
        """When the watch has told a version the last time."""
        return self._watched.seen[-1][0]

    def kubectl_scale(self, replicas):
        self._cluster.kubectl("scale", f"deployment/{self.target}", f"--replicas={replicas}", "-n", self.namespace)

    def condition(self):
        """(status, reason, message) of Autoscaled; None if there is none."""
        found = self._cluster.api.get(self._resource).get("status", {})
        return next(((one["status"], one["reason"], one["message"]) for one in found.get("conditions", [])
                     if one["type"] == "Autoscaled"), None)

    def reason(self):
        return (self.condition() or ("", "", ""))[1]

    def events(self):
        """(reason, note) of each Event about the resource."""
        found = self._cluster.api.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        return [(one["reason"], one["note"]) for one in found if one["regarding"]["name"] == self.target]

    def writes(self):
        """What the routers have written to the target's scale, as the API server's audit log has it: (moment, answer)."""
        return [(one["requestReceivedTimestamp"], one["responseStatus"]["code"])
                for one in self._cluster.audited(self._scene.account.user, verb="update")
                if one.get("objectRef", {}).get("subresource") == "scale" and one["objectRef"]["namespace"] == self.namespace]

    def shown(self, router):
        """What /status of a router says of its autoscaler; None: nothing."""
        found = (each for endpoint in router.status()["endpoints"] if endpoint["name"] == self.endpoint
                 for each in endpoint["deployments"] if each["name"] == "blue")
        return next(found, {}).get("autoscaler")

    def decided(self, router):
        """The reason of each of the last decisions of a router that leads, the newest last."""
        return [each["reason"] for each in (self.shown(router) or {}).get("decisions", [])]

    def end_watch(self):
        if self._watched:
            self._watched.end()


@dataclass
class Wanted:
    """What `ScalingScene.scale` makes."""
    replicas: int = 1
    least: int = 1  # min_instances
    most: int = 8  # max_instances
    sleep: float = 0.05
    slots: int = 1
    scaling: object = ()  # router.scaling of the resource
    marked: bool = True
    rights: object = tuple(READ + WRITE)
    pods: object = ()  # annotations of the pods
    traffic: object = ()  # keys of the endpoint's spec
    requests: object = ()  # of request_settings


class ScalingScene(Scene):
    """`may_be_forbidden`: namespaces in which the test takes rights away."""
    MORE_RIGHTS = STATUS_LEASE

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.scaled, self.may_be_forbidden = [], set()

    def scale(self, wait=True, **what):
        """Makes a namespace with one endpoint that is scaled, and waits for its pods. `what`: the fields of Wanted; others are keys of
        scale_settings."""
        known = {field.name for field in fields(Wanted)}
        spec = {name: value for name, value in what.items() if name not in known}
        self.scaled.append(self._make(Wanted(**{name: value for name, value in what.items() if name in known}), spec))
        if wait:
            self.scaled[-1].wait_pods()
        return self.scaled[-1]

    def _make(self, wanted, spec):
        number = len(self.served)
        name, endpoint = f"{self.namespace}-{number}", f"model-{number}"
        self.cluster.create_namespace(name)
        self.served.append(name)
        self.account.allow(name, resources.rights() + REPORT + list(wanted.rights))
        one = Scaled(self, name, endpoint)
        target = deployment(one.target, wanted.replicas, environment={"SLEEP": wanted.sleep}, annotations=wanted.pods)
        if wanted.marked:
            target["metadata"]["annotations"] = {SCALED_FOR: f"{endpoint}/blue"}
        router = {"max_queue_length": 5000, "scaling": dict(wanted.scaling)}
        described = resources.online_deployment(endpoint=endpoint, slots=wanted.slots, router=router, **dict(wanted.requests))
        described["spec"]["scale_settings"] = {"type": "target_utilization", "min_instances": wanted.least, "max_instances": wanted.most,
                                               "polling_interval": 1, "target_utilization_percentage": 70, **spec}
        for path, each in ((resources.path("secrets", name), resources.secret(f"{endpoint}-keys")),
                           (resources.path("onlineendpoints", name), resources.online_endpoint(endpoint, **dict(wanted.traffic))),
                           (resources.path("onlinedeployments", name), described),
                           (f"/api/v1/namespaces/{name}/services", service(one.target)), (one.path.rpartition("/")[0], target)):
            self.cluster.api.post(path, each)
        return one

    def routers(self, size=3, mode="act", **options):
        """`mode`: of the autoscaler, in router.yaml; None: it is not given."""
        options.update({"autoscaler": mode} if mode else {})
        return self.fleet(size, kubernetes={"allow_custom_endpoint_slices": False, **options.pop("kubernetes", {})}, **options)


    def forbidden(self):
        """The requests of the routers for which a right was missing: {(namespace, resource, subresource, verb)}."""
        entries = (one for one in self.cluster.audited(self.account.user)
                   if one.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid")
        return {(*(one.get("objectRef", {}).get(key, "") for key in ("namespace", "resource", "subresource")), one["verb"])
                for one in entries}

    def end(self):
        for one in self.scaled:
            one.end_watch()
        self.cluster.start_api_server()  # the test may have stopped it
        super().end()
        beyond = {one for one in self.forbidden() if one[0] not in self.may_be_forbidden}
        assert not beyond, f"the routers have asked for more than their rights: {beyond}"


@pytest.fixture
def scaling(tmp_path, background, cluster, namespace, kinds):
    scene = ScalingScene(tmp_path, background, cluster, namespace)
    yield scene
    scene.end()


@contextmanager
def running_scene(folder, cluster, namespace):
    """For several tests."""
    background = BackgroundLoop()
    cluster.create_namespace(namespace)
    scene = ScalingScene(folder, background, cluster, namespace)
    try:
        yield scene
    finally:
        try:
            scene.end()
        finally:
            background.stop()
            cluster.delete_namespace(namespace)


def leader(fleet, one):
    """The router that decides about this deployment; None: nobody does at present."""
    def decides(router):
        try:
            return (one.shown(router) or {}).get("decides_here", False)
        except (OSError, AssertionError, ValueError, KeyError):
            return False
    return next((router for router in fleet.running() if decides(router)), None)


def wait_leader(fleet, one, patience=30):
    return eventually(lambda: leader(fleet, one), "a router to decide", patience)


def decisions_logged(router, one=None):
    """The decisions in the router's log, those about `one` if it is given, each with its figures and its `at`. Asserts that each follows
    from its figures."""
    lines = re.findall(r'^(\S+) .*?scaling (\{"deployment":.*?"figures":(\{.*?\})\}) ', router.log, re.MULTILINE)
    again = Path(os.environ["ROUTER_BINARY"]).parent / "tests" / "decide_again"
    answer = subprocess.run([again], input="".join(f"{figures}\n" for *_, figures in lines), capture_output=True, text=True, check=True)
    decisions = [{"at": at, **json.loads(line)} for at, line, _ in lines]
    computed = [line.split(" ")[:2] for line in answer.stdout.splitlines()]
    assert computed == [[str(each["to"]), each["reason"]] for each in decisions], (computed, decisions)
    name = f"{one.namespace}/{one.endpoint}/blue" if one else None
    return [each for each in decisions if name in (None, each["deployment"])]


def assert_explained(routers, one):
    """Each change of spec.replicas by the routers is one line of a log whose figures lead to it, and one Event, and the other way
    round. A write whose answer was lost may be a change or none. Returns the changes. Line and Event of the last one may come later
    than the change."""
    generation = one.object()["metadata"]["generation"]
    eventually(lambda: one.generation_watched() >= generation, "the watch to tell the last change")
    deadline = time.monotonic() + 5
    while True:
        try:
            return _explained(routers, one)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def _explained(routers, one):
    ours = [(before, after) for before, after, who in one.changes() if who == MANAGER]
    logged = sorted((each for router in routers for each in decisions_logged(router, one)), key=lambda each: each["at"])
    assert all(each["figures"]["replicas"] == each["from"] for each in logged)
    written = [(each["from"], each["to"]) for each in logged if each["result"] == "written"]
    unknown = Counter((each["from"], each["to"]) for each in logged if each["result"] == "unknown")
    assert not Counter(written) - Counter(ours), (ours, logged)
    assert Counter(ours) - Counter(written) <= unknown, (ours, logged)
    assert unknown or written == ours, (ours, logged)
    notes = Counter(re.search(r"(\d+) -> (\d+)", note).groups() for reason, note in one.events() if reason in ("ScaledUp", "ScaledDown"))
    assert notes == Counter((str(before), str(after)) for before, after in written), (notes, written)
    return ours
