"""helm, and the chart of this checkout."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.router import ROOT

from .cluster import Cluster, programs

CHART = ROOT / "charts" / "inference-router"


@dataclass
class Helm:
    """Runs helm: `helm("list", "-A")`; values are plain objects. Without a cluster: lint and template. `run` returns the finished process.
    All other methods raise an AssertionError with helm's output if helm fails."""
    folder: Path
    cluster: Cluster = None

    def run(self, *arguments, values=None):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        if self.cluster:
            environment["KUBECONFIG"] = str(self.cluster.kubeconfig)
        given = [] if values is None else ["--values", "-"]
        return subprocess.run([programs("helm") / "helm", *map(str, arguments), *given], text=True, capture_output=True, check=False,
                              input=json.dumps(values or {}), timeout=180, env=environment)

    def __call__(self, *arguments, values=None):
        done = self.run(*arguments, values=values)
        assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self, release, namespace, values, *options, chart=CHART):
        return self("install", release, chart, "--namespace", namespace, *options, values=values)

    def upgrade(self, release, namespace, values, *options, chart=CHART):
        return self("upgrade", release, chart, "--namespace", namespace, *options, values=values)

    def uninstall(self, release, namespace):
        return self("uninstall", release, "--namespace", namespace)


def rendered_notes(helm, values, folder, *options):
    """Helm prints NOTES.txt only during an installation. So a copy of the chart has it as the text of a ConfigMap."""
    copy = Path(folder) / CHART.name
    shutil.copytree(CHART, copy, dirs_exist_ok=True)
    notes = (copy / "templates" / "NOTES.txt").read_text()
    (copy / "templates" / "_notes.tpl").write_text('{{- define "told" }}\n' + notes + "{{- end }}\n")
    (copy / "templates" / "notes.yaml").write_text(
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata:\n  told: |\n{{ include "told" . | indent 4 }}\n')
    return helm("template", "models", copy, "--show-only", "templates/notes.yaml", *options, values=values)


def older_chart(folder):
    """Makes a copy of the chart that looks like an older one: another version, one router by default, no values of a fleet and of the
    autoscaler, and a kind without the key `router.drain_on_abort`."""
    copy = Path(folder) / CHART.name
    shutil.copytree(CHART, copy)
    _change(copy / "Chart.yaml", r"(?m)^version: .*$", "version: 0.0.9")
    _change(copy / "values.yaml", r"(?m)^inferenceRouterHA: true\b.*\nfleet:.*\n(?: .*\n)+", "inferenceRouterHA: false\n")
    _change(copy / "values.yaml", r"(?m)^autoscaler: .*\n", "")
    _change(copy / "files" / "crds" / "onlinedeployments.yaml", r" *drain_on_abort: .*\n", "")
    return copy


def _change(path, pattern, by):
    text, count = re.subn(pattern, by, path.read_text())
    assert count == 1, f"{pattern} occurs {count} times in {path}"
    path.write_text(text)
