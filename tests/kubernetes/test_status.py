"""What the router writes to a real API server: statuses, Events of refusals, keys; and which router writes."""

import base64
import collections
import signal
import time

import pytest
from harness.objects import deployment, service
from support.router import ROOT
from support.wait import eventually, stays

GROUP = "/apis/inference-router.dev/v1alpha1"
KEY = "key-of-a-resource-0001"
# The rights that docs/kubernetes.md lists under "Rights".
FOLLOW = [
    {"apiGroups": ["inference-router.dev"], "resources": ["onlineendpoints", "onlinedeployments"], "verbs": ["list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]},
]
OBSERVE = [  # the autoscaler's default mode
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get"]},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list", "watch"]},
]
REPORT = [
    {"apiGroups": ["inference-router.dev"], "resources": ["onlineendpoints/status", "onlinedeployments/status"],
     "verbs": ["patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get"]},
]
ADOPT = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
CREATE_KEYS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "patch"]}]


def online_endpoint(name, traffic=None, **spec):
    return {"apiVersion": "inference-router.dev/v1alpha1", "kind": "OnlineEndpoint", "metadata": {"name": name},
            "spec": {"auth_mode": "key", **({"traffic": traffic} if traffic else {}), **spec}}


def online_deployment(endpoint, name, **spec):
    return {"apiVersion": "inference-router.dev/v1alpha1", "kind": "OnlineDeployment", "metadata": {"name": f"{endpoint}-{name}"},
            "spec": {"name": name, "endpoint_name": endpoint,
                     "request_settings": {"max_concurrent_requests_per_instance": 4, "max_queue_wait_ms": 5000}, **spec}}


def secret(name, **keys):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}}


@pytest.fixture(scope="module")
def kinds(cluster):
    """Installs the custom resource definitions."""
    cluster.apply(ROOT / "charts" / "inference-router" / "files" / "crds")
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/onlineendpoints.inference-router.dev",
                    "crd/onlinedeployments.inference-router.dev")


@pytest.fixture
def follow(cluster, namespace, kinds, start, tmp_path):
    """Starts routers, each with a service account of its own, `router.account`, that has exactly the rights that it needs. At the end,
    asserts that none of their requests was refused for a missing right."""
    routers = []

    def make(*endpoints, wait=True, rights=(), listeners=None, **options):
        name = f"router-{len(routers)}"
        account = cluster.service_account(namespace, name, rules=[*FOLLOW, *OBSERVE, *REPORT, *rights])
        kubeconfig = account.write_kubeconfig(tmp_path / f"{name}.kubeconfig")
        kubernetes = {"kubeconfig": str(kubeconfig), "namespaces": [{"name": namespace}], **options}
        router = start(*endpoints, kubernetes=kubernetes, wait=wait)
        router.account = account
        routers.append(router)
        return router
    yield make
    for router in routers:
        refused = [one["requestURI"] for one in cluster.audited(router.account.user)
                   if one.get("responseStatus", {}).get("code") == 403]
        assert not refused


@pytest.fixture
def iris(cluster, namespace, pods):
    """An endpoint with one deployment of two Pods, which are ready."""
    cluster.apply([online_endpoint("iris", {"blue": 100}), online_deployment("iris", "blue"),
                   secret("iris-keys", primaryKey=KEY, secondaryKey="another-key-of-it"),
                   service("iris-blue"), deployment("iris-blue", replicas=2)], namespace)
    return pods.ready(namespace, 2)


@pytest.fixture
def get(cluster, namespace):
    """Returns an object's status, with its conditions by type: `get("iris")`, `get("iris-blue", "onlinedeployments")`."""
    def one(name, plural="onlineendpoints"):
        status = cluster.api.get(f"{GROUP}/namespaces/{namespace}/{plural}/{name}").get("status", {})
        return {**status, "conditions": {each["type"]: each for each in status.get("conditions", [])}}
    return one


def condition(status, kind):
    found = status["conditions"].get(kind)
    return (found["status"], found["reason"]) if found else None


def status_writes(cluster, router):
    """Returns the router's requests to change a status, from the audit log."""
    return [one for one in cluster.audited(router.account.user, verb="patch", subresource="status")
            if one["stage"] == "ResponseComplete"]


def score(router, key):
    return router.score(b"{}", path="/api/v1/endpoint/iris/score", key=key).status


