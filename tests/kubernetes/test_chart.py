"""The chart, really installed by helm on a cluster of its own: each variant in a namespace that enforces the Pod Security Standard
`restricted`, its routers run as their Pods say (harness/router_pod.py), and an endpoint scored through them.

All variants run at once, and each is used by several tests. The one that has all namespaces comes after the others: it would write
the statuses of their endpoints, too."""

import itertools
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from harness.api import ApiError
from harness import monitoring_kinds
from harness.cluster import running_cluster
from harness.helm import CHART, Helm, older_chart
from harness.release import PATIENCE, Release
from harness.resources import endpoint_slice, path
from support.router import ROOT
from support.wait import eventually

HTTP = {"allowInsecureConnections": True}
TLS_SECRET = {"sslSecret": "router-tls", "sslSecretKeys": {"certificate": "tls.crt", "privateKey": "tls.key"}}
NO_KINDS = {"crds": {"install": False}}  # one release has them: that of the fixture `owner`
SHORT = {"drainDelaySeconds": 1, "drainGraceSeconds": 20, **NO_KINDS}
VARIANTS = {
    "ha": {"inferenceRouterHA": True, "inferenceRouterServiceType": "ClusterIP", **HTTP},
    "tls": {"sslCname": "models.test", "inferenceRouterServiceType": "ClusterIP", **TLS_SECRET},
    "both": {"sslSecret": "router-tls", **HTTP, "inferenceRouterServiceType": "ClusterIP", "sslMinimumVersion": "1.3"},
    "nodeport": {"inferenceRouterServiceType": "NodePort", "nodePorts": {"http": 30080}, "publicUrl": "http://models.test:30080", **HTTP,
                 "networkPolicy": {"enabled": True, "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
                                   "observeFrom": [{"namespaceSelector": {}}]},
                 "outboundProxy": {"httpsProxy": "http://proxy.test:3128", "noProxy": "10.0.0.0/8"}, "limits": {"max_connections": 5000},
                 "tolerations": [{"key": "gpu", "operator": "Exists"}], "nodeSelector": {"kubernetes.io/os": "linux"},
                 "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]},
    "internal": {"internalLoadBalancerProvider": "azure", "serviceAnnotations": {"team": "a"}, "loadBalancerSourceRanges": ["10.0.0.0/8"],
                 "trustedProxies": ["10.77.0.0/16"], "accessLog": False, "logLevel": "debug", "metricsBuckets": [0.1, 1, 7200],
                 "metricsPerReplica": True, "logFormat": "json", "accessLogClientIP": False, **HTTP},
    "listed": {"namespaces": [{"name": "release-listed-a", "hostnames": [], "prefix": "team-"}, {"name": "release-listed-b"}], **HTTP},
    "keys": {"createKeys": True, **HTTP},
    "adopt": {"adoptAzureMLPods": True, **HTTP},
    "policy": {"endpointSlicePolicy": {"enabled": True}, "checkPodAddresses": True, "perNamespace": {"maxEndpoints": 50}, **HTTP},
    "monitoring": {"inferenceRouterServiceType": "ClusterIP", **HTTP, "monitoring": {
        "serviceMonitor": {"enabled": True, "interval": "15s"}, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}},
    "wide": {"rbac": {"clusterWideSecrets": True}, **HTTP},
}
AT_ONCE = [name for name in VARIANTS if name != "wide"]
ALL = ["inference-router", *VARIANTS]


# --- without a cluster
@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    return Helm(tmp_path_factory.mktemp("helm"))


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
    ({**HTTP, "limits": {"max_connection": 1}}, "max_connection"),
    ({**HTTP, "image": {"digest": "latest"}}, "digest"),
], ids=str)
def test_what_does_not_fit_is_refused_with_what_to_do(helm, values, told):
    done = helm.run("template", "router", CHART, values=values)
    assert done.returncode != 0
    assert told in done.stderr


def _leaves(schema, prefix=""):
    """The names of all values that are not groups: `image.tag`; of lists of objects `namespaces[].name`."""
    for name, described in schema["properties"].items():
        inner = described.get("items", described)
        if "properties" in inner and name != "limits":  # these are described where router.yaml is
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
    assert "buckets" not in rendered() and rendered(metricsBuckets=None) == rendered()  # --reuse-values of a release that knew of none
    one, other = rendered(metricsBuckets=[0.00005, 1]), rendered(metricsBuckets=[1, 2])
    assert re.search(r"metrics:\n +buckets:\n +- 5e-05\n +- 1\n", one)
    sums = [re.search(r"checksum/metrics-buckets: (\w+)", text)[1] for text in (one, other)]
    assert sums[0] != sums[1]


