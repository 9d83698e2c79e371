"""What runs on the node: the chart's release, and an endpoint that an operator makes from Azure ML's files."""

import base64
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from harness.following import Kill
from harness.resources import ENDPOINT, MODEL, secret
from real_node import ADDRESS, run
from support import yaml
from support.client import Client
from support.metrics import Metrics
from support.router import ROOT
from support.wait import eventually

RELEASE, NAMESPACE, MODELS = "router", "router", "team-a"
ROUTER = "router-inference-router"  # Deployment and Service of the release
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
REPLICAS = 2
PATIENCE = 180  # seconds, for steps of a controller, a kubelet and a probe in sequence
VALUES = {
    "inferenceRouterHA": False,  # a test upgrades it to three routers
    "image": {"repository": "localhost/inference-router", "tag": "test"},
    "sslSecret": "router-tls",
    "inferenceRouterServiceType": "NodePort",
    "namespaces": [{"name": MODELS}],
}
ENDPOINT_FILE = {"name": ENDPOINT, "auth_mode": "key", "traffic": {"blue": 100}}
DEPLOYMENT_FILE = {
    "name": "blue",
    "endpoint_name": ENDPOINT,
    "type": "kubernetes",
    "instance_count": REPLICAS,
    "environment": {"image": "localhost/model:test"},
    "environment_variables": {"SLEEP": "0.05"},
    "request_settings": {"max_concurrent_requests_per_instance": 2, "max_queue_wait_ms": 20000, "request_timeout_ms": 60000},
    "readiness_probe": {"initial_delay": 1, "period": 1},
}


def convert(folder, namespace):
    """Returns the resources that the image's `inference-router convert` makes from the files."""
    files = []
    for name, described in (("endpoint.yml", ENDPOINT_FILE), ("blue.yml", DEPLOYMENT_FILE)):
        (folder / name).write_text(yaml.dump(described))
        files.append(folder / name)
    folder.chmod(0o755)
    return run(ROOT / "tests" / "image" / "podman.sh", "run", "--rm", "--network", "none",
               "--cgroup-parent", os.environ["OWN_MACHINE_CGROUP"], "--volume", f"{folder}:{folder}:ro",
               "localhost/inference-router:test", "convert", *files, "--namespace", namespace)


