"""Pods that carry the labels of Azure ML's extension are replicas without a Service (`adoptAzureMLPods`)."""

import re

import pytest
from harness.following import deployment_of, failures, start_following, result_of, wait_served
from harness.identity import RBAC
from harness.objects import deployment, service
from harness.resources import ENDPOINT, MODEL, SETTINGS, online_deployment, online_endpoint, path, rights, secret
from support.client import request
from support.replica import times
from support.router import ROOT
from support.wait import eventually, stays

ADOPT = {"adoptAzureMLPods": True}
LEAVING = {"test/termination-delay": "1"}  # seconds between a Pod's deletion and SIGTERM, in which the router learns that the Pod ends
RATE, CLIENTS = 200, 20
QUIET = 0.5  # seconds: an event that must not happen would happen within them
SCORE = f"/api/v1/endpoint/{ENDPOINT}/score"


def labels(name="blue", endpoint=ENDPOINT):
    return {"ml.azure.com/endpoint-name": endpoint, "ml.azure.com/deployment-name": name, "isazuremlapp": "true"}


def model(replicas=1, **options):
    """Returns a Deployment like those of Azure ML's extension, without a Service."""
    return deployment(MODEL, replicas, labels=labels(), annotations=LEAVING, **options)


@pytest.fixture
def adopting(cluster, namespace, kinds, start, tmp_path):
    """Starts routers that adopt Pods, with a service account that may also read Pods: `adopting()`."""
    account = cluster.service_account(namespace, "adopting", rules=rights(pods=True))
    return lambda **options: start_following(start, account, tmp_path, namespaces=[{"name": namespace}],
                                             adopt_azureml_pods=True, **options)


def test_adopted_pods_come_and_go_and_no_request_fails(cluster, namespace, pods, adopting, load):
    cluster.apply([secret(), online_endpoint(), online_deployment(router=ADOPT), model(2, environment={"SLEEP": 0.005})], namespace)
    pods.ready(namespace, 2)
    router = adopting()
    wait_served(router, 2)
    generation = router.generation()
    assert result_of(router, MODEL)["reason"] == "Accepted"
    running = load([router], RATE, CLIENTS)

    def settle(replicas):
        pods.ready(namespace, replicas)
        wait_served(router, replicas)
    cluster.kubectl("scale", f"deployment/{MODEL}", "--replicas=4", "-n", namespace)
    settle(4)
    assert router.generation() == generation, "new replicas should need no new table"
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{pods.ready(namespace, 4)[0].name}")
    settle(4)
    cluster.kubectl("set", "env", f"deployment/{MODEL}", "UPDATE=1", "-n", namespace)
    cluster.kubectl("rollout", "status", f"deployment/{MODEL}", "--timeout=60s", "-n", namespace)
    settle(4)
    cluster.kubectl("scale", f"deployment/{MODEL}", "--replicas=1", "-n", namespace)
    settle(1)
    [last] = pods.ready(namespace, 1)
    eventually(lambda: last.name in {one.pod for one in running.outcomes}, "the last Pod to serve")
    outcomes = running.stop()
    _, lost = failures([router], outcomes)
    assert not lost, lost[:5]
    assert len({one.pod for one in outcomes}) >= 8, "should be two, two more, one that replaces the deleted one, and the new ones"


def test_a_pod_that_is_not_ready_gets_nothing(cluster, namespace, pods, adopting):
    cluster.apply([secret(), online_endpoint(), online_deployment(router=ADOPT, max_queue_wait_ms=100), model()], namespace)
    [pod] = pods.ready(namespace, 1)
    router = adopting()
    wait_served(router, 1)
    pod.set_ready(False)
    eventually(lambda: deployment_of(router)["replicas_ready"] == 0, "the Pod not to be ready")
    assert router.score(b"x", path=SCORE).why == "no_ready_replica"
    pod.set_ready(True)
    eventually(lambda: router.score(b"x", path=SCORE).status == 200, "the Pod to be ready again")


def test_pods_of_another_namespace_are_not_adopted(cluster, namespace, pods, kinds, start, tmp_path):
    """The router may read them, and they have the same labels."""
    other = f"{namespace}-other"
    cluster.create_namespace(other)
    account = cluster.service_account(namespace, "everywhere", cluster_rules=rights(pods=True))
    try:
        cluster.apply(model(), other)
        cluster.apply([secret(), online_endpoint(), online_deployment(router=ADOPT, max_queue_wait_ms=100)], namespace)
        [stranger] = pods.ready(other, 1)
        router = start_following(start, account, tmp_path, namespaces=[{"name": namespace}, {"name": other}],
                                 adopt_azureml_pods=True)
        stays(lambda: router.score(b"x", path=SCORE).why == "no_ready_replica", QUIET, "no ready replica")
        assert cluster.audited(account.user, verb="watch", namespace=other), "this router should see the Pods of both namespaces"
        cluster.apply(model(), namespace)
        [own] = pods.ready(namespace, 1)
        wait_served(router, 1)
        assert {router.score(b"x", path=SCORE).headers.get("x-pod") for _ in range(10)} == {own.name}
        assert not times([stranger], "delivered")
    finally:
        cluster.delete_namespace(other)


