"""A release of the chart in a namespace that enforces the Pod Security Standard `restricted`, with an endpoint that it serves."""

import base64
from dataclasses import dataclass, field

from support.client import PRIMARY
from support.wait import eventually

from .api import Api, ApiError
from .identity import RBAC
from .objects import deployment, service
from .resources import keys, online_deployment, online_endpoint

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
SERVER_NAME = "models.test"  # name in the certificate of `router-tls`
PATIENCE = 60  # seconds: several releases are installed at the same time
# The objects of a release, except its kinds.
OBJECTS = [
    "/apis/apps/v1/deployments", "/api/v1/services", "/api/v1/configmaps", "/api/v1/serviceaccounts", f"{RBAC}/roles",
    f"{RBAC}/rolebindings", f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings", "/apis/policy/v1/poddisruptionbudgets",
    "/apis/networking.k8s.io/v1/networkpolicies", "/apis/monitoring.coreos.com/v1/servicemonitors",
    "/apis/monitoring.coreos.com/v1/prometheusrules",
]


def restricted_deployment(name, **options):
    """Returns a Deployment of model servers that a namespace with the standard `restricted` admits."""
    described = deployment(name, **options)
    spec = described["spec"]["template"]["spec"]
    spec["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec["containers"][0]["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return described


@dataclass
class Release:
    """`served`: the namespace of the models, if it is not that of the release. Its endpoint is `{prefix}{name}-model`."""
    cluster: object
    helm: object
    authority: object  # for the certificate, if the values need one
    name: str
    values: dict
    served: str = None
    routers: int = 1
    prefix: str = ""
    namespace: str = field(init=False)

    def __post_init__(self):
        self.namespace = f"release-{self.name}"
        self.served = self.served or self.namespace
        self.endpoint = f"{self.prefix}{self.name}-model"
        self.model = f"{self.endpoint}-blue"

    # changes
    def prepare(self):
        """Creates the namespaces, and the Secret of the certificate."""
        for name in {self.namespace, self.served}:
            self.cluster.create_namespace(name)
            self.cluster.api.patch(f"/api/v1/namespaces/{name}", {"metadata": {"labels": RESTRICTED}})
        if "sslSecret" in self.values:
            names = self.values.get("sslSecretKeys", {"certificate": "cert.pem", "privateKey": "key.pem"})
            pair = self.authority.issue(SERVER_NAME)
            content = {names["certificate"]: pair.certificate, names["privateKey"]: pair.key}
            self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.values["sslSecret"]}, "data": {
                key: base64.b64encode(path.read_bytes()).decode() for key, path in content.items()}}, self.namespace)

    def install(self, *options, **more):
        """Returns helm's output."""
        return self.helm.install(self.name, self.namespace, self.values, *options, **more)

    def add_endpoint(self, **settings):
        """Adds an endpoint with a model server, and its keys unless the router makes them. The Pods are adopted by their labels if the
        values allow it."""
        labels = {}
        if self.values.get("adoptAzureMLPods"):
            settings["router"] = {"adoptAzureMLPods": True}
            labels = {"ml.azure.com/endpoint-name": self.endpoint, "ml.azure.com/deployment-name": "blue"}
        objects = [online_endpoint(self.endpoint), online_deployment(endpoint=self.endpoint, **settings),
                   restricted_deployment(self.model, labels=labels)]
        if not labels:
            objects.append(service(self.model))
        if not self.values.get("createKeys"):
            objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{self.endpoint}-keys"}, "data": keys()})
        self.cluster.apply(objects, self.served)

    def add_refused_endpoint(self):
        """Adds an endpoint with a mistake that only the router notices."""
        self.cluster.apply(online_endpoint(f"{self.prefix}refused", traffic={"blue": 50, "Blue": 50}), self.served)

    def pods(self, count=None):
        """Returns its routers' Pods when all are Ready."""
        count = self.routers if count is None else count
        return self.cluster.pods.ready(self.namespace, count, patience=PATIENCE, **{"app.kubernetes.io/instance": self.name})

    def scored(self):
        """Waits until the endpoint answers through each router. Returns the statuses of the last answers."""
        self.cluster.pods.ready(self.served, 1, patience=PATIENCE, app=self.model)
        return [eventually(lambda pod=pod: self._score(pod), f"{self.endpoint} to answer through {pod.name}", PATIENCE, 0.1)
                for pod in self.pods()]

    def _score(self, pod):
        tls = self.authority.client_context() if "https" in pod.ports else None
        with pod.connect(tls, SERVER_NAME) as client:
            answer = client.exchange(b"{}", path=f"/api/v1/endpoint/{self.endpoint}/score", key=self.key())
        return answer.status if answer.status == 200 else None

    def key(self):
        if not self.values.get("createKeys"):
            return PRIMARY
        path = f"/api/v1/namespaces/{self.served}/secrets/{self.endpoint}-keys"
        found = self.cluster.api.items(path.rpartition("/")[0], fieldSelector=f"metadata.name={self.endpoint}-keys")
        return base64.b64decode(found[0]["data"].get("primaryKey", "")).decode() if found else "none-yet"

    # state
    def object(self, path, name=None):
        """`object("apps/v1/deployments")`: the object with the release's name."""
        group, _, plural = path.rpartition("/")
        root = "api" if group == "v1" else "apis"
        return self.cluster.api.get(f"/{root}/{group}/namespaces/{self.namespace}/{plural}/{name or self.full_name}")

    @property
    def full_name(self):
        return self.name if "inference-router" in self.name else f"{self.name}-inference-router"

    @property
    def user(self):
        return f"system:serviceaccount:{self.namespace}:{self.full_name}"

    def rules(self):
        """Returns all that its roles allow: {(verb, group, resource)}."""
        allowed = set()
        for kind in ("roles", "clusterroles"):
            for role in self._labelled(f"{RBAC}/{kind}"):
                allowed |= {(verb, group, resource) for rule in role["rules"] for verb in rule["verbs"]
                            for group in rule["apiGroups"] for resource in rule["resources"]}
        return allowed

    def asked(self, decision="allow"):
        """Returns the requests of its routers for which the API server made this decision: {(verb, group, resource)}."""
        asked = set()
        for event in self.cluster.audited(self.user):
            what = event.get("objectRef", {})
            if event.get("annotations", {}).get("authorization.k8s.io/decision") == decision and "resource" in what:
                subresource = f"/{what['subresource']}" if "subresource" in what else ""
                asked.add((event["verb"], what.get("apiGroup", ""), what["resource"] + subresource))
        return asked

    def kinds(self):
        """Returns the types of its objects: {"deployments", "services", …}."""
        return {path.rpartition("/")[2] for path in OBJECTS if self._labelled(path)}

    def _labelled(self, path):
        return self.cluster.api.items(path, labelSelector=f"app.kubernetes.io/instance={self.name}")

    def may_read_secrets(self, namespace):
        """Whether its service account may read them."""
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{self.full_name}/token"
        token = self.cluster.api.post(path, {"spec": {"expirationSeconds": 600}})["status"]["token"]
        account = Api(self.cluster.url, self.cluster.ca_file, token)
        try:
            account.items(f"/api/v1/namespaces/{namespace}/secrets")
            return True
        except ApiError as error:
            assert error.status == 403, error
            return False
