"""The router's own kinds and the objects that belong to them, as a user of the cluster writes them. Their names match: the endpoint
`my-endpoint` (which support.client sends requests to), its Secret `my-endpoint-keys`, its deployment `blue` with the Service
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
MODEL = f"{ENDPOINT}-blue"  # name of the Service and the Deployment of its deployment `blue`
SETTINGS = {"max_queue_wait_ms": 20000, "request_timeout_ms": 60000}  # long timeouts, so that no request fails because of them


def path(plural, namespace, name=None):
    """Returns the path of OnlineEndpoints, OnlineDeployments, EndpointSlices or Secrets at the API server."""
    group = {"endpointslices": "apis/discovery.k8s.io/v1", "secrets": "api/v1"}.get(plural, f"apis/{VERSION}")
    return f"/{group}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def online_endpoint(name=ENDPOINT, traffic=None, router=(), **spec):
    """Without `traffic`, its deployment `blue` gets all requests."""
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
    """Returns `data` of a Secret."""
    return {name: base64.b64encode(key.encode()).decode() for name, key in (("primaryKey", primary), ("secondaryKey", secondary))}


def secret(name=f"{ENDPOINT}-keys", **given):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": keys(**given)}


def endpoint_slice(name, service, addresses, labels=(), port=5001, targets=None):
    """Returns a slice that Kubernetes' controller did not write. `targets`: the targetRef of each address."""
    endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in addresses]
    for one, target in zip(endpoints, targets or []):
        one["targetRef"] = target
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service, **dict(labels)}},
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}], "endpoints": endpoints}


def install(cluster):
    """Installs the kinds of the chart."""
    cluster.apply(ROOT / "charts" / "inference-router" / "files" / "crds")

    def served():
        try:
            return [cluster.api.items(f"/apis/{VERSION}/{plural}") for plural in ("onlineendpoints", "onlinedeployments")]
        except (ApiError, requests.RequestException):
            return None
    eventually(served, "the kinds to be served", patience=30)


def rights(secrets=True, pods=False):
    """Returns the rights that a router needs in a namespace. `pods`: also those to adopt Pods."""
    read = ["get", "list", "watch"]
    rules = [{"apiGroups": [GROUP], "resources": ["onlineendpoints", "onlinedeployments"], "verbs": read},
             {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read}]
    core = ["secrets"] * secrets + ["pods"] * pods
    return rules + ([{"apiGroups": [""], "resources": core, "verbs": read}] if core else [])