def test_what_the_release_before_did_not_know_is_rendered_only_where_it_is_set(helm):
    """The ConfigMap changes before the pods do, and a router refuses a key that it does not know."""
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
    assert marks(via=None) == [mark]  # --reuse-values of a release that knew of none
    others = [marks("other"), marks(namespace="b"), marks(publicUrl="http://models.test")]
    assert len({mark, *(one for one, in others)}) == 4


# --- who may reach the operators' port
PROMETHEUS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def _policy(helm, network_policy):
    """The NetworkPolicy as it is rendered, line by line without indentation; empty: there is none."""
    done = helm.run("template", "models", CHART, "--show-only", "templates/networkpolicy.yaml",
                    values={**HTTP, "networkPolicy": network_policy})
    if "could not find template" in done.stderr:
        return []
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def _notes(helm, values, folder):
    """Helm shows NOTES.txt only where it installs: in a copy of the chart it is the text of a ConfigMap."""
    copy = Path(folder) / CHART.name
    shutil.copytree(CHART, copy, dirs_exist_ok=True)
    notes = (copy / "templates" / "NOTES.txt").read_text()
    (copy / "templates" / "_notes.tpl").write_text('{{- define "told" }}\n' + notes + "{{- end }}\n")
    (copy / "templates" / "notes.yaml").write_text(
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\ndata:\n  told: |\n{{ include "told" . | indent 4 }}\n')
    return helm("template", "models", copy, "--show-only", "templates/notes.yaml", values=values)


def test_an_installed_release_has_no_policy_until_one_is_asked_for(helm):
    assert not _policy(helm, {})


def test_observe_from_opens_the_operators_port_to_those_alone_and_scoring_to_everybody(helm):
    lines = _policy(helm, {"enabled": True, "observeFrom": PROMETHEUS})
    scoring, observe = lines.index("- {port: http}"), lines.index("- {port: observe}")
    assert scoring < observe and "from:" not in lines[scoring:observe]
    assert lines[observe + 1:observe + 5] == ["from:", "- namespaceSelector:", "matchLabels:", "kubernetes.io/metadata.name: monitoring"]
    assert "- {port: observe}" not in _policy(helm, {"enabled": True})


def test_the_notes_recommend_observe_from_until_it_is_set(helm, tmp_path):
    without = _notes(helm, HTTP, tmp_path)
    assert "every pod of the cluster may reach the port for operators" in without and "observeFrom:" in without
    closed = _notes(helm, {**HTTP, "networkPolicy": {"enabled": True}}, tmp_path)
    assert "lets nobody but the node reach" in closed and "app.kubernetes.io/name: prometheus" in closed
    assert "observeFrom" not in _notes(helm, {**HTTP, "networkPolicy": {"enabled": True, "observeFrom": PROMETHEUS}}, tmp_path)


# --- the releases
@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Of these tests alone: helm owns the kinds in it, but for those of the Prometheus operator."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        monitoring_kinds.install(cluster)
        yield cluster


@pytest.fixture(scope="module")
def make(cluster, tmp_path_factory, authority):
    helm = Helm(tmp_path_factory.mktemp("helm"), cluster)

    def make_release(name, values, **options):
        release = Release(cluster, helm, authority, name, values, **options)
        release.prepare()
        return release
    return make_release


@pytest.fixture(scope="module")
def owner(make, cluster, tmp_path_factory):
    """The release with the default values (but for the choice that must be made), which has the kinds: installed from an older chart,
    and then upgraded. `before` and `after`: the resources' ids then; `pods`: those of the routers."""
    release = make("inference-router", HTTP)
    release.install(chart=older_chart(tmp_path_factory.mktemp("older")))
    with pytest.raises(AssertionError, match="drain_on_abort"):  # else nothing was older
        release.add_endpoint(router={"drain_on_abort": True})
    release.add_endpoint()
    release.before = (_ids(release), [one.uid for one in release.pods()])
    release.helm.upgrade(release.name, release.namespace, HTTP)
    release.after = (_ids(release), [one.uid for one in release.pods()])
    return release


def _ids(release):
    """Of its endpoint and its deployment."""
    def read():
        try:
            return [release.cluster.api.get(path(plural, release.namespace, name))["metadata"]["uid"]
                    for plural, name in (("onlineendpoints", release.endpoint), ("onlinedeployments", release.model))]
        except ApiError as error:
            assert error.status == 429, error  # for a moment, after the kind has changed
            return None
    return eventually(read, "the resources", PATIENCE, 0.1)


def _exercise(release, options=()):
    """Installs, uses and uninstalls it; what was seen."""
    notes = release.install(*options)
    release.add_endpoint()
    scored = _use(release)
    seen = SimpleNamespace(notes=notes, scored=scored, **_facts(release))
    release.helm.uninstall(release.name, release.namespace)
    eventually(lambda: not release.kinds(), "the release's objects to go", PATIENCE, 0.2)
    return seen


def _use(release):
    """Until every right was used; the statuses of what was scored."""
    release.add_refused_endpoint()  # an Event
    scored = release.scored()
    if release.values.get("createKeys"):
        _remove_key(release)
    eventually(lambda: release.rules() <= release.asked(), "every right to be used", PATIENCE, 0.3)
    return scored


def _remove_key(release):
    """Of a Secret that the router made: it makes another, and has then used its right to."""
    old = release.key()
    release.cluster.api.patch(path("secrets", release.served, f"{release.endpoint}-keys"), {"data": {"primaryKey": None}})
    eventually(lambda: release.key() not in ("", old), "another key", PATIENCE, 0.1)


def _facts(release):
    namespaces = (release.namespace, release.served, "kube-system")
    return {
        "release": release,
        "deployment": release.object("apps/v1/deployments"),
        "service": release.object("v1/services"),
        "internal": release.object("v1/services", f"{release.full_name}-internal"),
        "router_yaml": release.object("v1/configmaps")["data"]["router.yaml"],
        "kinds": release.kinds(),
        "rules": release.rules(),
        "asked": release.asked(),
        "forbidden": release.asked("forbid"),
        "pods": [({name: probe.passes for name, probe in pod.probes.items()}, pod.restarts) for pod in release.pods()],
        "readable": {name for name in namespaces if release.may_read_secrets(name)},
    }


@pytest.fixture(scope="module")
def variants(make, owner):
    """What was seen of each, by its name: `variants("tls")` waits for it."""
    more = {"ha": {"routers": 3}, "listed": {"served": "release-listed-a", "prefix": "team-"}, "wide": {"served": "models-of-wide"}}
    releases = {name: make(name, {**values, **SHORT}, **more.get(name, {})) for name, values in VARIANTS.items()}
    releases["listed"].cluster.create_namespace("release-listed-b")
    with ThreadPoolExecutor(4) as pool:
        seen = {name: pool.submit(_exercise, releases[name], ["--wait"] if name == "tls" else []) for name in AT_ONCE}
        seen["inference-router"] = pool.submit(lambda: SimpleNamespace(scored=_use(owner), **_facts(owner)))

        def get(name):
            if name not in seen:
                for one in seen.values():
                    one.exception()  # has ended, however
                seen[name] = pool.submit(_exercise, releases[name])
            return seen[name].result()
        yield get


def test_an_upgrade_brings_newer_kinds_and_keeps_resources_and_pods(owner):
    assert owner.before == owner.after
    owner.add_endpoint(router={"drain_on_abort": True})  # what the older kind had not


@pytest.mark.parametrize("name", ALL)
def test_a_variant_is_admitted_gets_ready_and_scores(variants, name):
    seen = variants(name)
    assert seen.scored == [200] * seen.release.routers
    assert seen.pods == [({"readiness": True, "liveness": True}, 0)] * seen.release.routers


@pytest.mark.parametrize("name", ALL)
def test_a_variant_has_the_rights_it_uses_and_no_others(variants, name):
    seen = variants(name)
    assert seen.forbidden == set()
    assert seen.rules and seen.rules <= seen.asked
    assert ("create" in {verb for verb, _, resource in seen.rules if resource == "secrets"}) == (name == "keys")


@pytest.mark.parametrize("name", ALL)
def test_secrets_are_read_in_served_namespaces_only(variants, name):
    seen = variants(name)
    served = {seen.release.served}
    assert seen.readable == ({*served, seen.release.namespace, "kube-system"} if name == "wide" else served)


def test_one_router_by_default_with_the_limits_and_times_that_the_documents_name(variants):
    seen = variants("inference-router")
    spec = seen.deployment["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] == 1 and spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert pod["terminationGracePeriodSeconds"] == 15 + 300 + 10
    [container] = pod["containers"]
    assert "lifecycle" not in container
    assert container["resources"] == {"requests": {"cpu": "900m", "memory": "800Mi"}, "limits": {"cpu": "2", "memory": "1200Mi"}}
    assert seen.service["spec"]["type"] == "LoadBalancer" and seen.service["spec"]["externalTrafficPolicy"] == "Local"
    assert "poddisruptionbudgets" not in seen.kinds


def test_ha_is_three_routers_that_rather_have_a_node_each(variants):
    seen = variants("ha")
    pod = seen.deployment["spec"]["template"]["spec"]
    assert seen.deployment["spec"]["replicas"] == 3
    assert list(pod["affinity"]["podAntiAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    assert "poddisruptionbudgets" in seen.kinds
    assert "each keeps its own count" in seen.notes


@pytest.mark.parametrize("name, ports", [("tls", {"https": 443}), ("both", {"http": 80, "https": 443}), ("ha", {"http": 80})])
def test_the_services_have_the_ports_that_were_chosen(variants, name, ports):
    seen = variants(name)
    assert {one["name"]: one["port"] for one in seen.service["spec"]["ports"]} == ports
    assert {one["name"]: one["port"] for one in seen.internal["spec"]["ports"]} == {**ports, "observe": 9901}
    assert seen.internal["spec"]["type"] == "ClusterIP"


def test_the_certificate_is_mounted_and_needs_no_right(variants):
    seen = variants("tls")
    [secret] = [one["secret"] for one in seen.deployment["spec"]["template"]["spec"]["volumes"] if "secret" in one]
    assert secret["secretName"] == "router-tls"
    assert "https://models.test/api/v1/endpoint/ENDPOINT/score" in seen.notes
    assert "services" in {resource for _, _, resource in seen.rules}  # nobody may claim the names of its load balancer


def test_monitoring_brings_its_objects_only_where_it_is_on(variants):
    """What is in them: test_monitoring.py."""
    assert variants("monitoring").kinds >= {"servicemonitors", "prometheusrules"}
    assert not variants("ha").kinds & {"servicemonitors", "prometheusrules"}


def test_an_internal_load_balancer_on_azure(variants):
    service = variants("internal").service
    assert service["metadata"]["annotations"].items() >= {
        "service.beta.kubernetes.io/azure-load-balancer-internal": "true", "team": "a"}.items()
    assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8"]


def test_what_a_pod_and_its_network_are_given(variants):
    seen = variants("nodeport")
    pod = seen.deployment["spec"]["template"]["spec"]
    variables = {one["name"]: one["value"] for one in pod["containers"][0]["env"]}
    assert variables["HTTPS_PROXY"] == variables["https_proxy"] == "http://proxy.test:3128"
    assert variables["NO_PROXY"] == "10.0.0.0/8" and "HTTP_PROXY" not in variables
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}] and pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == seen.deployment["spec"]["selector"]["matchLabels"]
    assert seen.service["spec"]["ports"][0]["nodePort"] == 30080
    assert "networkpolicies" in seen.kinds
    assert "max_connections: 5000" in seen.router_yaml


def test_the_example_of_a_network_policy_lets_the_router_through(variants, cluster):
    cluster.create_namespace("team-a")
    file = CHART / "examples" / "model-networkpolicy.yaml"
    policy = json.loads(cluster.kubectl("apply", "--dry-run=server", "-o", "json", "-f", file))
    [peer] = policy["spec"]["ingress"][0]["from"]
    pod = variants("tls").deployment["spec"]["template"]["metadata"]["labels"]
    assert peer["podSelector"]["matchLabels"].items() <= pod.items()


def test_the_example_of_egress_lets_the_router_reach_its_models(variants, cluster):
    cluster.create_namespace("models")
    policy = json.loads(cluster.kubectl("apply", "--dry-run=server", "-o", "json", "-f", CHART / "examples" / "router-egress-networkpolicy.yaml"))
    pod = variants("tls").deployment["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod.items()
    assert policy["spec"]["policyTypes"] == ["Egress"] and len(policy["spec"]["egress"]) == 3


def test_anybody_could_write_a_slice_with_the_controllers_label(helm, cluster, tmp_path):
    """That the controller itself is let through, the variant `policy` shows, which finds its replicas."""
    home = "guarded"
    cluster.create_namespace(home)
    policy = tmp_path / "policy.yaml"
    policy.write_text(helm("template", "router", CHART, "--namespace", home, "--show-only", "templates/endpointslicepolicy.yaml",
                           values={**HTTP, "endpointSlicePolicy": {"enabled": True}}))
    cluster.kubectl("apply", "-f", policy)
    label = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    slices = path("endpointslices", home)

    def write(name, namespace_path, labels):
        try:
            cluster.api.post(namespace_path, endpoint_slice(name, "victim", ["198.18.0.1"], labels))
            return "written"
        except ApiError as error:
            return str(error)
    attempts = itertools.count()
    eventually(lambda: "only the endpointslice-controller" in write(f"forged-{next(attempts)}", slices, label), "the policy to act", 30, 0.2)
    assert write("own", slices, {"endpointslice.kubernetes.io/managed-by": "me"}) == "written"
    assert write("elsewhere", path("endpointslices", "default"), label) == "written"  # not served by this release


def test_the_policy_for_slices_needs_kubernetes_1_30(helm):
    values = {**HTTP, "endpointSlicePolicy": {"enabled": True}}
    done = helm.run("template", "router", CHART, "--kube-version", "1.29.9", values=values)
    assert done.returncode != 0 and "which Kubernetes has from 1.30 on" in done.stderr
    assert "ValidatingAdmissionPolicyBinding" in helm("template", "router", CHART, "--kube-version", "1.30.0", values=values)
    assert "ValidatingAdmissionPolicy" not in helm("template", "router", CHART, values=HTTP)
    wide = helm("template", "router", CHART, values={**values, "rbac": {"clusterWideSecrets": True}})
    assert "validationActions" in wide and "namespaceSelector:" not in wide


def test_a_release_that_is_older_than_a_value_is_upgraded_with_reuse_values(helm):
    """Helm then leaves out the value's default."""
    rendered = helm("template", "router", CHART, values={**HTTP, "perNamespace": None, "endpointSlicePolicy": None})
    assert "per_namespace" not in rendered and "service_name" in rendered
    rendered = helm("template", "router", CHART, values={**HTTP, "perNamespace": {"maxEndpoints": 50}})
    assert "max_endpoints: 50" in rendered and "max_bytes: 67108864" in rendered


def _wait_rolled_out(release):
    """The old routers may still drain."""
    release.cluster.kubectl("rollout", "status", "deployment", release.full_name, "-n", release.namespace, f"--timeout={PATIENCE}s")


def test_a_running_router_takes_up_what_it_can_and_is_replaced_for_the_rest(variants, owner):
    variants("inference-router")
    [before] = owner.pods()
    loaded = before.metrics().value("configuration_generation")
    owner.helm.upgrade(owner.name, owner.namespace, {**HTTP, "logLevel": "debug", "limits": {"max_connections": 4000}})
    eventually(lambda: before.metrics().value("configuration_generation") > loaded, "the change to be taken up", PATIENCE)
    assert before.metrics().value("configuration_reloads_total", result="refused") == 0
    assert owner.pods() == [before]
    owner.helm.upgrade(owner.name, owner.namespace, {**HTTP, "publicUrl": "http://models.test"})
    routers = {"app.kubernetes.io/instance": owner.name}
    eventually(lambda: len(owner.cluster.pods.all(owner.namespace, **routers)) == 2, "another router", PATIENCE)
    _wait_rolled_out(owner)


def test_an_uninstalled_release_leaves_the_kinds_and_the_resources(variants, owner, cluster):
    variants("wide")  # needs the kinds no more
    owner.helm.uninstall(owner.name, owner.namespace)
    eventually(lambda: not owner.kinds(), "the release's objects to go", PATIENCE, 0.2)
    for kind in ("onlineendpoints", "onlinedeployments"):
        metadata = cluster.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.inference-router.dev")["metadata"]
        assert "deletionTimestamp" not in metadata
    assert _ids(owner) == owner.before[0]
    owner.install()  # the same release takes them over again
    _wait_rolled_out(owner)