@dataclass
class Scene:
    """`address`, `port` and `tls`: how clients reach the router, through its Service."""
    cluster: object
    helm: object
    authority: object
    folder: Path

    def install(self):
        """Returns when helm reports that the release is ready."""
        for name in (NAMESPACE, MODELS):
            self.cluster.create_namespace(name)
        self.cluster.api.patch(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": RESTRICTED}})
        pair = self.authority.issue("router.test")
        files = {"cert.pem": pair.certificate, "key.pem": pair.key}
        data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": VALUES["sslSecret"]}, "data": data}, NAMESPACE)
        begun = time.monotonic()
        self.helm.install(RELEASE, NAMESPACE, VALUES, "--wait", "--timeout", f"{PATIENCE - 10}s")
        print(f"helm install --wait: {time.monotonic() - begun:.0f} s")
        service = self.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{ROUTER}")
        [port] = service["spec"]["ports"]
        self.address, self.port, self.node_port = service["spec"]["clusterIP"], port["port"], port["nodePort"]
        self.tls = self.authority.client_context()

    def upgrade(self, **values):
        """Upgrades the release with these additional values. Returns when helm reports that it is ready."""
        self.helm.upgrade(RELEASE, NAMESPACE, {**VALUES, **values}, "--wait", "--timeout", f"{PATIENCE - 10}s")

    def add_models(self):
        """Returns when the endpoint's status is ready."""
        self.cluster.apply(secret(), MODELS)
        self.cluster.apply(convert(self.folder, MODELS), MODELS)
        self.rolled_out(MODEL, MODELS)
        self.cluster.kubectl("wait", "--for=condition=Ready", f"irep/{ENDPOINT}", "-n", MODELS, "--timeout=110s")

    def connect(self, address=None, port=None):
        return Client(port or self.port, host=address or self.address, tls=self.tls, server_name="router.test")

    def through_node_port(self):
        return self.connect(ADDRESS, self.node_port)

    # Deployments and their Pods
    def restart(self, deployment, namespace):
        """Returns when other Pods have replaced the present ones and these are removed. The result is their last statuses."""
        before = {pod["metadata"]["name"] for pod in self.pods(deployment, namespace)}
        last = _Last(self.cluster.api, namespace, before)
        self.cluster.kubectl("rollout", "restart", f"deployment/{deployment}", "-n", namespace)
        self.rolled_out(deployment, namespace)
        return last.statuses()

    def rolled_out(self, deployment, namespace):
        self.cluster.kubectl("rollout", "status", f"deployment/{deployment}", "-n", namespace, "--timeout=110s")

    def pods(self, deployment, namespace):
        described = self.cluster.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
        labels = described["spec"]["selector"]["matchLabels"]
        return self.cluster.api.items(f"/api/v1/namespaces/{namespace}/pods",
                                      labelSelector=",".join(f"{name}={value}" for name, value in labels.items()))

    def release_pods(self):
        path = f"/api/v1/namespaces/{NAMESPACE}/pods"
        return self.cluster.api.items(path, labelSelector=f"app.kubernetes.io/instance={RELEASE}")

    def _process_of(self, pod):
        """Returns the process id of its container."""
        [status] = pod["status"]["containerStatuses"]
        container = status["containerID"].removeprefix("containerd://")
        return {line.split()[0]: int(line.split()[1]) for line in self.cluster.ctr("tasks", "ls").splitlines()[1:]}[container]

    def kill_container(self, pod):
        """Sends SIGKILL to the container's process and waits for its end."""
        process = self._process_of(pod)
        begun = time.monotonic()
        os.kill(process, 9)
        eventually(lambda: _has_ended(process), "the container's process to end")
        return Kill(f"{pod['status']['podIP']}:5001", begun, time.monotonic())

    def metrics(self):
        """Returns the metrics of the only router."""
        service = self.cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{ROUTER}-internal")
        answer = requests.get(f"http://{service['spec']['clusterIP']}:9901/metrics", timeout=10)
        return Metrics(answer.text)

    def wait_restarted(self, pod):
        """Waits until its container runs again and is ready, and the router sends requests to it."""
        self.wait_container_restarted(pod, MODEL, MODELS)
        # The ready container ends its ejection, as soon as the router is notified.
        eventually(lambda: self.metrics().value("replicas", state="ejected") == 0, "no replica to be ejected", patience=5, pause=0.1)

    def wait_container_restarted(self, pod, deployment, namespace):
        def again():
            [now] = [one for one in self.pods(deployment, namespace) if one["metadata"]["uid"] == pod["metadata"]["uid"]]
            [status] = now["status"]["containerStatuses"]
            return status["ready"] and status["restartCount"] == 1
        eventually(again, "the container to be ready again", patience=PATIENCE, pause=0.2)

    # several routers
    def metrics_of(self, pod):
        return Metrics(requests.get(f"http://{pod['status']['podIP']}:9901/metrics", timeout=10).text)

    def wait_three_routers(self):
        """Waits until three routers are ready and are one fleet, and no others are left. Returns their Pods."""
        def three():
            pods = self.release_pods()
            if len(pods) != 3 or not all(pod["status"]["containerStatuses"][0]["ready"] for pod in pods):
                return None
            return pods if all(self.metrics_of(pod).value("fleet_members", state="serving") == 3 for pod in pods) else None
        return eventually(three, "three routers that are one fleet", patience=PATIENCE, pause=0.2)

    def home(self):
        """Returns the Pod of the router that is home of the models."""
        [home] = [pod for pod in self.release_pods() if self.metrics_of(pod).value("slots") > 0]
        return home

    def set_slots(self, slots):
        """Gives each model so many slots, and waits until the routers use that number."""
        change = {"spec": {"request_settings": {"max_concurrent_requests_per_instance": slots}}}
        self.cluster.kubectl("patch", "irdep", MODEL, "-n", MODELS, "--type=merge", "-p", json.dumps(change))
        eventually(lambda: sum(self.metrics_of(pod).value("slots") for pod in self.release_pods()) == slots * REPLICAS,
                   "the routers to know the slots", patience=PATIENCE, pause=0.2)

    def most_at_once(self, since):
        """Returns, for each model, how many requests it had at most at the same time since then, from its own record."""
        most = []
        for pod in self.pods(MODEL, MODELS):
            lines = Path(f"/proc/{self._process_of(pod)}/root/tmp/record").read_text().splitlines()
            events = [json.loads(line) for line in lines]
            most.append(max(concurrent for _, _, at, concurrent in events if at >= since))
        return most

    def access_lines(self, outcomes):
        """Returns the access log's line of each outcome, by request id, from the kubelet's file of the container's output."""
        wanted = {one.id for one in outcomes}

        def lines():
            found = {}
            for file in (self.cluster.folder / "pods").glob(f"{NAMESPACE}_{ROUTER}-*/router/*.log"):
                for line in file.read_text().splitlines():
                    _, stream, _, text = line.split(" ", 3)
                    if stream == "stdout" and text.startswith("{"):
                        told = json.loads(text)
                        found[told["XRequestId"]] = told
            return found if wanted <= found.keys() else None
        return eventually(lines, "a line of the access log for each request", pause=0.2)


def _has_ended(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class _Last:
    """Watches some Pods until they are removed, and keeps the last version of each."""

    def __init__(self, api, namespace, names):
        path = f"/api/v1/namespaces/{namespace}/pods"
        self._names, self._pods, self._gone = set(names), {}, set()
        version = api.get(path)["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._follow, args=(api, path, version), daemon=True)
        self._thread.start()

    def _follow(self, api, path, version):
        for kind, pod in api.watch(path, version, timeoutSeconds=2 * PATIENCE):
            name = pod["metadata"]["name"]
            self._pods[name] = pod
            if kind == "DELETED":
                self._gone.add(name)
            if self._names <= self._gone:
                return

    def statuses(self):
        """Returns the last statuses when the Pods are removed."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the end of some Pods was not seen"
        return [self._pods[name]["status"] for name in self._names]
