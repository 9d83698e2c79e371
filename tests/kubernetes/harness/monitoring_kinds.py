"""ServiceMonitor and PrometheusRule, as the Prometheus operator defines them."""

import subprocess
from pathlib import Path

GROUP = "monitoring.coreos.com"
KINDS = ["servicemonitors", "prometheusrules"]
SCRIPT = Path(__file__).resolve().parents[1] / "operator_kinds.sh"


def install(cluster):
    done = subprocess.run([SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for kind in KINDS:
        cluster.apply(Path(done.stdout.strip()) / f"{GROUP}_{kind}.yaml")
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{kind}.{GROUP}" for kind in KINDS))
