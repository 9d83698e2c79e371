"""The objects of one namespace neither give access to another one nor delay it."""

import itertools
import threading
import time

import pytest
from harness.following import deployment_of, start_following, result_of, wait_served
from harness.identity import RBAC
from harness.objects import deployment, service
from harness.resources import ENDPOINT, MODEL, endpoint_slice, keys, online_deployment, online_endpoint, path, rights, secret
from support.replica import times
from support.wait import eventually, stays

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
INTRUDER = "intruder"  # the endpoint of the namespace that attacks the other
INTRUDERS_KEY = "key-of-the-intruder-0001"
ACTS_WITHIN = 1.0  # seconds
QUIET = 0.5  # seconds: an event that must not happen would happen within them, since changes are applied within a tenth of that


@pytest.fixture
def other(cluster, namespace):
    """The name of a second namespace, the intruder's."""
    name = f"{namespace}-other"
    cluster.create_namespace(name)
    yield name
    cluster.delete_namespace(name)


@pytest.fixture
def victim(cluster, namespace, pods):
    """The Pod of my-endpoint, its only one. The endpoint is in the test's namespace and has the host name victim.test."""
    cluster.apply([secret(), online_endpoint(router={"hostnames": ["victim.test"]}), online_deployment(), service(MODEL),
                   deployment(MODEL)], namespace)
    [pod] = pods.ready(namespace, 1)
    eventually(lambda: [one for part in cluster.api.items(path("endpointslices", namespace)) for one in part["endpoints"] or []],
               "the EndpointSlice to have the Pod")
    return pod


@pytest.fixture
def both(cluster, namespace, other, kinds, start, tmp_path):
    """Starts a router that serves both namespaces: `both(prefix="team-")` sets rules for the intruder's."""
    everywhere = cluster.service_account(namespace, "everywhere", cluster_rules=rights())

    def make(**rules):
        return start_following(start, everywhere, tmp_path, namespaces=[{"name": namespace}, {"name": other, **rules}])
    return make


@pytest.fixture
def intrude(cluster, other):
    """Applies objects in the intruder's namespace, together with its Secret."""
    def make(*objects):
        cluster.apply([secret(f"{INTRUDER}-keys", primary=INTRUDERS_KEY, secondary=INTRUDERS_KEY), *objects], other)
    return make


def intruder_endpoint(**options):
    return online_endpoint(INTRUDER, **options)


def intruder_deployment(**options):
    """Its requests wait only a short time."""
    return online_deployment("blue", INTRUDER, router={"service": {"name": "stolen"}}, max_queue_wait_ms=100, **options)


def score_path(endpoint):
    return f"/api/v1/endpoint/{endpoint}/score"


def score(router, endpoint, **options):
    return router.score(b"x", path=score_path(endpoint), **options)


def assert_not_reached(router, pod, reason, endpoint=INTRUDER):
    """The intruder's own key is valid for its own endpoint, which has no replica."""
    before = len(times([pod], "delivered"))
    for _ in range(3):
        answer = score(router, endpoint, key=INTRUDERS_KEY)
        assert (answer.status, answer.why) == (503, "no_ready_replica")
    assert score(router, ENDPOINT).status == 200
    assert len(times([pod], "delivered")) == before + 1  # only this request
    assert deployment_of(router, endpoint=endpoint)["replicas"] == []
    assert result_of(router, f"{endpoint}-blue")["reason"] == reason


def stolen_slice(pod, labels=(), target=None):
    return endpoint_slice("stolen-1", "stolen", [pod.ip], labels, targets=[target] if target else None)


def target_of(pod, namespace):
    return {"kind": "Pod", "namespace": namespace, "name": pod.name, "uid": pod.uid}


