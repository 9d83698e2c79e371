"""Fixtures of the tests of the autoscaler: routers of one Lease, and deployments whose pods are processes that the Deployment controller
starts and ends."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.wait import eventually

from . import resources
from .fleet_fixtures import Scene, score_path
from .objects import deployment, service

SCALED_FOR = "inference-router.dev/scaled-for"
READ = [{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get"]},
        {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]}]
WRITE = [{"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["update"]}]
REPORT = [{"apiGroups": [resources.GROUP], "resources": ["onlineendpoints/status", "onlinedeployments/status"], "verbs": ["get", "patch"]},
          {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]
STATUS_LEASE = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}]


class Scaled:
    """One endpoint with a deployment `blue` whose target is a Deployment."""

    def __init__(self, scene, number, namespace, endpoint):
        self._scene, self._cluster = scene, scene.cluster
        self.number, self.namespace, self.endpoint, self.target = number, namespace, endpoint, f"{endpoint}-blue"
        self.path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{self.target}"
        self.score = score_path(endpoint)

    def object(self):
        return self._cluster.api.get(self.path)

    def replicas(self):
        return self.object()["spec"]["replicas"]

    def kubectl_scale(self, replicas):
        self._cluster.kubectl("scale", f"deployment/{self.target}", f"--replicas={replicas}", "-n", self.namespace)

    def condition(self):
        """(status, reason, message) of Autoscaled; None if there is none."""
        found = self._cluster.api.get(resources.path("onlinedeployments", self.namespace, self.target)).get("status", {})
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
        for endpoint in router.status()["endpoints"]:
            if endpoint["name"] == self.endpoint:
                return endpoint["deployments"][0].get("autoscaler")
        return None


class ScalingScene(Scene):
    MORE_RIGHTS = STATUS_LEASE

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.scaled = []

    def scale(self, replicas=1, least=1, most=8, sleep=0.05, slots=1, scaling=(), marked=True, rights=READ + WRITE, **spec):
        """Makes a namespace with one endpoint that is scaled between `least` and `most`, and waits for its pods."""
        number = len(self.served)
        name, endpoint = f"{self.namespace}-{number}", f"model-{number}"
        self.cluster.create_namespace(name)
        self.served.append(name)
        self.account.allow(name, resources.rights() + REPORT + list(rights))
        one = Scaled(self, number, name, endpoint)
        target = deployment(one.target, replicas, environment={"SLEEP": sleep})
        if marked:
            target["metadata"]["annotations"] = {SCALED_FOR: f"{endpoint}/blue"}
        router = {"max_queue_length": 5000, "scaling": dict(scaling)}
        described = resources.online_deployment(endpoint=endpoint, slots=slots, router=router)
        described["spec"]["scale_settings"] = {"type": "target_utilization", "min_instances": least, "max_instances": most,
                                               "polling_interval": 1, "target_utilization_percentage": 70, **spec}
        self.cluster.apply([resources.secret(f"{endpoint}-keys"), resources.online_endpoint(endpoint), described, service(one.target), target],
                           name)
        self.cluster.pods.ready(name, replicas)
        self.scaled.append(one)
        return one

    def routers(self, size=3, mode="act", **options):
        """`mode`: of the autoscaler, in router.yaml; None: it is not given."""
        options.update({"autoscaler": mode} if mode else {})
        return self.fleet(size, kubernetes={"allow_custom_endpoint_slices": False, **options.pop("kubernetes", {})}, **options)


@pytest.fixture
def scaling(tmp_path, background, cluster, namespace, kinds):
    scene = ScalingScene(tmp_path, background, cluster, namespace)
    yield scene
    cluster.start_api_server()  # the test may have stopped it
    scene.end()


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


def decisions_logged(router):
    """The decisions in the router's log, each with its figures. Asserts that each follows from its figures."""
    lines = re.findall(r'scaling (\{"deployment":.*?"figures":(\{.*?\})\}) ', router.log)
    again = Path(os.environ["ROUTER_BINARY"]).parent / "tests" / "decide_again"
    answer = subprocess.run([again], input="".join(f"{figures}\n" for _, figures in lines), capture_output=True, text=True, check=True)
    decisions = [json.loads(line) for line, _ in lines]
    computed = [line.split(" ")[:2] for line in answer.stdout.splitlines()]
    assert computed == [[str(one["to"]), one["reason"]] for one in decisions], (computed, decisions)
    return decisions

