"""Contract, sections 1 and 2: scoring URIs and the choice of the deployment."""

import threading
from collections import Counter

import pytest
from support.client import SCORE, request
from support.settings import deployment, endpoint
from support.wait import eventually


def target_of(pod):
    return pod.requests[-1].target


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        blue = shared_stage.pod(name="blue")
        green = shared_stage.pod(name="green")
        router = shared_stage.start(
            endpoint(deployment([blue], route="/v2/predict"), deployment([green], name="green"),
                     router={"hostnames": ["model.example.com", "Other.Example.com"]}),
            endpoint(deployment([], name="lone"), name="silent", traffic={"lone": 0}))
    return Scene


@pytest.mark.parametrize("path, target", [
    ("/api/v1/endpoint/my-endpoint/score", "/v2/predict"),
    ("/api/v1/service/my-endpoint/score", "/v2/predict"),
    ("/api/v1/endpoint/MY-Endpoint/score", "/v2/predict"),
    ("/api/v1/endpoint/my-endpoint/score/", "/v2/predict/"),
    ("/api/v1/endpoint/my-endpoint/score/a/b%20c", "/v2/predict/a/b%20c"),
    ("/api/v1/endpoint/my-endpoint/score?a=1&b=%2F?", "/v2/predict?a=1&b=%2F?"),
    ("/api/v1/endpoint/my-endpoint/score?", "/v2/predict?"),
    ("/api/v1/service/my-endpoint/score/x?y", "/v2/predict/x?y"),
    ("/api/v1/endpoint/my-endpoint/swagger.json", "/swagger.json"),
    ("/api/v1/service/my-endpoint/swagger.json?version=2", "/swagger.json?version=2"),
    ("http://router.test/api/v1/endpoint/my-endpoint/score?q", "/v2/predict?q"),
])
def test_a_scoring_uri_becomes_the_route_of_the_deployment(scene, path, target):
    answer = scene.router.score(b"{}", path=path)
    assert answer.status == 200
    assert target_of(scene.blue) == target


@pytest.mark.parametrize("host, path, target", [
    ("model.example.com", "/score", "/v2/predict"),
    ("MODEL.example.com:8443", "/score/x?y", "/v2/predict/x?y"),
    ("other.example.com", "/v1/chat/completions?z", "/v1/chat/completions?z"),
    ("model.example.com", "/", "/"),
    ("model.example.com", "/scores", "/scores"),
])
def test_a_host_name_leads_to_its_endpoint_with_any_path(scene, host, path, target):
    answer = scene.router.score(b"{}", path=path, host=host)
    assert answer.status == 200
    assert target_of(scene.blue) == target


