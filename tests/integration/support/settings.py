"""The files of endpoints and deployments as an Azure ML user writes them, and router.yaml, as plain values."""

from .client import PRIMARY, SECONDARY
from .pod import PROBE


SELDOM = {"period": 1000}  # a readiness probe takes a slot for a moment, which must not happen while a test counts slots


def deployment(pods=(), name="blue", slots=1, router=(), probe=(), route="/score", **settings):
    """Returns a deployment with these replicas (pods or `host:port`). `settings` are the keys of `request_settings`."""
    addresses = [pod if isinstance(pod, str) else pod.address for pod in pods]
    return {
        "name": name,
        "type": "kubernetes",
        "model": {"path": "./model/"},
        "environment": {
            "image": "mcr.microsoft.com/azureml/minimal:latest",
            "inference_config": {
                "scoring_route": {"port": 5001, "path": route},
                "readiness_route": {"port": 5001, "path": PROBE},
                "liveness_route": {"port": 5001, "path": PROBE},
            },
        },
        "request_settings": {"max_concurrent_requests_per_instance": slots, **settings},
        "readiness_probe": {"initial_delay": 0, "period": 1, "timeout": 2, "success_threshold": 1, "failure_threshold": 3,
                            **dict(probe)},
        "instance_count": max(1, len(addresses)),
        "router": {"replicas": addresses, **dict(router)},
    }


def endpoint(*deployments, name="my-endpoint", traffic=None, keys=(PRIMARY, SECONDARY), router=(), **others):
    """Returns an endpoint with its deployments. Without `traffic`, the first deployment gets all requests."""
    if traffic is None:
        traffic = {deployments[0]["name"]: 100} if deployments else {}
    return {
        "endpoint": {"name": name, "compute": "azureml:somewhere", "auth_mode": "Key", "traffic": traffic,
                     "router": dict(router), **others},
        "deployments": [{**one, "endpoint_name": name} for one in deployments],
        "keys": list(keys),
    }
