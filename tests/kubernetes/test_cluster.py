"""The test cluster itself: a real API server, real controllers, Pods that answer on addresses of their own."""

import json
import time
import uuid

import pytest
import requests

from harness.api import ApiError
from harness.objects import deployment, service
from support import settings
from support.replica import times
from support.wait import eventually

SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"
LIST_SLICES = {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}


def slices(cluster, namespace, name):
    return cluster.api.items(SLICES.format(namespace), labelSelector=f"kubernetes.io/service-name={name}")


def endpoints(cluster, namespace, name):
    return [one for part in slices(cluster, namespace, name) for one in part["endpoints"] or []]


def ready_addresses(cluster, namespace, name):
    return {one["addresses"][0] for one in endpoints(cluster, namespace, name) if one["conditions"]["ready"]}


def addresses(pods):
    return {one.ip for one in pods}


def scale(cluster, namespace, replicas):
    cluster.kubectl("scale", "deployment/model", f"--replicas={replicas}", "-n", namespace)


@pytest.fixture
def model(cluster, namespace):
    """Applies the deployment and service `model`: `model(replicas=3)`."""
    def make(**options):
        cluster.apply([deployment("model", **options), service("model")], namespace)
    return make


def test_it_is_up_in_seconds(cluster):
    print(f"\nthe cluster was ready after {cluster.started_in:.1f} s")
    assert cluster.started_in < 60
    assert cluster.api.get("/version")["gitVersion"] == "v1.34.4"
    assert cluster.kubectl("get", "nodes", "-o", "name").split() == ["node/node-of-the-tests"]