@pytest.mark.parametrize("path", [
    "/", "/score", "/api/v1/endpoint/my-endpoint", "/api/v1/endpoint/my-endpoint/", "/api/v1/endpoint/my-endpoint/scores",
    "/api/v1/endpoint//score", "/api/v1/endpoint/unknown/score", "/api/v2/endpoint/my-endpoint/score",
    "/api/v1/endpoint/my-endpoint/other", "/API/v1/endpoint/my-endpoint/score",
    "/api/v1/endpoint/" + "n" * 300 + "/score",
])
def test_any_other_path_is_not_found(scene, path):
    answer = scene.router.score(b"{}", path=path)
    assert (answer.status, answer.why) == (404, "endpoint_not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "PROPFIND"])
def test_any_method_is_forwarded(scene, method):
    answer = scene.router.score(method=method)
    assert answer.status == 200
    assert scene.blue.requests[-1].method == method


@pytest.mark.parametrize("method, path", [("TRACE", "/api/v1/endpoint/my-endpoint/score"), ("CONNECT", "router.test:443")])
def test_connect_and_trace_are_not_served(scene, method, path):
    answer = scene.router.score(method=method, path=path, length=False)
    assert (answer.status, answer.why) == (405, "unsupported")


def test_the_deployment_header_picks_a_deployment_without_case_and_at_0_percent(scene):
    for name in ("green", "GREEN"):
        answer = scene.router.score(headers={"azureml-model-deployment": name})
        assert answer.headers.get("x-pod") == "green"
        assert answer.headers.get("azureml-model-deployment") == "green"


def test_two_deployments_in_the_header_were_the_first_one(scene):
    for second in ("blue", "green"):
        answer = scene.router.score(headers=[("azureml-model-deployment", "green"), ("Azureml-Model-Deployment", second)])
        assert (answer.status, answer.why) == (400, "bad_request")


def test_an_unknown_deployment_in_the_header_is_not_found(scene):
    for name in ("red", ""):
        answer = scene.router.score(headers={"azureml-model-deployment": name})
        assert (answer.status, answer.why) == (404, "deployment_not_found")


def test_without_a_positive_weight_there_is_no_deployment(scene):
    answer = scene.router.score(path="/api/v1/endpoint/silent/score")
    assert (answer.status, answer.why) == (404, "deployment_not_found")


def test_health_is_the_routers_own_answer_on_any_host(scene):
    for host in ("router.test", "model.example.com"):
        answer = scene.router.score(method="GET", path="/healthz", key=None, host=host)
        assert answer.status == 200
    assert scene.blue.requests == [one for one in scene.blue.requests if one.target != "/healthz"]


def test_the_traffic_is_split_by_the_weights(pod, start):
    pods = {name: pod(name=name) for name in ("blue", "green", "red")}
    router = start(endpoint(*(deployment([one], name=name, slots=0) for name, one in pods.items()),
                            traffic={"blue": 70, "green": 30, "red": 0}))
    total = 1500
    with router.connect() as client:
        counts = Counter(client.exchange(b"x").headers.get("x-pod") for _ in range(total))
    # Six standard deviations of a binomial distribution: fails by chance once in 500 million runs.
    assert abs(counts["blue"] - 0.7 * total) < 6 * (total * 0.7 * 0.3) ** 0.5
    assert counts["red"] == 0
    assert counts["blue"] + counts["green"] == total


def test_the_least_loaded_replica_is_chosen(pod, start):
    release = threading.Event()

    def hold(exchange):
        exchange.wait(release)
        exchange.answer()

    pods = [pod(hold) for _ in range(4)]
    router = start(endpoint(deployment(pods, slots=3)))
    clients = [router.start_request(b"x") for _ in range(8)]
    eventually(lambda: sum(one.concurrent for one in pods) == 8, "all requests to be at a pod")
    assert [one.concurrent for one in pods] == [2, 2, 2, 2]
    release.set()
    for client in clients:
        assert client.response().status == 200
        client.close()


def test_several_endpoints_have_deployments_of_the_same_name(pod, start):
    first, second = pod(name="first"), pod(name="second")
    router = start(endpoint(deployment([first]), name="one-end"), endpoint(deployment([second]), name="two-end"))
    assert router.score(path="/api/v1/endpoint/one-end/score").headers.get("x-pod") == "first"
    assert router.score(path="/api/v1/endpoint/two-end/score").headers.get("x-pod") == "second"


def test_a_dot_segment_does_not_leave_the_scoring_route(scene):
    before = len(scene.blue.requests)
    for path in ("/../admin", "/..", "/%2e%2e/admin", "/a/../../admin", "/..%2fadmin", "/.%2E/x"):
        with scene.router.connect() as client:
            client.send(request(b"x", path="/api/v1/endpoint/my-endpoint/score" + path))
            assert client.response().status == 400
    assert len(scene.blue.requests) == before


def test_a_model_whose_name_holds_an_encoded_slash_could_not_be_asked(pod, start):
    there = pod()
    router = start(endpoint(deployment([there], router={"allow_encoded_slashes": True})))
    assert router.score(b"x", path=SCORE + "/org%2Fmodel/a%2fb?c=%2F").status == 200
    assert there.requests[-1].target == "/score/org%2Fmodel/a%2fb?c=%2F", "the target should be unchanged"
    before = len(there.requests)
    for path in ("/..%2fadmin", "/a%2F..%2F..%2Fadmin", "/a%2F%2e%2e", "/a%252Fb", "/a%5Cb"):
        assert router.score(b"x", path=SCORE + path).why == "bad_request", path
    assert len(there.requests) == before
