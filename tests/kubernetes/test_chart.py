"""The chart, installed by helm on a cluster of its own: each variant in a namespace that enforces the Pod Security Standard `restricted`.
Its routers run as their Pods describe (harness/router_pod.py), and requests are sent to an endpoint through them.

All variants run at the same time, and several tests use each. The variant that serves all namespaces runs after the others, since it would
also write the statuses of their endpoints."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from harness.api import ApiError
from harness import monitoring_kinds
from harness.cluster import running_cluster
from harness.helm import CHART, Helm, older_chart
from harness.objects import service
from harness.release import PATIENCE, Release, restricted_deployment
from harness.resources import endpoint_slice, online_deployment, path
from harness.scaling_fixtures import SCALED_FOR
from harness.variants import ALL, AT_ONCE, HTTP, ONE, SHORT, VARIANTS
from support.wait import eventually

# Only one variant has deployments that are scaled: the routers of the others use none of these rights.
OF_THE_AUTOSCALER = {"deployments", "statefulsets", "deployments/scale", "statefulsets/scale", "horizontalpodautoscalers"}
SCALED = "ha"
NEVER_ASKED = {("get", "apps", "deployments/scale"), ("get", "apps", "statefulsets/scale")}  # the router reads the target itself


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The cluster of these tests alone: helm owns the kinds in it, except those of the Prometheus operator."""
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
    """The release with the default values (except for the choice that has no default), which has the kinds. It was installed from an older
    chart, whose default was one router, and then upgraded with --reuse-values. `before` and `after`: the ids of the resources, and of the
    routers' Pods, at that time."""
    release = make("inference-router", HTTP)
    release.install(chart=older_chart(tmp_path_factory.mktemp("older")))
    with pytest.raises(AssertionError, match="drain_on_abort"):  # otherwise the chart was not older
        release.add_endpoint(router={"drain_on_abort": True})
    release.add_endpoint()
    release.before = (_ids(release), [one.uid for one in release.pods()])
    release.helm("upgrade", release.name, CHART, "--namespace", release.namespace, "--reuse-values")
    release.after = (_ids(release), [one.uid for one in release.pods()])
    return release


def _ids(release):
    """Returns the ids of its endpoint and its deployment."""
    def read():
        try:
            return [release.cluster.api.get(path(plural, release.namespace, name))["metadata"]["uid"]
                    for plural, name in (("onlineendpoints", release.endpoint), ("onlinedeployments", release.model))]
        except ApiError as error:
            assert error.status == 429, error  # for a short time after a change of the kind
            return None
    return eventually(read, "the resources to be readable", PATIENCE, 0.1)


def _exercise(release, options=()):
    """Installs, uses and uninstalls the release; returns what was seen."""
    notes = release.install(*options)
    release.add_endpoint()
    scored = _use(release)
    seen = SimpleNamespace(notes=notes, scored=scored, **_facts(release))
    release.helm.uninstall(release.name, release.namespace)
    eventually(lambda: not release.kinds(), "the release's objects to be deleted", PATIENCE, 0.2)
    return seen


def _use(release):
    """Uses the release until every right was used; returns the statuses of the answers."""
    release.add_refused_endpoint()  # causes an Event
    scored = release.scored()
    if release.values.get("createKeys"):
        _remove_key(release)
    if release.values.get("autoscaler") == "act":
        _scale(release)
    eventually(lambda: _used(release) <= release.asked(), "every right to be used", PATIENCE, 0.3)
    return scored


def _used(release):
    """The rights that its routers must have used."""
    if release.values.get("autoscaler") == "act":
        return release.rules() - NEVER_ASKED
    return {rule for rule in release.rules() if rule[2] not in OF_THE_AUTOSCALER}


def _scale(release):
    """Its Deployment, and a StatefulSet for another deployment of the endpoint, get a second replica from the routers."""
    scale = {"scale_settings": {"type": "target_utilization", "min_instances": 2, "max_instances": 2, "polling_interval": 1}}
    green = f"{release.endpoint}-green"
    replicas = {"kind": "StatefulSet", "metadata": {"name": green, "annotations": {SCALED_FOR: f"{release.endpoint}/green"}}}
    other = {**restricted_deployment(green), **replicas}
    other["spec"]["serviceName"] = green
    described = online_deployment("green", release.endpoint, router={"scaling": {"target": {
        "api_version": "apps/v1", "kind": "StatefulSet", "name": green}}})
    described["spec"].update(scale)
    release.cluster.apply([other, described, service(green)], release.served)
    api, targets = release.cluster.api, f"/apis/apps/v1/namespaces/{release.served}"
    api.patch(f"{targets}/deployments/{release.model}", {"metadata": {"annotations": {SCALED_FOR: f"{release.endpoint}/blue"}}})
    api.patch(path("onlinedeployments", release.served, release.model), {"spec": scale})
    for target in (f"{targets}/deployments/{release.model}", f"{targets}/statefulsets/{green}"):
        eventually(lambda target=target: api.get(target)["spec"]["replicas"] == 2, f"two replicas of {target}", PATIENCE, 0.2)