def test_pods_are_adopted_with_the_rights_that_are_listed(cluster, namespace, pods, follow, get):
    """Also tests the router without the setting in router.yaml: the resource then says what to set."""
    labels = {"ml.azure.com/endpoint-name": "iris", "ml.azure.com/deployment-name": "blue"}
    cluster.apply([online_endpoint("iris", {"blue": 100}), online_deployment("iris", "blue", router={"adoptAzureMLPods": True}),
                   secret("iris-keys", primaryKey=KEY), deployment("model", replicas=2, labels=labels)], namespace)
    pods.ready(namespace, 2)
    blue = lambda kind: condition(get("iris-blue", "onlinedeployments"), kind)  # noqa: E731
    off = follow()
    eventually(lambda: blue("Accepted") == ("False", "AdoptionNotAllowed"), "the refusal")
    assert "adopt_azureml_pods" in get("iris-blue", "onlinedeployments")["conditions"]["Accepted"]["message"]
    eventually(lambda: "AdoptionNotAllowed" in cluster.kubectl("get", "events", "-n", namespace, "--no-headers"), "the Event")
    off.stop()
    follow(rights=ADOPT, adopt_azureml_pods=True)
    eventually(lambda: blue("Ready") == ("True", "Ready"), "the Pods to be ready")
    assert blue("Accepted") == ("True", "Accepted")
    assert get("iris-blue", "onlinedeployments")["replicas"] == "2/2"


def test_kubectl_waits_for_ready_and_shows_the_columns(cluster, namespace, follow, iris, get):
    cluster.apply([online_endpoint("iris", {"blue": 90, "green": 10}), online_deployment("iris", "green"), service("iris-green"),
                   deployment("iris-green")], namespace)
    follow(public_url="https://score.example")
    for kind in ("irep/iris", "irdep/iris-blue", "irdep/iris-green"):
        cluster.kubectl("wait", "--for=condition=Ready", kind, "-n", namespace, "--timeout=30s")
    eventually(lambda: get("iris")["replicas"] == "3/3", "three ready replicas")
    eventually(lambda: get("iris-blue", "onlinedeployments")["replicas"] == "2/2", "two of them in the deployment's own status")
    head, row = cluster.kubectl("get", "irep", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "TRAFFIC", "REPLICAS", "READY", "SCORING", "URI", "AGE"]
    assert row.split()[:6] == ["iris", "blue=90", "green=10", "3/3", "True", "https://score.example/api/v1/endpoint/iris/score"]
    head, *rows = cluster.kubectl("get", "irdep", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "ENDPOINT", "REPLICAS", "READY", "AGE"]
    assert [one.split()[:4] for one in rows] == [["iris-blue", "iris", "2/2", "True"], ["iris-green", "iris", "1/1", "True"]]
    whole = get("iris")
    assert (whole["replicasReady"], whole["replicasTotal"], whole["observedGeneration"]) == (3, 3, 2)
    assert condition(whole, "Autoscaled") == ("False", "NotConfigured")


def test_conditions_follow_what_happens(cluster, namespace, pods, follow, iris, get):
    follow()
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready"), "the endpoint to be ready")
    accepted = get("iris")["conditions"]["Accepted"]
    for pod in iris:
        pod.set_ready(False)
    eventually(lambda: condition(get("iris"), "Ready") == ("False", "NoReadyReplica"), "the endpoint to have no ready replica")
    # The status of each resource is a write of its own: that of the endpoint can arrive first.
    eventually(lambda: get("iris-blue", "onlinedeployments")["replicas"] == "0/2", "the deployment to have none")
    assert get("iris")["conditions"]["Accepted"] == accepted, "the time of its last transition should stay"
    for pod in iris:
        pod.set_ready(True)
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready"), "the endpoint to be ready again")
    cluster.kubectl("delete", "secret", "iris-keys", "-n", namespace)
    eventually(lambda: condition(get("iris"), "Ready") == ("False", "NoKeys"), "the endpoint to have no keys")
    assert condition(get("iris"), "Accepted") == ("True", "SecretMissing")
    cluster.apply([online_deployment("iris", "blue", scale_settings={"type": "target_utilization"}, model="azureml:iris:1")], namespace)
    eventually(lambda: condition(get("iris-blue", "onlinedeployments"), "Autoscaled") == ("False", "TargetNotMarked"),
               "that nobody has marked the target", patience=20)
    eventually(lambda: condition(get("iris"), "Autoscaled") == ("False", "TargetNotMarked"), "the same of the endpoint")
    message = get("iris-blue", "onlinedeployments")["conditions"]["Accepted"]["message"]
    assert "without effect here" in message
    assert "`spec.model`" in message