def test_an_external_name_leads_nowhere(cluster, other, both, intrude, victim):
    """Neither the name itself is a replica, nor a slice with the name of that Service."""
    external = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "stolen"},
                "spec": {"type": "ExternalName", "externalName": victim.ip}}
    intrude(intruder_endpoint(), intruder_deployment(), external)
    router = both()
    assert_not_reached(router, victim, "Accepted")
    cluster.apply(stolen_slice(victim), other)
    eventually(lambda: result_of(router, f"{INTRUDER}-blue")["reason"] != "Accepted", "the slice to have a result")
    assert_not_reached(router, victim, "SlicesRefused")


@pytest.mark.parametrize("kind", ["by hand", "label forged", "target of the other namespace"])
def test_a_slice_by_hand_leads_nowhere(cluster, namespace, other, both, intrude, victim, kind):
    """The slice claims that the other namespace's Pod belongs to its Service."""
    router = both()
    forged = {"by hand": stolen_slice(victim, target=target_of(victim, other)),
              "label forged": stolen_slice(victim, {MANAGED_BY: CONTROLLER}),
              "target of the other namespace": stolen_slice(victim, {MANAGED_BY: CONTROLLER}, target_of(victim, namespace))}[kind]
    intrude(intruder_endpoint(), intruder_deployment(), forged)
    eventually(lambda: (result_of(router, f"{INTRUDER}-blue") or {}).get("reason") == "SlicesRefused", "the slice to be refused")
    assert_not_reached(router, victim, "SlicesRefused")
    assert victim.ip in result_of(router, f"{INTRUDER}-blue")["message"] or kind == "by hand"


def test_custom_slices_are_believed_where_that_is_allowed(cluster, namespace, follow, victim):
    """With allow_custom_endpoint_slices the router accepts the same slice. So the tests above refuse it only because of its origin."""
    cluster.apply([online_endpoint(INTRUDER), intruder_deployment(), secret(f"{INTRUDER}-keys", primary=INTRUDERS_KEY),
                   stolen_slice(victim, target=target_of(victim, namespace))], namespace)
    router = follow(allow_custom_endpoint_slices=True)
    assert score(router, INTRUDER, key=INTRUDERS_KEY).status == 200


def test_a_deployment_serves_endpoints_of_its_namespace_only(cluster, namespace, other, both, intrude, victim):
    """A deployment that names the endpoint of the other namespace gets none of its requests, neither by share nor by name."""
    intrude(online_deployment("green"), online_deployment("blue"))
    router = both()
    for name in ("green", "blue"):
        assert result_of(router, f"{ENDPOINT}-{name}", other)["reason"] == "EndpointNotFound"
    assert result_of(router, MODEL, namespace)["reason"] == "Accepted"
    answer = score(router, ENDPOINT, headers={"azureml-model-deployment": "green"})
    assert (answer.status, answer.why) == (404, "deployment_not_found")
    answer = score(router, ENDPOINT, headers={"azureml-model-deployment": "blue"})
    assert (answer.status, answer.headers.get("x-pod")) == (200, victim.name)
    cluster.api.patch(path("onlineendpoints", namespace, ENDPOINT), {"spec": {"traffic": {"blue": 0, "green": 100}}})
    eventually(lambda: score(router, ENDPOINT).why == "deployment_not_found", "the share of a deployment that the endpoint does not have")


def test_a_host_name_belongs_to_who_had_it_first(cluster, namespace, other, both, intrude, victim):
    router = both()
    intrude(intruder_endpoint(router={"hostnames": ["victim.test"]}), intruder_deployment())
    eventually(lambda: result_of(router, INTRUDER), "the result of the intruder's endpoint")
    assert result_of(router, INTRUDER)["reason"] == "HostnameConflict"
    answer = router.score(b"x", path="/score", host="victim.test")
    assert (answer.status, answer.headers.get("x-pod")) == (200, victim.name)
    answer = router.score(b"x", path="/score", host="victim.test", key=INTRUDERS_KEY)
    assert (answer.status, answer.why) == (401, "unauthorized")
    assert score(router, INTRUDER, key=INTRUDERS_KEY).why == "endpoint_not_found"


