"""Endpoints, deployments, keys and replicas as objects of a real API server, served by the router."""

import base64
import time

import pytest
from harness.following import result_of
from harness.objects import deployment, service
from support.client import request
from support.router import ROOT
from support.wait import eventually, stays

GROUP = "/apis/inference-router.dev/v1alpha1"
READ = ["list", "watch"]
KEY, OTHER_KEY = "key-of-a-resource-0001", "key-of-a-resource-0002"
WITHIN = 1.0  # seconds within which the router applies a change


def online_endpoint(name, traffic=None, **spec):
    return {"apiVersion": "inference-router.dev/v1alpha1", "kind": "OnlineEndpoint", "metadata": {"name": name},
            "spec": {"auth_mode": "key", **({"traffic": traffic} if traffic else {}), **spec}}


def online_deployment(endpoint, name, slots=4, **spec):
    return {"apiVersion": "inference-router.dev/v1alpha1", "kind": "OnlineDeployment", "metadata": {"name": f"{endpoint}-{name}"},
            "spec": {"name": name, "endpoint_name": endpoint,
                     "request_settings": {"max_concurrent_requests_per_instance": slots, "max_queue_wait_ms": 5000}, **spec}}


def secret(name, primary, secondary=None):
    keys = {"primaryKey": primary, **({"secondaryKey": secondary} if secondary else {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}}


@pytest.fixture(scope="module")
def kinds(cluster):
    """The custom resources."""
    for file in sorted((ROOT / "charts" / "inference-router" / "files" / "crds").glob("*.yaml")):
        cluster.apply(file)
    for plural in ("onlineendpoints", "onlinedeployments"):
        eventually(lambda: _is_served(cluster, plural), plural, patience=20)


def _is_served(cluster, plural):
    try:
        return cluster.api.get(f"{GROUP}/{plural}") is not None
    except Exception:  # the kind does not exist yet
        return False


@pytest.fixture
def follow(cluster, namespace, kinds, start, tmp_path):
    """Starts routers that follow the test's namespace, with exactly the rights that they need there."""
    account = cluster.service_account(namespace, "router", rules=[
        {"apiGroups": ["inference-router.dev"], "resources": ["onlineendpoints", "onlinedeployments"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": READ, "resourceNames": ["iris-keys", "wine-keys"]},
    ])
    kubeconfig = account.write_kubeconfig(tmp_path / "kubeconfig")

    def make(*endpoints, wait=True, **options):
        settings = {"kubeconfig": str(kubeconfig), "namespaces": [{"name": namespace}], **options}
        return start(*endpoints, kubernetes=settings, wait=wait)
    return make


@pytest.fixture
def iris(cluster, namespace, pods):
    """An endpoint with one deployment of two Pods. All objects are applied at once, and the Pods are ready."""
    cluster.apply([online_endpoint("iris", {"blue": 100}), online_deployment("iris", "blue"), secret("iris-keys", KEY),
                   service("iris-blue"), deployment("iris-blue", replicas=2)], namespace)
    running = pods.ready(namespace, 2)
    eventually(lambda: _ready_in_slices(cluster, namespace, "iris-blue") == 2, "the EndpointSlice to have both Pods")
    return running


def _ready_in_slices(cluster, namespace, name):
    slices = cluster.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
                               labelSelector=f"kubernetes.io/service-name={name}")
    return sum(one["conditions"]["ready"] for part in slices for one in part["endpoints"] or [])


def path(endpoint):
    return f"/api/v1/endpoint/{endpoint}/score"


def status_of(router, endpoint="iris", key=KEY, **options):
    return router.score(b"{}", path=path(endpoint), key=key, **options).status


def acts(condition, what):
    """Waits for the condition and asserts that the change was applied within a second, as every change must be."""
    begun = time.monotonic()
    eventually(condition, what, patience=10)
    took = time.monotonic() - begun
    print(f"\n{what}: {took * 1000:.0f} ms")
    assert took < WITHIN, f"{what} took {took:.2f} s"


def test_a_thousand_requests_after_readiness(follow, iris):
    router = follow()
    answers = {}
    with router.connect() as client:
        for _ in range(1000):
            status = client.exchange(b"{}", path=path("iris"), key=KEY).status
            answers[status] = answers.get(status, 0) + 1
    assert answers == {200: 1000}
    assert {one.ip for one in iris} == {one["address"].split(":")[0] for one in router.deployments()[0]["replicas"]}
    assert result_of(router, "iris")["reason"] == "Accepted"
    assert result_of(router, "iris-blue")["replicas_ready"] == 2
    assert KEY not in router.admin("/status")[1]
    assert router.metrics().value("inference_router_discovery_age_seconds") < 5


def test_readiness_waits_for_the_api_server(cluster, follow, iris):
    cluster.kill_api_server()
    router = follow(wait=False)
    eventually(lambda: _observes(router), "the router's listener to be open")
    status, text = router.observe("/readyz")
    assert status == 503
    assert "OnlineEndpoint is not listed yet" in text
    cluster.start_api_server()
    router.wait_ready()
    assert status_of(router) == 200


def _observes(router):
    try:
        return router.observe("/healthz")[0] == 200
    except OSError:
        return False


def test_a_change_acts_within_a_second(cluster, namespace, pods, follow, iris):
    router = follow()
    cluster.apply([secret("iris-keys", OTHER_KEY)], namespace)
    acts(lambda: status_of(router, key=OTHER_KEY) == 200, "a new key")
    assert status_of(router, key=KEY) == 401

    cluster.apply([service("iris-green"), deployment("iris-green"), online_deployment("iris", "green")], namespace)
    pods.ready(namespace, 1, app="iris-green")
    green = {"azureml-model-deployment": "green"}
    eventually(lambda: status_of(router, key=OTHER_KEY, headers=green) == 200, "the new deployment to answer")
    cluster.apply([online_endpoint("iris", {"blue": 0, "green": 100})], namespace)
    served_by = lambda: router.score(b"{}", path=path("iris"), key=OTHER_KEY).headers.get("azureml-model-deployment")  # noqa: E731
    acts(lambda: served_by() == "green", "other shares")

    cluster.api.delete(f"{GROUP}/namespaces/{namespace}/onlinedeployments/iris-green")
    acts(lambda: status_of(router, key=OTHER_KEY) == 404, "a deployment is gone")
    assert result_of(router, "iris")["reason"] == "DeploymentsMissing"
    cluster.api.delete(f"{GROUP}/namespaces/{namespace}/onlineendpoints/iris")
    acts(lambda: router.status()["endpoints"] == [], "the endpoint is gone")
    assert result_of(router, "iris-blue")["reason"] == "EndpointNotFound"


def test_new_replicas_need_no_new_table(cluster, namespace, pods, follow, iris):
    router = follow()
    generation = router.generation()
    cluster.kubectl("scale", "deployment/iris-blue", "--replicas=3", "-n", namespace)
    pods.ready(namespace, 3)
    acts(lambda: router.deployments()[0]["replicas_ready"] == 3, "one more Pod")
    assert router.generation() == generation


def test_what_was_known_is_served_while_the_api_server_is_away(cluster, follow, iris):
    router = follow()
    cluster.kill_api_server()
    age = lambda: router.metrics().value("inference_router_discovery_age_seconds")  # noqa: E731
    eventually(lambda: age() > 1, "the age to rise")
    stays(lambda: status_of(router) == 200, 0.5, "the requests to be served")
    assert router.observe("/readyz")[0] == 200
    cluster.start_api_server()
    eventually(lambda: age() < 1, "the age to fall", patience=40)


def test_a_missing_secret_closes_its_endpoint_alone(cluster, namespace, follow, iris):
    cluster.apply([online_endpoint("wine", {"red": 100}), online_deployment("wine", "red")], namespace)
    router = follow()
    assert status_of(router, "wine") == 401
    assert result_of(router, "wine")["reason"] == "SecretMissing"
    assert status_of(router) == 200
    cluster.apply([secret("wine-keys", KEY)], namespace)
    acts(lambda: result_of(router, "wine")["reason"] == "Accepted", "the Secret")


def test_a_bad_resource_is_refused_by_itself(cluster, namespace, follow, iris):
    router = follow()
    cluster.apply([online_deployment("iris", "blue", environment={"surprise": 1})], namespace)  # the API server accepts it
    eventually(lambda: result_of(router, "iris-blue")["reason"] == "Invalid", "the result to be Invalid")
    assert not result_of(router, "iris-blue")["accepted"] and result_of(router, "iris-blue")["served"]
    assert "spec.environment.surprise" in result_of(router, "iris-blue")["message"]
    assert status_of(router) == 200


def test_kubernetes_cannot_change_by_reload(follow, iris):
    router = follow()
    router.settings["kubernetes"]["allow_custom_endpoint_slices"] = True
    router.write()
    refused = lambda: router.metrics().value("inference_router_configuration_reloads_total", result="refused")  # noqa: E731
    eventually(lambda: refused() >= 1, "the refusal")
    assert status_of(router) == 200


def test_a_pod_of_two_deployments_has_one_set_of_slots(cluster, namespace, pods, follow):
    """Each deployment has its own Service. Both Services select the same Pod, which takes one request at a time."""
    cluster.apply([online_endpoint("iris", {"blue": 50, "green": 50}), online_deployment("iris", "blue", slots=1),
                   online_deployment("iris", "green", slots=1), secret("iris-keys", KEY), service("iris-blue", "model"),
                   service("iris-green", "model"), deployment("model", environment={"SLEEP": 0.02})], namespace)
    [only] = pods.ready(namespace, 1)
    for name in ("iris-blue", "iris-green"):
        eventually(lambda name=name: _ready_in_slices(cluster, namespace, name) == 1, "the EndpointSlice to have the Pod")
    router = follow()
    clients = [router.connect() for _ in range(8)]
    for _ in range(5):
        for number, client in enumerate(clients):
            named = {"azureml-model-deployment": ("blue", "green")[number % 2]}
            client.send(request(b"{}", path=path("iris"), key=KEY, headers=named))
        assert [client.response().status for client in clients] == [200] * 8
    for client in clients:
        client.close()
    assert max(one.concurrent for one in only.events()) == 1


def test_a_name_passes_from_one_namespace_to_another(cluster, namespace, pods, kinds, start, tmp_path):
    """The older of two endpoints with the same name has the name. Neither keys nor waiting requests nor Pods pass to the other with the
    name."""
    other = f"{namespace}-other"
    cluster.create_namespace(other)
    account = cluster.service_account(namespace, "router", cluster_rules=[
        {"apiGroups": ["inference-router.dev"], "resources": ["onlineendpoints", "onlinedeployments"], "verbs": READ},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": READ},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": READ},
    ])
    try:
        cluster.apply([online_endpoint("iris", {"blue": 100}), secret("iris-keys", KEY),
                       online_deployment("iris", "blue", request_settings={"max_queue_wait_ms": 30000,
                                                                                  "request_timeout_ms": 30000}),
                       service("iris-blue"), deployment("iris-blue", environment={"SLEEP": 2})], namespace)
        pods.ready(namespace, 1)
        eventually(lambda: _ready_in_slices(cluster, namespace, "iris-blue") == 1, "the EndpointSlice to have the Pod")
        older = cluster.api.get(f"{GROUP}/namespaces/{namespace}/onlineendpoints/iris")["metadata"]["creationTimestamp"]
        eventually(lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) > older, "the next second")
        cluster.apply([online_endpoint("iris", {"blue": 100}), secret("iris-keys", OTHER_KEY), online_deployment("iris", "blue"),
                       service("iris-blue"), deployment("iris-blue")], other)
        pods.ready(other, 1)
        eventually(lambda: _ready_in_slices(cluster, other, "iris-blue") == 1, "the EndpointSlice to have the Pod")
        router = start(kubernetes={"kubeconfig": str(account.write_kubeconfig(tmp_path / "kubeconfig")),
                                   "namespaces": [{"name": namespace}, {"name": other}]})
        refused = [one for one in router.status()["kubernetes"]["resources"] if one["reason"] == "NameConflict"]
        assert [one["namespace"] for one in refused] == [other]
        assert status_of(router, key=OTHER_KEY) == 401

        running = router.connect().send(request(b"{}", path=path("iris"), key=KEY))
        eventually(lambda: router.slots_in_use() == 1, "a request to run")
        waiting = router.connect().send(request(b"{}", path=path("iris"), key=KEY))
        eventually(lambda: router.queue_length() == 1, "a request to wait")
        cluster.api.delete(f"{GROUP}/namespaces/{namespace}/onlineendpoints/iris")
        assert waiting.response().status == 404
        assert status_of(router, key=OTHER_KEY) == 200
        assert status_of(router, key=KEY) == 401
        assert running.response().status == 200
    finally:
        cluster.delete_namespace(other)