def _remove_key(release):
    """Removes a key of a Secret that the router made. The router makes another one, which uses its right to do so."""
    old = release.key()
    release.cluster.api.patch(path("secrets", release.served, f"{release.endpoint}-keys"), {"data": {"primaryKey": None}})
    eventually(lambda: release.key() not in ("", old), "another key in the Secret", PATIENCE, 0.1)


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
        "used": _used(release),
        "asked": release.asked(),
        "forbidden": release.asked("forbid"),
        "pods": [({name: probe.passes for name, probe in pod.probes.items()}, pod.restarts) for pod in release.pods()],
        "readable": {name for name in namespaces if release.may_read_secrets(name)},
        "members": [pod.metrics().value("fleet_members", state="serving") for pod in release.pods()] if release.routers > 1 else [],
    }


@pytest.fixture(scope="module")
def variants(make, owner):
    """What was seen of each variant, by its name: `variants("tls")` waits for it."""
    more = {"ha": {"routers": 3}, "listed": {"served": "release-listed-a", "prefix": "team-"}, "wide": {"served": "models-of-wide"}}
    scaled = {SCALED: {"autoscaler": "act"}}
    releases = {name: make(name, {**values, **SHORT, **scaled.get(name, {})}, **more.get(name, {})) for name, values in VARIANTS.items()}
    releases["listed"].cluster.create_namespace("release-listed-b")
    with ThreadPoolExecutor(4) as pool:
        seen = {name: pool.submit(_exercise, releases[name], ["--wait"] if name == "tls" else []) for name in AT_ONCE}
        seen["inference-router"] = pool.submit(lambda: SimpleNamespace(scored=_use(owner), **_facts(owner)))

        def get(name):
            if name not in seen:
                for one in seen.values():
                    one.exception()  # has ended, with or without an exception
                seen[name] = pool.submit(_exercise, releases[name])
            return seen[name].result()
        yield get


def test_an_upgrade_brings_newer_kinds_and_keeps_resources_and_pods(owner):
    assert owner.before == owner.after
    owner.add_endpoint(router={"drain_on_abort": True})  # a key that the older kind did not have


@pytest.mark.parametrize("name", ALL)
def test_a_variant_is_admitted_gets_ready_and_scores(variants, name):
    seen = variants(name)
    assert seen.scored == [200] * seen.release.routers
    assert seen.pods == [({"readiness": True, "liveness": True}, 0)] * seen.release.routers


@pytest.mark.parametrize("name", ALL)
def test_a_variant_has_the_rights_it_uses_and_no_others(variants, name):
    seen = variants(name)
    assert seen.forbidden == set()
    assert seen.rules and seen.used <= seen.asked
    writes = {"update"} if name == SCALED else set()
    assert {verb for verb, _, resource in seen.rules if resource in OF_THE_AUTOSCALER} == {"get", "list", "watch"} | writes
    assert ("create" in {verb for verb, _, resource in seen.rules if resource == "secrets"}) == (name == "keys")


@pytest.mark.parametrize("name", ALL)
def test_secrets_are_read_in_served_namespaces_only(variants, name):
    seen = variants(name)
    served = {seen.release.served}
    assert seen.readable == ({*served, seen.release.namespace, "kube-system"} if name == "wide" else served)


def test_one_router_stays_one_with_the_limits_and_times_that_the_documents_name(variants):
    seen = variants("inference-router")
    spec = seen.deployment["spec"]
    pod = spec["template"]["spec"]
    assert spec["replicas"] == 1 and spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert pod["terminationGracePeriodSeconds"] == 15 + 300 + 10
    [container] = pod["containers"]
    assert "lifecycle" not in container
    assert container["resources"] == {"requests": {"cpu": "900m", "memory": "800Mi"}, "limits": {"cpu": "2", "memory": "1200Mi"}}
    assert seen.service["spec"]["type"] == "LoadBalancer" and seen.service["spec"]["externalTrafficPolicy"] == "Local"
    assert not {"poddisruptionbudgets", "networkpolicies"} & seen.kinds


