"""Deployments of model servers that a router may scale."""

import pytest

from .api import ApiError
from .objects import deployment, service
from .resources import ENDPOINT, MODEL, online_deployment, online_endpoint, secret

MANAGER = "inference-router-scaler"  # the field manager of all routers
HPAS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"


def scaled_for(described, name="blue", endpoint=ENDPOINT):
    """Returns the Deployment with the annotation that allows the router to scale it for that deployment."""
    metadata = described["metadata"]
    annotations = {**metadata.get("annotations", {}), "inference-router.dev/scaled-for": f"{endpoint}/{name}"}
    return {**described, "metadata": {**metadata, "annotations": annotations}}


def scale_rights():
    """Returns the rights that a router needs in a namespace to scale, in addition to resources.rights."""
    return [{"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get"]},
            {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get", "update"]},
            {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]}]


def autoscaler(target, minimum=1, maximum=10, name="other"):
    """Returns a HorizontalPodAutoscaler. Without metrics, its controller only keeps to the minimum and the maximum."""
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                     "minReplicas": minimum, "maxReplicas": maximum, "metrics": [metric]}}


class ScaledModel:
    """The Deployment behind my-endpoint/blue."""

    def __init__(self, cluster, namespace, pods):
        self._cluster, self._namespace, self._pods = cluster, namespace, pods
        self.path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{MODEL}"

    def read(self):
        return self._cluster.api.get(self.path)

    @property
    def replicas(self):
        """Its spec.replicas."""
        return self.read()["spec"]["replicas"]

    def ready(self, count):
        """Waits until it has exactly so many Pods, all ready, and returns them."""
        return self._pods.ready(self._namespace, count, app=MODEL)

    def scale(self, replicas):
        """Sets spec.replicas as a user does."""
        self._cluster.kubectl("scale", f"deployment/{MODEL}", f"--replicas={replicas}", "-n", self._namespace)

    def write(self, replicas, api=None, version=None):
        """Sets spec.replicas as a router does that has seen the resourceVersion `version`. Without one, it reads the newest, again after
        each conflict: the controllers change it with the status."""
        api = api or self._cluster.api
        while True:
            seen = version or api.get(self.path)["metadata"]["resourceVersion"]
            scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": replicas},
                     "metadata": {"name": MODEL, "namespace": self._namespace, "resourceVersion": seen}}
            try:
                return api.send("PUT", f"{self.path}/scale", scale, fieldManager=MANAGER).json()
            except ApiError as error:
                if version or error.status != 409:
                    raise

    def owners(self):
        """Returns (manager, operation) of each owner of spec.replicas."""
        fields = self._cluster.api.get(self.path)["metadata"].get("managedFields", [])
        return {(one["manager"], one["operation"]) for one in fields if "f:replicas" in one["fieldsV1"].get("f:spec", {})}


@pytest.fixture
def scaled(cluster, namespace, pods, kinds):
    """Applies my-endpoint with its deployment `blue` of so many Pods, waits until they are ready, and returns its ScaledModel:
    `scaled(1, slots=2, sleep=0.5, annotations={"test/ready-delay": "2"}, spec={"scale_settings": {…}})`. `annotations` are those of
    the Pods (kubelet.py); `spec` has more fields of the OnlineDeployment. Without `mark`, the router may not scale it."""
    def make(replicas, slots=1, sleep=0.0, mark=True, annotations=(), spec=()):
        resource = online_deployment(slots=slots)
        resource["spec"].update(dict(spec))
        model = deployment(MODEL, replicas, environment={"SLEEP": sleep}, annotations=annotations)
        cluster.apply([secret(), online_endpoint(), resource, service(MODEL), scaled_for(model) if mark else model], namespace)
        made = ScaledModel(cluster, namespace, pods)
        made.ready(replicas)
        return made
    return make