def test_a_slice_lists_the_pods_of_a_deployment(cluster, namespace, pods, model):
    model(replicas=3)
    running = pods.ready(namespace, 3)
    eventually(lambda: len(ready_addresses(cluster, namespace, "model")) == 3, "three ready endpoints")
    [only] = slices(cluster, namespace, "model")
    assert only["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert only["addressType"] == "IPv4"
    assert [(one["name"], one["port"]) for one in only["ports"]] == [("http", 5001)]
    assert {one["addresses"][0]: one["targetRef"]["name"] for one in only["endpoints"]} == {one.ip: one.name for one in running}
    for one in only["endpoints"]:
        assert one["addresses"][0].startswith("10.77.")
        assert one["conditions"] == {"ready": True, "serving": True, "terminating": False}
        assert one["targetRef"]["kind"] == "Pod"
    cluster.kubectl("rollout", "status", "deployment/model", "-n", namespace, "--timeout=20s")


def test_a_pod_is_ready_within_a_moment(cluster, namespace, pods, model):
    model(replicas=1)
    pods.ready(namespace, 1)
    begun = time.monotonic()
    scale(cluster, namespace, 4)
    pods.ready(namespace, 4)
    print(f"\nthree more Pods were ready after {time.monotonic() - begun:.2f} s")


def test_a_pod_answers_at_its_address(namespace, pods, model):
    model(replicas=2, environment={"SLEEP": 0.01})
    first, second = pods.ready(namespace, 2)
    assert requests.get(f"http://{first.address}/", timeout=10).status_code == 200
    answer = requests.post(f"http://{first.address}/score", data=b"hello", headers={"x-request-id": "one"}, timeout=10)
    assert (answer.content, answer.headers["x-pod"]) == (b"hello", first.name)
    eventually(lambda: times([first], "finished") == {"one": 1}, "the record of the request")
    assert not second.events()
    assert max(one.concurrent for one in first.events()) == 1


def test_a_rolling_update_replaces_every_pod(cluster, namespace, pods, model):
    model(replicas=3)
    old = pods.ready(namespace, 3)
    cluster.kubectl("set", "env", "deployment/model", "SLEEP=0.02", "-n", namespace)
    cluster.kubectl("rollout", "status", "deployment/model", "-n", namespace, "--timeout=60s")
    eventually(lambda: not any(one.is_alive() for one in old), "the old processes to end", patience=30)
    new = pods.ready(namespace, 3)
    assert not addresses(old) & addresses(new)
    eventually(lambda: ready_addresses(cluster, namespace, "model") == addresses(new), "the slice to have the new Pods")


def test_the_number_of_pods_goes_up_and_down(cluster, namespace, pods, model):
    model(replicas=1)
    for replicas in (1, 4, 1, 0):
        scale(cluster, namespace, replicas)
        now = pods.ready(namespace, replicas)
        eventually(lambda: ready_addresses(cluster, namespace, "model") == addresses(now), "the slice to have the Pods")


def test_a_deleted_pod_finishes_what_it_has(cluster, namespace, pods, model):
    """The slice has it as terminating until its process has ended."""
    model(replicas=1, annotations={"test/termination-delay": "1"})
    [pod] = pods.ready(namespace, 1)
    eventually(lambda: ready_addresses(cluster, namespace, "model") == {pod.ip}, "the slice to have the Pod")
    with requests.post(f"http://{pod.address}/score", data=b"x", headers={"x-do": "stream=150"}, stream=True, timeout=30) as answer:
        cluster.kubectl("delete", "pod", pod.name, "-n", namespace, "--wait=false")

        def terminating():
            return [one["conditions"] for one in endpoints(cluster, namespace, "model") if one["addresses"] == [pod.ip]]
        eventually(lambda: terminating() == [{"ready": False, "serving": True, "terminating": True}], "the endpoint to be terminating")
        assert len(answer.content) == 150 * 8
    eventually(lambda: not terminating(), "the endpoint to be removed from the slice", patience=30)
    assert not pod.is_alive()
    eventually(lambda: pod not in pods.all(namespace, ended=False), "its address to be released")
    with pytest.raises(requests.ConnectTimeout):  # no process answers there, not even with a refusal
        requests.get(f"http://{pod.address}/", timeout=1)


def test_a_killed_process_is_started_again(cluster, namespace, pods, model):
    model(replicas=1, annotations={"test/restart-delay": "2"})
    [pod] = pods.ready(namespace, 1)
    eventually(lambda: ready_addresses(cluster, namespace, "model") == {pod.ip}, "the slice to have the Pod")
    before, pid = pod.ip, pod.pid
    pod.kill()
    eventually(lambda: not ready_addresses(cluster, namespace, "model"), "the slice to have the Pod as not ready")
    assert not pod.is_alive()  # before its restart
    assert pods.ready(namespace, 1) == [pod]
    assert pod.pid != pid
    eventually(lambda: ready_addresses(cluster, namespace, "model") == {before}, "the slice to have the Pod as ready", patience=30)
    [status] = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods/{pod.name}")["status"]["containerStatuses"]
    assert (status["restartCount"], status["ready"]) == (1, True)


def test_readiness_is_what_the_test_says(cluster, namespace, pods, model):
    model(replicas=1, annotations={"test/ready-delay": "never"})
    eventually(lambda: [one["conditions"]["ready"] for one in endpoints(cluster, namespace, "model")] == [False], "the Pod to be listed")
    [pod] = pods.all(namespace)
    pod.set_ready(True)
    eventually(lambda: ready_addresses(cluster, namespace, "model") == {pod.ip}, "the Pod to be ready")
    pod.set_ready(False)
    eventually(lambda: not ready_addresses(cluster, namespace, "model"), "the Pod not to be ready")


def test_an_address_may_be_the_next_pods(cluster, namespace, pods, model):
    model(replicas=1)
    [old] = pods.ready(namespace, 1)
    scale(cluster, namespace, 0)
    pods.ready(namespace, 0)
    pods.reuse_addresses()
    try:
        scale(cluster, namespace, 1)
        [new] = pods.ready(namespace, 1)
    finally:
        pods.reuse_addresses(False)
    assert new.uid != old.uid
    assert requests.get(f"http://{new.address}/", timeout=10).headers["x-pod"] == new.name
    assert int(new.ip.rpartition(".")[2]) <= int(old.ip.rpartition(".")[2])


def test_objects_outlive_the_api_server(cluster, namespace, pods, model):
    """The API server is killed. After its restart it learns what happened to Pods meanwhile."""
    model(replicas=2)
    first, second = pods.ready(namespace, 2)
    eventually(lambda: len(ready_addresses(cluster, namespace, "model")) == 2, "the slice to have both Pods")
    before = {one["metadata"]["uid"] for one in slices(cluster, namespace, "model")}
    cluster.kill_api_server()
    assert not cluster.is_ready()
    assert requests.get(f"http://{second.address}/", timeout=10).ok
    first.kill()
    begun = time.monotonic()
    cluster.start_api_server()
    print(f"\nthe API server was back after {time.monotonic() - begun:.1f} s")
    assert {one["metadata"]["uid"] for one in slices(cluster, namespace, "model")} == before

    def restarted():
        status = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods/{first.name}")["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and status["ready"]
    eventually(restarted, "the kubelet to report the restart", patience=30)
    scale(cluster, namespace, 3)
    eventually(lambda: ready_addresses(cluster, namespace, "model") == addresses(pods.ready(namespace, 3)), "three Pods", patience=30)


def test_an_account_may_do_what_its_role_says(cluster, namespace, tmp_path):
    other = f"{namespace}-other"
    cluster.create_namespace(other)
    account = cluster.service_account(namespace, "router", rules=[LIST_SLICES])
    assert account.api.items(SLICES.format(namespace)) == []
    with pytest.raises(ApiError, match="forbidden") as refused:
        account.api.items(SLICES.format(other))
    assert refused.value.status == 403
    everywhere = cluster.service_account(namespace, "everywhere", cluster_rules=[LIST_SLICES])
    assert everywhere.api.items(SLICES.format(other)) == []
    cluster.delete_namespace(other)

    [event] = cluster.audited(account.user, verb="list", namespace=namespace)
    assert event["objectRef"]["resource"] == "endpointslices"
    assert event["responseStatus"]["code"] == 200
    [event] = cluster.audited(account.user, verb="list", namespace=other)
    assert event["responseStatus"]["code"] == 403

    folder = account.write_directory(tmp_path / "serviceaccount")
    assert {one.name: one.read_text() for one in folder.iterdir()} == {
        "token": account.token, "namespace": namespace, "ca.crt": cluster.ca_file.read_text()}
    asked = requests.get(f"https://{account.environment['KUBERNETES_SERVICE_HOST']}:{account.environment['KUBERNETES_SERVICE_PORT']}"
                         + SLICES.format(namespace), headers={"Authorization": f"Bearer {(folder / 'token').read_text()}"},
                         verify=str(folder / "ca.crt"), timeout=10)
    assert asked.status_code == 200
    for config in (account.write_kubeconfig(tmp_path / "whole"),
                   account.write_kubeconfig(tmp_path / "parts", token_file=folder / "token")):
        who = json.loads(cluster.kubectl("auth", "whoami", "-o", "json", "--kubeconfig", config))
        assert who["status"]["userInfo"]["username"] == account.user
        assert cluster.kubectl("get", "endpointslices", "-o", "name", "--kubeconfig", config) == ""


def test_versions_from_before_a_compaction_are_gone(cluster, namespace):
    """The API server's cache of old versions ends with its process, that of etcd with the compaction."""
    path = SLICES.format(namespace)
    old = cluster.api.get(path)["metadata"]["resourceVersion"]
    cluster.apply(service("model"), namespace)
    eventually(lambda: slices(cluster, namespace, "model"), "a slice")

    def asked_for_old():
        return cluster.api.items(path, resourceVersion=old, resourceVersionMatch="Exact")
    assert asked_for_old() == []
    cluster.kill_api_server()
    cluster.compact()
    cluster.start_api_server()
    for ask in (asked_for_old, lambda: next(cluster.api.watch(path, old, timeoutSeconds=10))):
        with pytest.raises(ApiError) as refused:
            ask()
        assert refused.value.status == 410


def test_a_definition_of_a_kind_is_taken_from_a_file(cluster, namespace, tmp_path):
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"color": {"type": "string"}}}}}
    (tmp_path / "crd.yaml").write_text(json.dumps({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "paints.test.example"},
        "spec": {"group": "test.example", "scope": "Namespaced", "names": {"plural": "paints", "kind": "Paint"},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}}))
    cluster.apply(tmp_path)
    cluster.kubectl("wait", "--for=condition=Established", "crd/paints.test.example", "--timeout=20s")
    cluster.apply("apiVersion: test.example/v1\nkind: Paint\nmetadata: {name: red}\nspec: {color: red}\n", namespace)
    [paint] = cluster.api.items(f"/apis/test.example/v1/namespaces/{namespace}/paints")
    assert paint["spec"] == {"color": "red"}
    with pytest.raises(AssertionError, match="color"):
        cluster.apply("apiVersion: test.example/v1\nkind: Paint\nmetadata: {name: bad}\nspec: {color: 7}\n", namespace)
    cluster.kubectl("delete", "crd", "paints.test.example")


def test_the_router_reaches_pods(start, namespace, pods, model):
    """The router runs outside the Pods' network, and this test gives it their addresses."""
    model(replicas=2)
    running = pods.ready(namespace, 2)
    router = start(settings.endpoint(settings.deployment([one.address for one in running], slots=1)))
    ids = [str(uuid.uuid4()) for _ in range(4)]
    for one in ids:
        assert router.score(b"hello", headers={"x-request-id": one}).body == b"hello"
    assert {one: times(running, "delivered")[one] for one in ids} == dict.fromkeys(ids, 1)
