"""A real model server behind the router over TLS: the answers of Azure ML's own inference server reach the client unchanged."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from model_servers import ModelServer, prepare
from support.certificates import Authority
from support.client import request
from support.settings import deployment, endpoint

pytestmark = pytest.mark.long

SAMPLE = json.dumps({"data": [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]]}).encode()
# The weights are 1 to 10 and the intercept is 3.
EXPECTED = [sum(n * n for n in range(1, 11)) + 3, sum(n * (11 - n) for n in range(1, 11)) + 3]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def router(shared_stage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("e2e")
    binaries = prepare()
    servers = [ModelServer(binaries, folder) for _ in range(4)]
    try:
        for server in servers:
            server.wait_healthy()
        authority = Authority(folder / "authority")
        described = deployment([server.address for server in servers], max_queue_wait_ms=60000, request_timeout_ms=60000,
                               router={"max_queue_length": 500}, probe={"period": 5, "timeout": 5})
        del described["environment"]["inference_config"]  # then Azure ML's own defaults apply: /score and / on port 5001
        router = shared_stage.start(endpoint(described), tls={"certificates": [authority.issue("router.test").as_dict()]})
        router.client_context = authority.client_context()
        yield router
        router.stop()
        shared_stage.routers.remove(router)
    finally:
        for server in servers:
            server.stop()


def predictions(answer):
    return [round(value, 3) for value in answer.json()]


def test_a_replica_is_ready_by_the_servers_own_health_route(router):
    assert router.deployments()[0]["replicas_ready"] == 4


def test_a_sample_request_is_scored(router):
    answer = router.score(SAMPLE, headers=JSON)
    assert answer.status == 200
    assert predictions(answer) == EXPECTED
    assert answer.headers.get("x-script") == "scored"
    assert float(answer.headers.get("x-ms-run-fn-exec-ms")) >= 0
    assert answer.headers.get("azureml-model-deployment") == "blue"


def test_ids_pass_through_the_server_and_back(router):
    mine = str(uuid.uuid4())
    answer = router.score(SAMPLE, headers={**JSON, "x-request-id": mine, "x-ms-client-request-id": "client-7"})
    assert answer.headers.get("x-request-id") == mine
    assert answer.headers.get("x-ms-request-id") == mine
    assert answer.headers.get("x-ms-client-request-id") == "client-7"


@pytest.mark.parametrize("status, options, script", [
    (400, {"body": b'{"data": "nonsense"}', "headers": JSON}, "refused"),
    (400, {"body": b"{", "headers": JSON}, "refused"),
    (415, {"body": b"1,2,3", "headers": {"Content-Type": "text/csv"}}, "refused"),
    (404, {"body": SAMPLE, "headers": {**JSON, "x-script-status": "404"}}, "refused"),
    (405, {"body": SAMPLE, "headers": {**JSON, "x-script-status": "405"}}, "refused"),
    (500, {"body": SAMPLE, "headers": {**JSON, "x-script-status": "500"}}, "refused"),
    (404, {"body": SAMPLE, "headers": JSON, "path": "/api/v1/endpoint/my-endpoint/score/none"}, None),
    (405, {"body": SAMPLE, "headers": JSON, "method": "PUT"}, None),
])
def test_an_error_of_the_server_or_the_script_passes_with_its_headers_and_body(router, status, options, script):
    answer = router.score(**options)
    assert answer.status == status and answer.why is None
    assert answer.headers.get("x-script") == script
    assert answer.json()["message"]


def test_a_script_that_raises_is_told_as_the_server_tells_it(router):
    answer = router.score(SAMPLE, headers={**JSON, "x-script-status": "raise"})
    assert answer.status == 500 and answer.why is None
    assert answer.headers.get("x-ms-run-function-failed") == "True"
    assert "scoring script" in answer.json()["message"]
    assert router.score(SAMPLE, headers=JSON).status == 200


def test_swagger_is_the_servers(router):
    answer = router.score(method="GET", path="/api/v1/endpoint/my-endpoint/swagger.json")
    assert answer.status == 200 and answer.json()["swagger"] == "2.0"
    answer = router.score(method="GET", path="/api/v1/service/my-endpoint/swagger.json?version=3")
    assert answer.status == 200 and answer.json()["openapi"].startswith("3.")


def median_service_time(router):
    """Returns the seconds that one request takes without other load."""
    times = []
    for _ in range(9):
        begun = time.monotonic()
        assert router.score(SAMPLE, headers=JSON).status == 200
        times.append(time.monotonic() - begun)
    return sorted(times)[4]


def test_four_single_workers_bear_two_hundred_parallel_requests_without_a_stall(router):
    # Four requests at a time, each as slow as alone. A busy machine gets ten times that, or 5 s if that is more. A connection that blocks a
    # single worker, or a request that no worker accepts, would wait for a timeout of 60 s.
    patience = max(5.0, 10 * 200 / 4 * median_service_time(router))
    assert patience < 60
    workers, slowest, ids = set(), [], set()

    def score(_):
        mine = str(uuid.uuid4())
        begun = time.monotonic()
        with router.connect(timeout=60) as client:
            client.send(request(SAMPLE, headers={**JSON, "x-request-id": mine, "x-ms-client-request-id": mine}))
            answer = client.response()
        slowest.append(time.monotonic() - begun)
        assert answer.status == 200, (answer.status, answer.why)
        for name in ("x-request-id", "x-ms-request-id", "x-ms-client-request-id"):
            assert answer.headers.get(name) == mine
        ids.add(mine)
        assert predictions(answer) == EXPECTED
        workers.add(answer.headers.get("x-worker"))

    begun = time.monotonic()
    with ThreadPoolExecutor(200) as pool:
        list(pool.map(score, range(200)))
    took = time.monotonic() - begun
    assert len(workers) == 4 and len(ids) == 200
    assert took < patience and max(slowest) < patience, f"{took:.1f} s in all, the slowest {max(slowest):.1f} s"