def test_an_endpoint_belongs_to_who_had_it_first(cluster, namespace, other, both, intrude, victim):
    router = both()
    cluster.apply([secret(primary=INTRUDERS_KEY), online_endpoint()], other)
    eventually(lambda: result_of(router, ENDPOINT, other), "the result of the intruder's endpoint")
    assert result_of(router, ENDPOINT, other)["reason"] == "NameConflict"
    assert score(router, ENDPOINT).headers.get("x-pod") == victim.name
    assert score(router, ENDPOINT, key=INTRUDERS_KEY).why == "unauthorized"


def test_a_secret_is_one_of_the_namespace(cluster, other, both, intrude, victim):
    """The router does not use the other namespace's Secret here: even a client with its key is refused."""
    router = both()
    intrude(intruder_endpoint(router={"keys": {"secretName": f"{ENDPOINT}-keys"}}), intruder_deployment())
    eventually(lambda: result_of(router, INTRUDER), "the result of the intruder's endpoint")
    assert result_of(router, INTRUDER)["reason"] == "SecretMissing"
    for key in ({}, {"key": INTRUDERS_KEY}, {"key": None}):
        answer = score(router, INTRUDER, **key)
        assert (answer.status, answer.why) == (401, "unauthorized")


def test_rules_say_what_a_namespace_may_claim(cluster, namespace, other, both, intrude, victim):
    router = both(hostnames=["*.team.test"], prefix="intr")
    named = {"intruder": ["a.team.test"], "intr-other": ["victim.team.test.evil.test"], "intr-third": ["team.test"], "trusted": []}
    cluster.apply([one for name, hostnames in named.items()
                   for one in (online_endpoint(name, traffic={}, router={"hostnames": hostnames}), secret(f"{name}-keys"))], other)
    eventually(lambda: all(result_of(router, name) for name in named), "the results of the endpoints")
    assert {name: result_of(router, name)["reason"] for name in named} == {
        "intruder": "Accepted", "intr-other": "HostnameNotAllowed", "intr-third": "HostnameNotAllowed", "trusted": "NameNotAllowed"}
    reached = {name: score(router, name).why for name in named}
    assert reached == {"intruder": "deployment_not_found", "intr-other": "endpoint_not_found", "intr-third": "endpoint_not_found",
                       "trusted": "endpoint_not_found"}
    assert score(router, ENDPOINT).status == 200


def test_a_namespace_that_may_not_be_read_does_not_matter_to_the_others(cluster, namespace, other, account, start, tmp_path, victim):
    """The router's Role is in one namespace, and it is configured to serve two. It reports which rights it lacks, and serves the one."""
    router = start_following(start, account, tmp_path, wait=False, namespaces=[{"name": namespace}, {"name": other}])
    forbidden = lambda: {one["objectRef"]["resource"] for one in cluster.audited(account.user, verb="list", namespace=other)  # noqa: E731
                         if one["responseStatus"]["code"] == 403}
    eventually(lambda: forbidden() == {"onlineendpoints", "onlinedeployments", "endpointslices"}, "403 for each list")
    for plural in ("onlineendpoints", "onlinedeployments", "endpointslices"):  # operators should read in the log what to allow
        eventually(lambda: any(plural in line and other in line and "allow the verbs list and watch" in line and "Role" in line
                               for line in router.log.splitlines()), f"the log to say what to allow for {plural}")
    wait_served(router, 1, patience=10)
    eventually(lambda: router.observe("/readyz")[0] == 200, "/readyz to answer 200")
    assert score(router, ENDPOINT).status == 200
    assert forbidden() and cluster.audited(account.user, verb="watch", namespace=namespace)


