"""A real Prometheus as a child process that scrapes routers, and its answers to queries."""

import json
import math
import signal
import subprocess
import time
from pathlib import Path

import requests

from .ports import ReservedPort
from .wait import eventually

# A ServiceMonitor adds the name of its port as a label `endpoint`, which the chart drops. This configuration does the same.
TARGET_LABELS = {"namespace": "routers", "endpoint": "observe"}
DROP_ENDPOINT = [{"action": "labeldrop", "regex": "endpoint"}]


class Prometheus:
    """`targets`: labels of each target by its address. Rules are evaluated at the interval of the scrapes."""

    def __init__(self, folder, targets, interval=1, rules=(), relabelings=DROP_ENDPOINT, job="inference-router"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.interval = interval  # seconds
        self._reserved = ReservedPort()
        self._url = f"http://127.0.0.1:{self._reserved.port}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._log_file = self.folder / "prometheus.log"
        self._start({
            "global": {"scrape_interval": f"{interval}s", "scrape_timeout": f"{interval}s", "evaluation_interval": f"{interval}s"},
            "rule_files": [str(one) for one in rules],
            "scrape_configs": [{
                "job_name": job,
                "static_configs": [{"targets": [address], "labels": {**TARGET_LABELS, **labels}} for address, labels in targets.items()],
                "relabel_configs": relabelings,
            }],
        })

    def _start(self, settings):
        config = self.folder / "prometheus.yml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.folder / 'data'}",
                 f"--web.listen-address=127.0.0.1:{self._reserved.port}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            eventually(self._is_ready, "Prometheus to be ready", patience=30, pause=0.05)
        except BaseException:
            self.stop()
            raise

    def _is_ready(self):
        assert self._process.poll() is None, f"Prometheus ended:\n{self._log_file.read_text()[-3000:]}"
        try:
            return self._session.get(self._url + "/-/ready", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._session.close()
        self._reserved.close()

    def _ask(self, path, **parameters):
        """Returns `data` of the answer. A refused query raises an AssertionError with Prometheus' message."""
        answer = self._session.get(self._url + path, params=parameters, timeout=20).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def now(self, expression):
        """Returns (labels, value) of each series of an instant query."""
        data = self._ask("/api/v1/query", query=expression)
        assert data["resultType"] == "vector", data["resultType"]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def over(self, expression, begun, ended=None, step=None):
        """Returns (labels, [(time, value), …]) of each series, from `begun` to `ended` (time.time(); default: now)."""
        data = self._ask("/api/v1/query_range", query=expression, start=begun, end=ended or time.time(), step=step or self.interval)
        return [(one["metric"], [(at, float(value)) for at, value in one["values"]]) for one in data["result"]]

    def has_data(self, expression, begun, instant=False):
        """Whether the result has a value other than NaN."""
        if instant:
            return any(math.isfinite(value) for _, value in self.now(expression))
        return any(math.isfinite(value) for _, values in self.over(expression, begun) for _, value in values)

    def label_values(self, metric, label):
        return self._ask(f"/api/v1/label/{label}/values", **{"match[]": metric})

    def rules(self):
        """Returns every rule, with its `health` and `lastError`."""
        return [rule for group in self._ask("/api/v1/rules")["groups"] for rule in group["rules"]]
