"""The router's own kinds and what belongs to them, as a user of the cluster writes them. The names fit each other: the endpoint
`my-endpoint` (which support.client asks for), its Secret `my-endpoint-keys`, its deployment `blue` with the Service
`my-endpoint-blue`."""

import base64

import requests

from support.client import PRIMARY, SECONDARY
from support.router import ROOT
from support.wait import eventually

from .api import ApiError

GROUP = "inference-router.dev"
VERSION = f"{GROUP}/v1alpha1"
ENDPOINT = "my-endpoint"
MODEL = f"{ENDPOINT}-blue"  # the Service and the Deployment of its deployment `blue`
SETTINGS = {"max_queue_wait_ms": 20000, "request_timeout_ms": 60000}  # patience: what fails is not for want of time


def path(plural, namespace, name=None):
    """Of OnlineEndpoints, OnlineDeployments, EndpointSlices or Secrets in the API server."""
    group = {"endpointslices": "apis/discovery.k8s.io/v1", "secrets": "api/v1"}.get(plural, f"apis/{VERSION}")
    return f"/{group}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def online_endpoint(name=ENDPOINT, traffic=None, router=(), **spec):
    """Without `traffic` its deployment `blue` gets all."""
    more = {"router": dict(router)} if router else {}
    return {"apiVersion": VERSION, "kind": "OnlineEndpoint", "metadata": {"name": name},
            "spec": {"auth_mode": "key", "traffic": {"blue": 100} if traffic is None else traffic, **more, **spec}}


def online_deployment(name="blue", endpoint=ENDPOINT, slots=2, router=(), **settings):
    """`settings` are the keys of `request_settings`."""
    more = {"router": dict(router)} if router else {}
    return {"apiVersion": VERSION, "kind": "OnlineDeployment", "metadata": {"name": f"{endpoint}-{name}"},
            "spec": {"name": name, "endpoint_name": endpoint, **more,
                     "request_settings": {"max_concurrent_requests_per_instance": slots, **SETTINGS, **settings}}}


def keys(primary=PRIMARY, secondary=SECONDARY):
    """`data` of a Secret."""
    return {name: base64.b64encode(key.encode()).decode() for name, key in (("primaryKey", primary), ("secondaryKey", secondary))}


def secret(name=f"{ENDPOINT}-keys", **given):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": keys(**given)}


def endpoint_slice(name, service, addresses, labels=(), port=5001, targets=None):
    """By hand, not by Kubernetes' controller. `targets`: the targetRef of each address."""
    endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in addresses]
    for one, target in zip(endpoints, targets or []):
        one["targetRef"] = target
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, **dict(labels)}},
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}], "endpoints": endpoints}


def install(cluster):
    """The kinds, as the chart brings them."""
    cluster.apply(ROOT / "charts" / "inference-router" / "files" / "crds")

    def served():
        try:
            return [cluster.api.items(f"/apis/{VERSION}/{plural}") for plural in ("onlineendpoints", "onlinedeployments")]
        except (ApiError, requests.RequestException):
            return None
    eventually(served, "the kinds to be served", patience=30)


def rights(secrets=True, pods=False):
    """What a router needs to know in a namespace; `pods`: also if it adopts them."""
    read = ["get", "list", "watch"]
    rules = [{"apiGroups": [GROUP], "resources": ["onlineendpoints", "onlinedeployments"], "verbs": read},
             {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read}]
    core = ["secrets"] * secrets + ["pods"] * pods
    return rules + ([{"apiGroups": [""], "resources": core, "verbs": read}] if core else [])
