"""The chart as helm renders it, without a cluster: the values that it refuses, and the contents of its objects."""

import json
import re

import pytest
import yaml

from harness.helm import CHART, rendered_notes
from harness.variants import HTTP, ONE, VARIANTS
from support.router import ROOT


@pytest.mark.parametrize("name", VARIANTS)
def test_lint_finds_nothing(helm, name):
    assert "0 chart(s) failed" in helm("lint", CHART, "--strict", values=VARIANTS[name])


@pytest.mark.parametrize("values, told", [
    ({}, "Set sslSecret to the name of a Secret with certificate and key (HTTPS), or allowInsecureConnections=true (HTTP"),
    ({**HTTP, "sslCname": "models.test"}, "set sslSecret, too, or give publicUrl in its place"),
    ({**HTTP, "inferenceRouterServiceType": "NodePort", "internalLoadBalancerProvider": "azure"},
     "internalLoadBalancerProvider needs inferenceRouterServiceType=LoadBalancer, not NodePort: change one of them"),
    ({**HTTP, "inferenceRouterServiceType": "ClusterIP", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
     "networkPolicy.from bounds clients for every type"),
    ({**HTTP, "namespaces": [{"name": "a"}], "rbac": {"clusterWideSecrets": True}}, "leave namespaces empty"),
    ({**HTTP, "namespaces": [{"name": "a"}, {"name": "a", "prefix": "b"}]}, "namespaces lists a twice"),
    ({**HTTP, "proxyProtocol": True}, "list the addresses of the load balancer there"),
    ({**HTTP, "networkPolicy": {"enabled": True}, "monitoring": {"serviceMonitor": {"enabled": True}}}, "networkPolicy.observeFrom"),
    ({**HTTP, "inferenceRouterHa": True}, "inferenceRouterHa"),
    ({**HTTP, "inferenceRouterHA": "yes"}, "inferenceRouterHA"),
    ({**HTTP, "inferenceRouterServiceType": "loadbalancer"}, "inferenceRouterServiceType"),
    ({**HTTP, "internalLoadBalancerProvider": "aws"}, "internalLoadBalancerProvider"),
    ({**HTTP, "publicUrl": "models.test"}, "publicUrl"),
    ({**HTTP, "namespaces": ["a"]}, "namespaces"),
    ({**HTTP, "namespaces": [{"name": "a", "hostname": "b"}]}, "hostname"),
    ({**HTTP, "drainDelaySeconds": -1}, "drainDelaySeconds"),
    ({**HTTP, "metricsBuckets": [0]}, "metricsBuckets"),
    ({**HTTP, "metricsPerReplicaMax": 0}, "metricsPerReplicaMax"),
    ({**HTTP, "logFormat": "xml"}, "logFormat"),
    ({**HTTP, "autoscaler": "auto"}, "autoscaler"),
    ({**HTTP, "autoscaler": True}, "autoscaler"),
    ({**ONE, "autoscaler": "act"}, "autoscaler=act needs inferenceRouterHA=true"),
    ({**HTTP, "limits": {"max_connection": 1}}, "max_connection"),
    ({**HTTP, "image": {"digest": "latest"}}, "digest"),
], ids=str)
def test_what_does_not_fit_is_refused_with_what_to_do(helm, values, told):
    done = helm.run("template", "router", CHART, values=values)
    assert done.returncode != 0
    assert told in done.stderr


def _leaves(schema, prefix=""):
    """Yields the names of all values that are not groups: `image.tag`; for lists of objects `namespaces[].name`."""
    for name, described in schema["properties"].items():
        inner = described.get("items", described)
        if "properties" in inner and name != "limits":  # router.yaml's documentation describes these
            if "items" in described:
                yield prefix + name
            yield from _leaves(inner, f"{prefix}{name}{'[]' if 'items' in described else ''}.")
        else:
            yield prefix + name


def test_every_value_is_in_the_readme_and_has_its_default_in_values_yaml(helm):
    schema = json.loads((CHART / "values.schema.json").read_text())
    names = set(_leaves(schema)) - {"global", "imagePullSecrets[].name"}
    readme = (CHART / "README.md").read_text()
    values = helm("show", "values", CHART)
    documented = set()
    for row in re.findall(r"^\| (`.*?) \|", readme, re.MULTILINE):
        told = re.findall(r"`([^`]+)`", row)
        documented |= {told[0].rpartition(".")[0] + name if name.startswith(".") else name for name in told}
    assert names == documented
    for name in names:
        if "[]" not in name:
            assert re.search(rf"(?m)^ *{name.rpartition('.')[2]}:", values), name


def test_the_limits_are_those_of_router_yaml():
    told = re.findall(r"(?m)^\| `limits\.(\w+)`", (ROOT / "docs" / "configuration.md").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert sorted(schema["properties"]["limits"]["properties"]) == sorted(told)


def test_other_buckets_go_to_router_yaml_and_roll_the_pods(helm):
    def rendered(**values):
        return helm.run("template", "models", CHART, values={**HTTP, **values}).stdout
    # --reuse-values of a release that did not have this value
    assert "buckets" not in rendered() and rendered(metricsBuckets=None) == rendered()
    one, other = rendered(metricsBuckets=[0.00005, 1]), rendered(metricsBuckets=[1, 2])
    assert re.search(r"metrics:\n +buckets:\n +- 5e-05\n +- 1\n", one)
    sums = [re.search(r"checksum/metrics-buckets: (\w+)", text)[1] for text in (one, other)]
    assert sums[0] != sums[1]


def test_what_the_release_before_did_not_know_is_rendered_only_where_it_is_set(helm):
    """The ConfigMap changes before the Pods, and a router refuses a key that it does not know."""
    def config(**values):
        rendered = helm.run("template", "models", CHART, "--show-only", "templates/configmap.yaml", values={**HTTP, **values}).stdout
        return yaml.safe_load(next(text for text in yaml.safe_load(rendered)["data"].values()))
    plain = config()
    assert plain["log"] == {"level": "info"} and not {"metrics", "access_log_client_ip"} & set(plain)
    unknown = {"accessLogClientIP": None, "logFormat": None, "metricsPerReplica": None, "metricsPerReplicaMax": None}
    assert config(**unknown) == plain  # --reuse-values
    told = config(accessLogClientIP=False, logFormat="json", metricsPerReplica=True, metricsPerReplicaMax=50, metricsBuckets=[1])
    assert told["log"] == {"level": "info", "format": "json"} and told["access_log_client_ip"] is False
    assert told["metrics"] == {"buckets": [1], "per_replica": True, "per_replica_max": 50}


def test_all_routers_of_a_release_have_one_mark_in_via_and_other_releases_others(helm):
    def marks(release="models", namespace="a", **values):
        rendered = helm.run("template", release, CHART, "--namespace", namespace, values={**HTTP, **values}).stdout
        return re.findall(r"(?m)^ +(via(?:_name)?: .*)$", rendered)
    mark, = marks()
    assert re.fullmatch(r"via_name: router-[0-9a-f]{12}", mark) and marks() == [mark]
    assert marks(viaName="models-1") == ["via_name: models-1"]
    assert marks(via=False) == ["via: false"]
    assert marks(via=None) == [mark]  # --reuse-values of a release that did not have this value
    others = [marks("other"), marks(namespace="b"), marks(publicUrl="http://models.test")]
    assert len({mark, *(one for one, in others)}) == 4


# --- the rights of the autoscaler
READ = {("get", "apps", "deployments"), ("get", "apps", "statefulsets"), ("list", "autoscaling", "horizontalpodautoscalers"),
        ("watch", "autoscaling", "horizontalpodautoscalers")}
WRITE = {("update", "apps", "deployments/scale"), ("update", "apps", "statefulsets/scale")}


def _rights(helm, **values):
    """Returns the rights in served namespaces, by the name of the role's namespace: {(verb, group, resource)}."""
    text = helm("template", "models", CHART, "--namespace", "routers", "--show-only", "templates/rbac.yaml", values={**HTTP, **values})
    return {role["metadata"].get("namespace", ""): {(verb, group, resource) for rule in role["rules"] for verb in rule["verbs"]
                                                    for group in rule["apiGroups"] for resource in rule["resources"]}
            for role in yaml.safe_load_all(text) if role["kind"] in ("Role", "ClusterRole") and not role["metadata"]["name"].endswith("-own")}


@pytest.mark.parametrize("served", [{}, {"namespaces": [{"name": "a"}, {"name": "b"}]}, {"rbac": {"clusterWideSecrets": True}}], ids=str)
def test_the_autoscaler_has_the_rights_of_its_mode_in_each_namespace_it_serves(helm, served):
    off = _rights(helm, autoscaler="off", **served)
    assert off and not [right for role in off.values() for right in role if right[1] in ("apps", "autoscaling") or right[2] == "pods"]
    for mode, more in (("observe", READ), ("act", READ | WRITE)):
        assert _rights(helm, autoscaler=mode, **served) == {namespace: rights | more for namespace, rights in off.items()}


def test_no_upgrade_gets_a_right_to_scale_by_itself(helm):
    """`None`: --reuse-values of a release that did not have the value."""
    plain = _rights(helm)
    assert plain == _rights(helm, autoscaler="observe") == _rights(helm, autoscaler=None)
    assert not [right for right in plain["routers"] if right[1] in ("apps", "autoscaling") and right[0] not in ("get", "list", "watch")]
    assert not [right for right in plain["routers"] if right[2] == "pods"]


def test_the_mode_of_the_autoscaler_is_in_router_yaml_unless_it_is_the_default(helm):
    def mode(**values):
        rendered = helm("template", "models", CHART, "--show-only", "templates/configmap.yaml", values={**HTTP, **values})
        return yaml.safe_load(yaml.safe_load(rendered)["data"]["router.yaml"]).get("autoscaler")
    assert mode() is mode(autoscaler=None) is mode(autoscaler="observe") is None  # routers from before the upgrade read this file, too
    assert mode(autoscaler="act") == "act"
    assert mode(autoscaler="off") == mode(autoscaler=False) == "off"  # `autoscaler: off` in a file of values is false


def test_the_notes_say_what_an_acting_autoscaler_needs(helm, tmp_path):
    assert "inference-router.dev/scaled-for" in rendered_notes(helm, {**HTTP, "autoscaler": "act"}, tmp_path / "act")
    assert "scaled-for" not in rendered_notes(helm, HTTP, tmp_path / "plain")


# --- access to the operators' port
PROMETHEUS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def _policy(helm, network_policy):
    """Returns the rendered NetworkPolicy, line by line without indentation; empty if there is none."""
    done = helm.run("template", "models", CHART, "--show-only", "templates/networkpolicy.yaml",
                    values={**ONE, "networkPolicy": network_policy})
    if "could not find template" in done.stderr:
        return []
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def test_one_router_has_no_policy_until_one_is_asked_for(helm):
    assert not _policy(helm, {})


def test_observe_from_opens_the_operators_port_to_those_alone_and_scoring_to_everybody(helm):
    lines = _policy(helm, {"enabled": True, "observeFrom": PROMETHEUS})
    scoring, observe = lines.index("- {port: http}"), lines.index("- {port: observe}")
    assert scoring < observe and "from:" not in lines[scoring:observe]
    assert lines[observe + 1:observe + 5] == ["from:", "- namespaceSelector:", "matchLabels:", "kubernetes.io/metadata.name: monitoring"]
    assert "- {port: observe}" not in _policy(helm, {"enabled": True})


def test_the_notes_recommend_observe_from_until_it_is_set(helm, tmp_path):
    without = rendered_notes(helm, HTTP, tmp_path)
    assert "every pod of the cluster may reach the port for operators" in without and "observeFrom:" in without
    closed = rendered_notes(helm, {**HTTP, "networkPolicy": {"enabled": True}}, tmp_path)
    assert "lets only the node reach" in closed and "app.kubernetes.io/name: prometheus" in closed
    assert "observeFrom" not in rendered_notes(helm, {**HTTP, "networkPolicy": {"enabled": True, "observeFrom": PROMETHEUS}}, tmp_path)


def test_the_policy_for_slices_needs_kubernetes_1_30(helm):
    values = {**HTTP, "endpointSlicePolicy": {"enabled": True}}
    done = helm.run("template", "router", CHART, "--kube-version", "1.29.9", values=values)
    assert done.returncode != 0 and "which Kubernetes has from 1.30 on" in done.stderr
    assert "ValidatingAdmissionPolicyBinding" in helm("template", "router", CHART, "--kube-version", "1.30.0", values=values)
    assert "ValidatingAdmissionPolicy" not in helm("template", "router", CHART, values=HTTP)
    wide = helm("template", "router", CHART, values={**values, "rbac": {"clusterWideSecrets": True}})
    assert "validationActions" in wide and "namespaceSelector:" not in wide


def test_a_release_that_is_older_than_a_value_is_upgraded_with_reuse_values(helm):
    """Helm then omits the value's default."""
    rendered = helm("template", "router", CHART, values={**HTTP, "perNamespace": None, "endpointSlicePolicy": None})
    assert "per_namespace" not in rendered and "service_name" in rendered
    rendered = helm("template", "router", CHART, values={**HTTP, "perNamespace": {"maxEndpoints": 50}})
    assert "max_endpoints: 50" in rendered and "max_bytes: 67108864" in rendered
