"""Objects as a user of the cluster writes them."""

from .kubelet import NODE, PORT


def deployment(name, replicas=1, labels=(), environment=(), annotations=(), grace=30, **spec):
    """Returns a Deployment of model servers. `annotations` are those of its Pods (kubelet.py); `spec` has more fields of the Deployment."""
    labels = {"app": name, **dict(labels)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels, "annotations": dict(annotations)},
                "spec": {
                    "nodeName": NODE,
                    "terminationGracePeriodSeconds": grace,
                    "containers": [{
                        "name": "model",
                        "image": "model-server",
                        "ports": [{"name": "http", "containerPort": PORT}],
                        "env": [{"name": name, "value": str(value)} for name, value in dict(environment).items()],
                        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                    }],
                },
            },
            **spec,
        },
    }


def service(name, app=None, port=80):
    """Returns a Service for the Pods of the Deployment with that name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app or name}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]},
    }
