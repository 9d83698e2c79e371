"""ServiceMonitor and PrometheusRule, as the Prometheus operator defines them."""

import subprocess
from pathlib import Path

import requests

from support.wait import eventually

from .api import ApiError

GROUP = "monitoring.coreos.com"
KINDS = ["servicemonitors", "prometheusrules"]
SCRIPT = Path(__file__).resolve().parents[1] / "operator_kinds.sh"


def install(cluster):
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        cluster.apply(Path(done.stdout.strip()) / f"{GROUP}_{kind}.yaml")

    def served():
        try:
            return [cluster.api.items(f"/apis/{GROUP}/v1/{kind}") for kind in KINDS]
        except (ApiError, requests.RequestException):  # also 429, while the API server installs the new kinds
            return None
    eventually(served, "the kinds to be served", patience=30, pause=0.1)