def test_one_manager_owns_the_fields_and_puts_them_right(cluster, namespace, follow, iris, get):
    router = follow()
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready"), "the endpoint to be ready")
    metadata = cluster.api.get(f"{GROUP}/namespaces/{namespace}/onlineendpoints/iris")["metadata"]
    [owner] = [one for one in metadata["managedFields"] if one.get("subresource") == "status"]
    assert (owner["manager"], owner["operation"]) == ("inference-router", "Apply")
    count = len(status_writes(cluster, router))
    stays(lambda: len(status_writes(cluster, router)) == count, 3, "no further write")
    cluster.api.patch(f"{GROUP}/namespaces/{namespace}/onlineendpoints/iris/status",
                      {"status": {"traffic": "blue=1", "conditions": []}})
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready") and get("iris")["traffic"] == "blue=100",
               "the router to correct the status")


def test_a_refusal_is_told_once(cluster, namespace, follow, get):
    router = follow()
    cluster.apply([online_deployment("nobody", "blue")], namespace)
    eventually(lambda: condition(get("nobody-blue", "onlinedeployments"), "Accepted") == ("False", "EndpointNotFound"),
               "the refusal")

    def rows():
        text = cluster.kubectl("get", "events", "-n", namespace, "--no-headers", "--field-selector=type=Warning")
        return [row.split() for row in text.splitlines() if "nobody-blue" in row]
    [row] = eventually(rows, "the event")
    assert row[1:4] == ["Warning", "EndpointNotFound", "onlinedeployment/nobody-blue"]
    router.stop()
    again = follow()
    eventually(lambda: "holderIdentity" in cluster.api.get(
        f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/inference-router")["spec"], "the Lease to have a holder")
    cluster.apply([online_deployment("nobody", "blue", description="still nobody")], namespace)
    eventually(lambda: get("nobody-blue", "onlinedeployments").get("observedGeneration") == 2, "the second router's write")
    assert len(rows()) == 1
    assert not cluster.audited(again.account.user, verb="create", resource="events")
    assert again.metrics().value("inference_router_events_dropped_total") == 0


def test_the_scoring_uri_is_the_first_that_is_known(cluster, namespace, follow, iris, get):
    cluster.apply([service("router", port=8080)], namespace)

    def uri_of(expected, **options):
        router = follow(**options)
        eventually(lambda: get("iris").get("scoringUri") == expected, expected)
        router.stop()
    below = "/api/v1/endpoint/iris/score"
    uri_of(f"http://router.{namespace}.svc:8080{below}", service_name="router")
    cluster.api.patch(f"/api/v1/namespaces/{namespace}/services/router", {"spec": {"type": "LoadBalancer"}})
    cluster.api.patch(f"/api/v1/namespaces/{namespace}/services/router/status",
                      {"status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}})
    uri_of(f"http://198.51.100.7:8080{below}", service_name="router")
    uri_of(f"https://ml.example{below}", service_name="router", ssl_cname="ml.example")
    uri_of(f"https://public.example:8443{below}", service_name="router", ssl_cname="ml.example",
           public_url="https://public.example:8443")
    cluster.apply([online_endpoint("iris", {"blue": 100}, router={"hostnames": ["iris.example"]})], namespace)
    uri_of("http://iris.example/score", public_url="https://public.example:8443")


def test_one_of_two_routers_writes_and_the_other_takes_over(cluster, namespace, follow, iris, get):
    first = follow(identity="first")
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready"), "the endpoint to be ready")
    second = follow(identity="second")
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/inference-router"
    eventually(lambda: cluster.audited(second.account.user, resource="leases"), "the second router to read the Lease")
    iris[0].set_ready(False)
    eventually(lambda: get("iris")["replicas"] == "1/2", "the change in the status")
    assert status_writes(cluster, first)
    assert not status_writes(cluster, second)
    assert cluster.api.get(lease)["spec"]["holderIdentity"] == "first"

    before = len(status_writes(cluster, first))
    first.expect_exit = -signal.SIGKILL
    first.kill()
    iris[1].set_ready(False)
    begun = time.monotonic()
    eventually(lambda: get("iris")["replicas"] == "0/2", "the second router to take over", patience=60)
    print(f"\nthe other wrote {time.monotonic() - begun:.1f} s after the first was killed")
    assert cluster.api.get(lease)["spec"]["holderIdentity"] == "second"
    assert len(status_writes(cluster, first)) == before
    assert {one["objectRef"]["name"] for one in status_writes(cluster, second)} == {"iris", "iris-blue"}
    assert len(status_writes(cluster, second)) <= 4, "the second router should write only what differs"
    assert score(second, KEY) != 401, "the router that does not hold the Lease should serve too"


def test_a_rolling_update_is_one_write_a_second(cluster, namespace, pods, follow, iris, get):
    router = follow()
    eventually(lambda: condition(get("iris"), "Ready") == ("True", "Ready"), "the endpoint to be ready")
    cluster.kubectl("scale", "deployment/iris-blue", "--replicas=8", "-n", namespace)
    cluster.kubectl("set", "env", "deployment/iris-blue", "SLEEP=0.01", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/iris-blue", "-n", namespace, "--timeout=90s")
    eventually(lambda: get("iris")["replicas"] == "8/8", "eight ready replicas", patience=30)
    times = collections.defaultdict(list)
    for one in status_writes(cluster, router):
        seconds = one["requestReceivedTimestamp"].rstrip("Z").split("T")[1].split(":")
        times[one["objectRef"]["name"]].append(sum(float(part) * unit for part, unit in zip(seconds, (3600, 60, 1))))
    for name, moments in times.items():
        gaps = [(later - earlier) % 86400 for earlier, later in zip(moments, moments[1:])]
        # One request may take a little longer to arrive than the next one.
        assert all(gap > 0.7 for gap in gaps), (name, gaps)


def test_keys_are_made_and_made_anew_when_removed(cluster, namespace, pods, follow, get):
    cluster.apply([online_endpoint("iris", {"blue": 100}), online_deployment("iris", "blue"), service("iris-blue"),
                   deployment("iris-blue")], namespace)
    pods.ready(namespace, 1)
    router = follow(create_keys=True, rights=CREATE_KEYS)
    path = f"/api/v1/namespaces/{namespace}/secrets/iris-keys"
    cluster.kubectl("wait", "--for=condition=Ready", "irep/iris", "-n", namespace, "--timeout=30s")

    def keys():
        data = cluster.api.get(path).get("data", {})
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
    first = keys()
    assert sorted(first) == ["primaryKey", "secondaryKey"]
    assert len(set(first.values())) == 2
    [owner] = cluster.api.get(path)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner.get("controller", False)) == ("OnlineEndpoint", "iris", False)
    eventually(lambda: score(router, first["primaryKey"]) == 200, "the primary key to be valid")
    assert score(router, first["secondaryKey"]) == 200
    assert score(router, "wrong") == 401

    cluster.api.patch(path, {"data": {"primaryKey": None}})
    second = eventually(lambda: len(keys()) == 2 and keys(), "a new key in the Secret")
    assert second["primaryKey"] != first["primaryKey"]
    assert second["secondaryKey"] == first["secondaryKey"]
    eventually(lambda: score(router, second["primaryKey"]) == 200, "the new key to be valid")
    assert score(router, first["primaryKey"]) == 401
    assert score(router, first["secondaryKey"]) == 200
    shown = router.log + router.admin("/status")[1] + str(get("iris"))
    assert not [key for key in [*first.values(), *second.values()] if key in shown]

    cluster.kubectl("delete", "secret", "iris-keys", "-n", namespace)
    third = eventually(lambda: _try(keys), "a new Secret")
    assert not set(third.values()) & {*first.values(), *second.values()}
    cluster.kubectl("delete", "irep", "iris", "-n", namespace)
    eventually(lambda: _try(keys) is None, "the Secret to be deleted with its owner", patience=60)


def _try(ask):
    try:
        return ask()
    except Exception:  # it does not exist
        return None


def test_a_secret_of_somebody_else_is_left_alone(cluster, namespace, follow, get):
    cluster.apply([online_endpoint("iris"), secret("iris-keys", primaryKey=KEY), online_endpoint("wine")], namespace)
    router = follow(create_keys=True, rights=CREATE_KEYS)
    eventually(lambda: condition(get("wine"), "Ready") == ("False", "NoTraffic"), "the other endpoint's keys")
    eventually(lambda: condition(get("iris"), "Ready") == ("False", "NoTraffic"), "the status of the first endpoint")
    changes = [one for verb in ("create", "patch", "update")
               for one in cluster.audited(router.account.user, verb=verb, resource="secrets")]
    assert {one["objectRef"].get("name", "wine-keys") for one in changes} == {"wine-keys"}
    assert list(cluster.api.get(f"/api/v1/namespaces/{namespace}/secrets/iris-keys")["data"]) == ["primaryKey"]
