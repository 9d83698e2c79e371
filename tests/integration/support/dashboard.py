"""The queries that the chart's Grafana dashboard sends to Prometheus, without Grafana."""

import json
import re
from dataclasses import dataclass

from .router import ROOT

CHART = ROOT / "charts" / "inference-router"
FILE = CHART / "dashboards" / "inference-router.json"
RULES = CHART / "files" / "rules.yaml"
METRIC = re.compile(r"inference_router_\w+?(?=_bucket|_sum\b|_count\b|\b)")
# A router that reads only files does not have these metrics.
OF_A_CLUSTER = {"inference_router_discovery_age_seconds", "inference_router_resources_refused", "inference_router_events_dropped_total"}
# Only a router that follows resources has an autoscaler.
OF_THE_AUTOSCALER = {"inference_router_demand_slots", "inference_router_held_requests", "inference_router_held_bytes"} | {
    f"inference_router_scaling_{name}" for name in ("demand_slots", "wanted_replicas", "current_replicas", "pod_start_seconds", "limited",
                                                    "writes_total")}


@dataclass(frozen=True)
class Query:
    panel: str
    expression: str  # with the dashboard's variables filled in
    legend: str
    instant: bool

    @property
    def metrics(self):
        return set(METRIC.findall(self.expression))

    @property
    def needs_cluster(self):
        return bool(self.metrics & OF_A_CLUSTER)

    @property
    def needs_autoscaler(self):
        return bool(self.metrics & OF_THE_AUTOSCALER)


@dataclass(frozen=True)
class Panel:
    described: dict  # as in the file
    queries: list

    @property
    def title(self):
        return self.described["title"]

    @property
    def kind(self):
        return self.described["type"]


class Dashboard:
    """`interval`: of the scrapes, in seconds. Every variable stands for all its values, as when Grafana first shows the dashboard."""

    def __init__(self, interval=1):
        whole = json.loads(FILE.read_text())
        self.variables = {one["name"]: one for one in whole["templating"]["list"]}
        self._values = {"__rate_interval": f"{4 * interval}s"}  # the rule that Grafana uses
        self._values.update((name, one["allValue"]) for name, one in self.variables.items() if "allValue" in one)
        self.panels = [Panel(one, [self._query(one, target) for target in one.get("targets", [])]) for one in whole["panels"]]

    def _query(self, panel, target):
        return Query(panel["title"], self.fill_in(target["expr"]), target["legendFormat"], target["instant"])

    def fill_in(self, text):
        filled = re.sub(r"\$(\w+)", lambda match: self._values[match[1]], text)
        assert "$" not in filled, filled
        return filled

    @property
    def queries(self):
        return [query for panel in self.panels for query in panel.queries]

    def variable_queries(self):
        """Returns (name, metric with its selector, label) of each variable that queries Prometheus."""
        for name, one in self.variables.items():
            if one["type"] == "query":
                match = re.fullmatch(r"label_values\((.*), (\w+)\)", self.fill_in(one["query"]["query"]))
                assert match, one["query"]
                yield name, match[1], match[2]
