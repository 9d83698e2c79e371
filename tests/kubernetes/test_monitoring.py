"""The chart's objects for Prometheus and Grafana, on a real API server with the Prometheus operator's kinds; and the metrics that only a
router has which follows an API server."""

import json
import subprocess

import pytest

from harness import monitoring_kinds
from harness.api import ApiError
from harness.following import wait_served
from harness.helm import CHART, Helm
from harness.monitoring_kinds import GROUP
from harness.objects import deployment, service
from harness.resources import MODEL, online_deployment, online_endpoint, secret
from support.dashboard import FILE, OF_A_CLUSTER, RULES, Dashboard
from support.prometheus import Prometheus
from support.wait import eventually

TEMPLATES = ["dashboard", "prometheusrule", "service", "servicemonitor"]
RELEASE = "inference-router"
VALUES = {"allowInsecureConnections": True, "monitoring": {
    "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboard": {"enabled": True, "labels": {"grafana_dashboard": "1"}, "annotations": {"grafana_folder": "Models"}}}}


@pytest.fixture(scope="module")
def operator_kinds(cluster):
    monitoring_kinds.install(cluster)


@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    return Helm(tmp_path_factory.mktemp("helm"))


def render(helm, namespace, values=VALUES, templates=TEMPLATES):
    shown = [option for name in templates for option in ("--show-only", f"templates/{name}.yaml")]
    return helm("template", RELEASE, CHART, "--namespace", namespace, *shown, values=values)


def get(cluster, namespace, kind):
    return cluster.api.get(f"/apis/{GROUP}/v1/namespaces/{namespace}/{kind}/{RELEASE}")


@pytest.fixture
def installed(cluster, operator_kinds, namespace, helm):
    """Applies the objects for monitoring and the Services to the namespace. The API server refuses fields that their kinds do not have."""
    cluster.apply(render(helm, namespace), namespace)
    return namespace


def test_the_service_monitor_chooses_one_port_of_one_service(cluster, installed):
    monitor = get(cluster, installed, "servicemonitors")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "observe", "path": "/metrics", "interval": "15s",
                        "relabelings": [{"action": "labeldrop", "regex": "endpoint"}]}
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [installed]}
    labels = monitor["spec"]["selector"]["matchLabels"]
    chosen = [(one["metadata"]["name"], port["port"])
              for one in cluster.api.items(f"/api/v1/namespaces/{installed}/services",
                                           labelSelector=",".join(f"{name}={value}" for name, value in labels.items()))
              for port in one["spec"]["ports"] if port["name"] == endpoint["port"]]
    assert chosen == [(f"{RELEASE}-internal", 9901)]


def test_the_rules_arrive_whole(cluster, installed, tmp_path):
    rule = get(cluster, installed, "prometheusrules")
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    arrived = tmp_path / "rules.json"  # JSON is YAML
    arrived.write_text(json.dumps(rule["spec"]))
    done = subprocess.run(["promtool", "check", "rules", "--lint-fatal", arrived], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [one["alert"] for group in rule["spec"]["groups"] for one in group["rules"]]
    assert names and len(names) == RULES.read_text().count("- alert: ")


def test_the_dashboard_arrives_whole(cluster, installed):
    described = cluster.api.get(f"/api/v1/namespaces/{installed}/configmaps/{RELEASE}-dashboard")
    assert described["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert described["metadata"]["annotations"] == {"grafana_folder": "Models"}
    assert json.loads(described["data"]["inference-router.json"]) == json.loads(FILE.read_text())


def test_nothing_of_it_is_there_unless_asked_for(helm):
    rendered = helm("template", RELEASE, CHART, values={"allowInsecureConnections": True})
    assert GROUP not in rendered and "grafana" not in rendered


@pytest.mark.parametrize("kind, wrong", [
    ("servicemonitors", {"endpoints": [{"port": "observe", "interval": "often"}]}),
    ("prometheusrules", {"groups": [{"name": "a", "rules": [{"alert": "A", "expr": "1", "for": "a while"}]}]}),
])
def test_the_api_server_knows_what_these_kinds_may_say(cluster, installed, kind, wrong):
    """Otherwise the tests above would prove nothing."""
    with pytest.raises(ApiError) as refusal:
        cluster.api.patch(f"/apis/{GROUP}/v1/namespaces/{installed}/{kind}/{RELEASE}", {"spec": wrong})
    assert refusal.value.status == 422


def test_what_only_a_cluster_has_is_on_the_dashboard(cluster, installed, namespace, kinds, pods, follow, tmp_path):
    cluster.apply([online_endpoint(), online_deployment(), secret(), deployment(MODEL, replicas=1), service(MODEL)], namespace)
    pods.ready(namespace, 1)
    router = follow()
    wait_served(router, 1)
    relabelings = get(cluster, namespace, "servicemonitors")["spec"]["endpoints"][0]["relabelings"]
    prometheus = Prometheus(tmp_path / "prometheus", {f"127.0.0.1:{router.observe_port}": {"instance": router.folder.name}},
                            rules=[RULES], relabelings=relabelings)
    try:
        queries = [query for query in Dashboard().queries if query.needs_cluster]
        assert set().union(*(query.metrics for query in queries)) == OF_A_CLUSTER

        def without_data():
            return [query.panel for query in queries if not prometheus.now(query.expression)]
        eventually(lambda: not without_data(), "data for each query", patience=30, pause=0.2)
        # The operator's label `endpoint` would have hidden this one.
        assert [labels["endpoint"] for labels, _ in prometheus.now("inference_router_slots")] == ["my-endpoint"]

        [refused] = [rule["query"] for rule in prometheus.rules() if rule["name"] == "InferenceRouterResourcesRefused"]
        assert prometheus.now(refused) == []
        cluster.apply(online_endpoint("stranger", traffic={"Blue": 50, "blue": 50}), namespace)  # only the router notices this mistake
        eventually(lambda: [value for _, value in prometheus.now(refused)] == [1], "the refused resource to be counted", pause=0.2)
        cluster.kill_api_server()
        eventually(lambda: prometheus.now("inference_router_discovery_age_seconds > 2"), "the age to grow", patience=30, pause=0.2)
    finally:
        prometheus.stop()