def test_missing_rights_leave_the_others_undisturbed(cluster, namespace, pods, account, follow):
    """The router is configured to adopt Pods and may not read them. It reports this, and serves the deployments that need no Pods."""
    cluster.apply([secret(), online_endpoint(traffic={"blue": 100, "green": 0}), online_deployment(), service(MODEL), model(),
                   online_deployment("green", router=ADOPT, max_queue_wait_ms=100)], namespace)
    pods.ready(namespace, 1)
    router = follow(adopt_azureml_pods=True)
    wait_served(router, 1)
    assert router.score(b"x", path=SCORE).status == 200
    named = {"azureml-model-deployment": "green"}
    assert router.score(b"x", path=SCORE, headers=named).why == "no_ready_replica"
    green = result_of(router, f"{ENDPOINT}-green")
    assert (green["accepted"], green["reason"]) == (True, "PodsForbidden")
    assert "allow it the verbs list and watch on pods" in green["message"]
    assert any("refuses to list pods in namespace " + namespace in line and "allow the verbs list and watch on pods" in line
               for line in router.log.splitlines()), "the log should tell operators what to allow"

    cluster.apply(deployment("green", labels=labels("green")), namespace)
    pods.ready(namespace, 1, app="green")
    role = f"{RBAC}/namespaces/{namespace}/roles/{account.name}"
    cluster.api.patch(role, {"rules": rights(pods=True)})
    wait_served(router, 1, "green")
    assert result_of(router, f"{ENDPOINT}-green")["reason"] == "Accepted"
    assert router.score(b"x", path=SCORE, headers=named).status == 200


def test_a_router_that_looks_at_no_pods_says_what_to_set(cluster, namespace, pods, account, follow):
    cluster.apply([secret(), online_endpoint(), online_deployment(router=ADOPT), model()], namespace)
    pods.ready(namespace, 1)
    router = follow()
    refused = result_of(router, MODEL)
    assert (refused["accepted"], refused["reason"]) == (False, "AdoptionNotAllowed")
    assert "set kubernetes.adopt_azureml_pods to true in its router.yaml" in refused["message"]
    assert router.score(b"x", path=SCORE).why == "deployment_not_found"
    asked = {one["objectRef"]["resource"] for one in cluster.audited(account.user)}
    assert "endpointslices" in asked and "pods" not in asked, "the router should not send requests for which it has no rights"


def test_a_pod_that_a_service_shows_too_has_one_set_of_slots(cluster, namespace, pods, adopting):
    """One deployment adopts the Pod, another finds it through a Service. The Pod takes one request at a time."""
    cluster.apply([secret(), online_endpoint(traffic={"blue": 50, "green": 50}), online_deployment(slots=1, router=ADOPT),
                   online_deployment("green", slots=1, router={"service": {"name": MODEL}}), service(MODEL),
                   model(environment={"SLEEP": 0.02})], namespace)
    [only] = pods.ready(namespace, 1)
    router = adopting()
    for name in ("blue", "green"):
        wait_served(router, 1, name)
    clients = [router.connect() for _ in range(8)]
    for _ in range(5):
        for number, client in enumerate(clients):
            named = {"azureml-model-deployment": ("blue", "green")[number % 2]}
            client.send(request(b"{}", path=SCORE, headers=named))
        assert [client.response().status for client in clients] == [200] * 8
    for client in clients:
        client.close()
    assert max(one.concurrent for one in only.events()) == 1


def documented(namespace):
    """Returns the objects that docs/migration.md tells its readers to apply: the served resources, and the Service that is added later."""
    text = (ROOT / "docs" / "migration.md").read_text().replace("namespace: team-a", f"namespace: {namespace}")
    return re.findall(r"```yaml\n(apiVersion: .*?)```", text, re.DOTALL)


def test_a_deployment_goes_over_to_a_service_and_no_request_fails(cluster, namespace, pods, adopting, load):
    """As docs/migration.md describes: the same Pods are the same replicas behind a Service."""
    resources, its_service = documented(namespace)
    cluster.apply([secret(), model(2)], namespace)
    cluster.apply(resources, namespace)
    cluster.api.patch(path("onlinedeployments", namespace, MODEL), {"spec": {"request_settings": SETTINGS}})
    pods.ready(namespace, 2)
    router = adopting()
    wait_served(router, 2)
    running = load([router], RATE, CLIENTS)
    cluster.apply(its_service, namespace)
    eventually(lambda: sum(len(one["endpoints"] or []) for one in cluster.api.items(path("endpointslices", namespace))) == 2,
               "the EndpointSlice to have the Pods")
    generation = router.generation()
    cluster.api.patch(path("onlinedeployments", namespace, MODEL), {"spec": {"router": {"adoptAzureMLPods": None}}})
    eventually(lambda: router.generation() > generation, "the change to be active")
    served = len(running.outcomes)
    eventually(lambda: len(running.outcomes) > served + 50, "requests after the change")
    outcomes = running.stop()
    _, lost = failures([router], outcomes)
    assert not lost, lost[:5]
    wait_served(router, 2)
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/services/{MODEL}")
    eventually(lambda: deployment_of(router)["replicas"] == [], "the router to follow the Service")
