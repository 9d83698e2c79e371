"""The chart's examples for autoscalers that are not the router's: an API server accepts them, and what they name exists."""

import json
from urllib.parse import urlsplit

import yaml

from harness.helm import CHART
from harness.variants import HTTP

HPA = CHART / "examples" / "demand-hpa.yaml"
KEDA = CHART / "examples" / "demand-keda.yaml"


def test_an_api_server_accepts_the_horizontal_pod_autoscaler(cluster, namespace):
    text = HPA.read_text()
    assert text.count("namespace: team-a") == 1
    accepted = json.loads(cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-",
                                          input=text.replace("namespace: team-a", f"namespace: {namespace}")))
    [metric] = accepted["spec"]["metrics"]
    assert metric["type"] == "External" and metric["external"]["metric"]["name"] == "inference_router_demand_slots"
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": "1400m"}
    assert accepted["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "my-endpoint-blue"}
    assert accepted["spec"]["minReplicas"] == 1


def test_both_ask_for_the_same_replicas_of_the_same_target():
    hpa, scaled = (yaml.safe_load(file.read_text())["spec"] for file in (HPA, KEDA))
    assert hpa["scaleTargetRef"] == scaled["scaleTargetRef"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (scaled["minReplicaCount"], scaled["maxReplicaCount"])
    [trigger] = scaled["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("metrics-api", "AverageValue")
    value = hpa["metrics"][0]["external"]["target"]["averageValue"]
    assert int(value.removesuffix("m")) / 1000 == float(trigger["metadata"]["targetValue"])


def test_keda_asks_the_service_that_the_chart_makes(helm):
    release, home = "inference-router", "models"
    rendered = helm("template", release, CHART, "--namespace", home, "--show-only", "templates/service.yaml", values=HTTP)
    ports = {one["metadata"]["name"]: {port["name"]: port["port"] for port in one["spec"]["ports"]} for one in yaml.safe_load_all(rendered)}
    object_ = yaml.safe_load(KEDA.read_text())
    metadata = object_["spec"]["triggers"][0]["metadata"]
    url = urlsplit(metadata["url"])
    service, namespace, kind = url.hostname.split(".")
    assert (url.scheme, namespace, kind) == ("http", home, "svc")
    assert ports[service]["observe"] == url.port
    root, route, *name = url.path.split("/")
    assert (root, route) == ("", "scaling")
    assert name == [object_["metadata"]["namespace"], "my-endpoint", "blue"]
    assert "-".join(name[1:]) == object_["spec"]["scaleTargetRef"]["name"]
    # The keys of https://keda.sh/docs/2.20/scalers/metrics-api/. The values are texts.
    assert metadata.keys() == {"url", "valueLocation", "targetValue", "activationTargetValue"}
    assert all(isinstance(one, str) for one in metadata.values())