def test_rights_that_are_taken_away_leave_what_was_known(cluster, namespace, follow, account, gate, victim):
    door = gate(cluster.port)
    router = follow(api_port=door.port)
    wait_served(router, 1)
    cluster.api.delete(f"{RBAC}/namespaces/{namespace}/rolebindings/router")
    door.end_all()
    eventually(lambda: [one for one in cluster.audited(account.user, verb="watch", namespace=namespace)
                        if one.get("responseStatus", {}).get("code") == 403], "403 for a watch")
    stays(lambda: score(router, ENDPOINT).status == 200, QUIET, "the endpoint to answer")
    assert router.observe("/readyz")[0] == 200


@pytest.mark.parametrize("secrets", [True, False], ids=["secrets missing", "secrets forbidden"])
def test_who_changes_all_the_time_holds_up_nobody(cluster, namespace, other, account, start, tmp_path, victim, secrets):
    """Endpoints are created in the intruder's namespace all the time, each with a Secret that the router cannot read. Meanwhile the victim
    changes its key."""
    may = cluster.service_account(other, "router", rules=rights(secrets))
    api = cluster.api
    api.post(f"{RBAC}/namespaces/{other}/rolebindings", {
        "metadata": {"name": "of-the-other"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": may.name},
        "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": namespace}]})
    router = start_following(start, account, tmp_path, namespaces=[{"name": namespace}, {"name": other}])
    wait_served(router, 1)
    done = threading.Event()

    def bustle():
        for number in itertools.count():
            if done.wait(0.03):
                return
            api.post(path("onlineendpoints", other), online_endpoint(f"busy-{number}", traffic={}))
    busy = threading.Thread(target=bustle)
    busy.start()
    try:
        time.sleep(QUIET)  # the changes have begun
        took = []
        for number in range(3):
            key = f"another-key-{number}"
            api.patch(path("secrets", namespace, f"{ENDPOINT}-keys"), {"data": keys(key)})
            begun = time.monotonic()
            eventually(lambda: score(router, ENDPOINT, key=key).status == 200, "the new key to be valid", patience=20)
            took.append(time.monotonic() - begun)
    finally:
        done.set()
        busy.join()
    print(f"\na key acted after {', '.join(f'{one:.2f}' for one in took)} s beside thirty new endpoints a second")
    assert min(took) <= ACTS_WITHIN


@pytest.mark.parametrize("checked", [False, True])
def test_a_forged_slice_named_a_pod_of_another_namespace(cluster, namespace, other, kinds, start, tmp_path, intrude, victim, checked):
    """The slice names a Pod of its author's own. Without `check_pod_addresses`, the router cannot see that the address belongs to another
    Pod."""
    everywhere = cluster.service_account(namespace, "everywhere", cluster_rules=rights(pods=True))
    router = start_following(start, everywhere, tmp_path, namespaces=[{"name": namespace}, {"name": other}],
                             check_pod_addresses=checked)
    wait_served(router, 1)
    intrude(online_endpoint(INTRUDER), online_deployment(endpoint=INTRUDER), deployment("mine"))
    pods_of_other = lambda: [one for one in cluster.api.items(f"/api/v1/namespaces/{other}/pods") if one["status"].get("podIP")]  # noqa: E731
    [mine] = eventually(pods_of_other, "a Pod with an address")
    target = {"kind": "Pod", "namespace": other, "name": mine["metadata"]["name"], "uid": mine["metadata"]["uid"]}
    forged = endpoint_slice("forged", f"{INTRUDER}-blue", [victim.address.partition(":")[0]], {MANAGED_BY: CONTROLLER}, targets=[target])
    cluster.api.post(path("endpointslices", other), forged)
    replicas = lambda: (deployment_of(router, endpoint=INTRUDER) or {}).get("replicas", [])  # noqa: E731
    if checked:
        eventually(lambda: result_of(router, f"{INTRUDER}-blue", other)["reason"] == "SlicesRefused", "the refusal")
        stays(lambda: not replicas(), QUIET)
        wait_served(router, 1)  # the victim's own slice is accepted
    else:
        eventually(replicas, "the slice to be accepted")