def test_three_routers_are_one_fleet(variants):
    seen = variants("ha")
    assert seen.members == [3, 3, 3]
    assert seen.kinds >= {"poddisruptionbudgets", "networkpolicies"}
    assert "share the slots" in seen.notes
    assert ("update", "", "secrets") in seen.asked  # one of them has filled the Secret


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
    assert "services" in {resource for _, _, resource in seen.rules}  # no endpoint may use the names of its load balancer


def test_monitoring_brings_its_objects_only_where_it_is_on(variants):
    """test_monitoring.py tests their contents."""
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
    assert policy["spec"]["policyTypes"] == ["Egress"] and len(policy["spec"]["egress"]) == 4


def test_anybody_could_write_a_slice_with_the_controllers_label(helm, cluster, tmp_path):
    """The variant `policy`, whose router finds its replicas, shows that the controller itself is permitted."""
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
    assert write("elsewhere", path("endpointslices", "default"), label) == "written"  # a namespace that this release does not serve


def _wait_rolled_out(release):
    """The old routers may still be draining."""
    release.cluster.kubectl("rollout", "status", "deployment", release.full_name, "-n", release.namespace, f"--timeout={PATIENCE}s")


def test_a_running_router_takes_up_what_it_can_and_is_replaced_for_the_rest(variants, owner):
    variants("inference-router")
    [before] = owner.pods()
    loaded = before.metrics().value("configuration_generation")
    owner.helm.upgrade(owner.name, owner.namespace, {**ONE, "logLevel": "debug", "limits": {"max_connections": 4000}})
    eventually(lambda: before.metrics().value("configuration_generation") > loaded, "the change to be applied", PATIENCE)
    assert before.metrics().value("configuration_reloads_total", result="refused") == 0
    assert owner.pods() == [before]
    owner.helm.upgrade(owner.name, owner.namespace, {**ONE, "publicUrl": "http://models.test"})
    routers = {"app.kubernetes.io/instance": owner.name}
    eventually(lambda: len(owner.cluster.pods.all(owner.namespace, **routers)) == 2, "another router to start", PATIENCE)
    _wait_rolled_out(owner)


def test_an_upgrade_with_the_default_makes_three_routers_whose_key_no_upgrade_takes_away(variants, owner):
    variants("inference-router")
    owner.add_endpoint()  # without drain_on_abort, with which a router would need its request_timeout_ms to join
    values = {**HTTP, "drainDelaySeconds": 1}
    owner.helm.upgrade(owner.name, owner.namespace, values)
    _wait_rolled_out(owner)
    owner.routers = 3
    assert _members(owner) == [3, 3, 3] and owner.scored() == [200] * 3

    def keys():
        return owner.object("v1/secrets", f"{owner.full_name}-fleet").get("data", {}).get("keys")
    first, pods = keys(), owner.pods()
    assert first
    owner.helm.upgrade(owner.name, owner.namespace, {**values, "logLevel": "debug"})
    assert keys() == first and owner.pods() == pods
    # Services and others have fields that may not be replaced, so this is what --force does, for the Secret alone.
    rendered = owner.helm("template", owner.name, CHART, "--namespace", owner.namespace, "--show-only", "templates/fleetsecret.yaml", values=values)
    owner.cluster.kubectl("replace", "-n", owner.namespace, "-f", "-", input=rendered)
    eventually(lambda: keys() == first, "the routers to write the key back", PATIENCE, 0.1)
    assert _members(owner) == [3, 3, 3]


def _members(release):
    return [eventually(lambda pod=pod: pod.metrics().value("fleet_members", state="serving") or None, "members", PATIENCE) for pod in release.pods()]


def test_an_uninstalled_release_leaves_the_kinds_and_the_resources(variants, owner, cluster):
    variants("wide")  # after this, no variant needs the kinds
    owner.helm.uninstall(owner.name, owner.namespace)
    eventually(lambda: not owner.kinds(), "the release's objects to be deleted", PATIENCE, 0.2)
    for kind in ("onlineendpoints", "onlinedeployments"):
        metadata = cluster.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.inference-router.dev")["metadata"]
        assert "deletionTimestamp" not in metadata
    assert _ids(owner) == owner.before[0]
    owner.install()  # the same release becomes their owner again
    _wait_rolled_out(owner)
