"""Authentication with keys: which requests may score."""

import pytest
from support.client import PRIMARY, SECONDARY
from support.router import write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


@pytest.fixture(scope="module")
def scene(shared_stage):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod])), endpoint(deployment([pod], name="open"), name="no-keys", keys=()))
    return Scene


@pytest.mark.parametrize("value", [f"Bearer {PRIMARY}", f"Bearer {SECONDARY}", f"bearer {PRIMARY}", f"BEARER   {PRIMARY}"])
def test_the_primary_and_the_secondary_key_are_accepted(scene, value):
    assert scene.router.score(b"x", headers={"Authorization": value}).status == 200


@pytest.mark.parametrize("value", [
    "Bearer wrong", "Bearer", "Bearer ", PRIMARY, f"Basic {PRIMARY}", f"Bearer {PRIMARY}x", f"Bearer {PRIMARY[:-1]}",
    f"Bearer {PRIMARY} {SECONDARY}", f"Bearer {PRIMARY.upper()}", f"Bearer {PRIMARY},{SECONDARY}", "Bearer " + "k" * 10000, "",
])
def test_anything_else_is_refused_and_told_how_to_come_in(scene, value):
    before = len(scene.pod.requests)
    answer = scene.router.score(b"x", headers={"Authorization": value})
    assert (answer.status, answer.why) == (401, "unauthorized")
    assert answer.headers.get("www-authenticate").startswith("Bearer")
    assert PRIMARY not in answer.body.decode() and SECONDARY not in answer.body.decode()
    assert len(scene.pod.requests) == before


def test_no_credential_is_refused(scene):
    assert scene.router.score(b"x", key=None).status == 401


def test_two_credentials_are_refused(scene):
    headers = [("Authorization", f"Bearer {PRIMARY}"), ("Authorization", f"Bearer {SECONDARY}")]
    assert scene.router.score(b"x", headers=headers).status in (400, 401)


def test_a_client_that_sends_its_key_as_api_key_was_refused(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    for key in (PRIMARY, SECONDARY):
        assert router.score(b"x", key=None, headers={"api-key": key}).status == 200
        assert "api-key" not in blue.requests[-1].headers
    told = {(line["AuthType"], line["IdentityData"]) for line in router.access_lines(2)}  # two shards write: in any order
    assert told == {("Key", "primary"), ("Key", "secondary")}


@pytest.mark.parametrize("headers", [
    {"api-key": "wrong"}, {"api-key": ""}, {"api-key": PRIMARY[:-1]}, {"api-key": f"Bearer {PRIMARY}"}, {"api_key": PRIMARY},
    [("api-key", PRIMARY), ("Api-Key", PRIMARY)], [("Authorization", f"Bearer {PRIMARY}"), ("api-key", PRIMARY)],
    [("Authorization", ""), ("api-key", PRIMARY)], [("api-key", ""), ("Authorization", f"Bearer {PRIMARY}")],
])
def test_a_wrong_api_key_and_a_second_credential_are_refused(scene, headers):
    before = len(scene.pod.requests)
    answer = scene.router.score(b"x", key=None, headers=headers)
    assert (answer.status, answer.why) == (401, "unauthorized")
    assert PRIMARY not in answer.body.decode()
    assert len(scene.pod.requests) == before


def test_an_api_key_in_the_trailers_opens_nothing_and_stays_behind(scene):
    trailers = [("api-key", PRIMARY), ("Authorization", f"Bearer {PRIMARY}"), ("X-Checksum", "abc")]
    assert scene.router.score(chunks=[b"x"], key=None, trailers=trailers).status == 401
    assert scene.router.score(chunks=[b"x"], trailers=trailers).status == 200
    assert scene.pod.requests[-1].trailers == [("X-Checksum", "abc")]


def test_an_api_key_reaches_the_pod_where_the_endpoint_says_so_and_no_copy_otherwise(pod, start):
    blue, copied, told = pod(), pod(), pod()
    router = start(endpoint(deployment([blue], slots=0), deployment([copied], name="green", slots=0),
                            traffic={"blue": 100, "green": 0}, mirror_traffic={"green": 50}),
                   endpoint(deployment([told], name="told"), name="forwards", router={"forward_authorization": True}))
    key = {"api-key": PRIMARY}
    while not copied.requests:
        assert router.score(b"x", key=None, headers=key).status == 200
    assert {"api-key"}.isdisjoint({name.lower() for each in blue.requests + copied.requests for name, _ in each.headers})
    assert router.score(b"x", key=None, headers=key, path="/api/v1/endpoint/forwards/score").status == 200
    assert told.requests[-1].headers.get("api-key") == PRIMARY


def test_an_endpoint_without_keys_is_closed_to_everybody(scene):
    for key in (PRIMARY, "", None):
        assert scene.router.score(b"x", path="/api/v1/endpoint/no-keys/score", key=key).status == 401


def test_the_connection_goes_on_after_a_refusal(scene):
    with scene.router.connect() as client:
        assert client.exchange(b"abc", key="wrong").status == 401
        assert client.exchange(b"abc").status == 200


@pytest.mark.parametrize("mode", ["aml_token", "aad_token", "AAD_Token"])
def test_an_auth_mode_that_is_not_supported_closes_the_endpoint(pod, start, mode):
    router = start(endpoint(deployment([pod()]), auth_mode=mode))
    assert router.score(b"x").status == 401
    router.expect_logged("auth_mode")


def test_a_changed_key_file_is_taken_up_and_the_old_key_refused(pod, start):
    router = start(endpoint(deployment([pod()])))
    assert router.score(b"x").status == 200
    router.reloaded(lambda: write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n"))
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.score(b"x", key=PRIMARY).status == 401
    assert router.score(b"x", key=SECONDARY).status == 200


def test_no_key_is_ever_told(scene):
    scene.router.score(b"x")
    scene.router.score(b"x", key="guessed-key-of-a-client")
    eventually(lambda: len(scene.router.access_log_file.read_text().splitlines()) >= 2, "the access log")
    told = [scene.router.log, scene.router.output, scene.router.access_log_file.read_text(), scene.router.admin("/status")[1],
            scene.router.metrics().text]
    for text in told:
        for secret in (PRIMARY, SECONDARY, "guessed-key-of-a-client"):
            assert secret not in text


def test_a_refused_stranger_learns_nothing_of_deployments(pod, start):
    """Which deployments exist, which of them has traffic, what their limits are: all get the same 401, also in the log and the metrics."""
    blue = pod()
    router = start(endpoint(deployment([blue], router={"max_request_bytes": 10}), deployment([pod()], name="dark")),
                   endpoint(deployment([pod()]), name="idle-endpoint", traffic={"blue": 0}))

    def told(key="a-strangers-guess", path="/api/v1/endpoint/my-endpoint/score", **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = router.score(b"x" * 20, path=path, key=key, headers=fields)
        ids = ("x-request-id", "x-ms-request-id")
        return answer.status, answer.why, answer.json()["error"]["message"], [pair for pair in answer.headers if pair[0].lower() not in ids]

    for key in ("a-strangers-guess", None):
        refused = told(key)
        assert refused[0] == 401 and not any(name == "azureml-model-deployment" for name, _ in refused[3])
        for name in ("blue", "dark", "no-such-deployment", ""):
            assert told(key, azureml_model_deployment=name) == refused
        assert told(key, x_request_deadline_ms="0") == refused
        assert told(key, path="/api/v1/endpoint/idle-endpoint/score") == refused
    lines = router.access_lines(14)
    assert {(line["ResponseCode"], line["DeploymentName"], line["IdentityData"]) for line in lines} == {(401, "", "")}
    counted = [labels for labels, value in router.metrics().all("requests_total") if value > 0]
    assert {(labels["code"], labels["deployment"]) for labels in counted} == {("401", "")}
    # With a key the answers differ.
    assert told(PRIMARY)[:2] == (413, "payload_too_large")
    assert told(PRIMARY, azureml_model_deployment="no-such-deployment")[:2] == (404, "deployment_not_found")
    assert [line["IdentityData"] for line in router.access_lines(16)].count("primary") == 2


@pytest.mark.parametrize("keys, used", [((None, SECONDARY), "secondary"), ((PRIMARY,), "primary")])
def test_a_lone_key_is_told_by_its_own_name(pod, start, keys, used):
    router = start(endpoint(deployment([pod()]), keys=keys))
    assert router.score(b"x", key=keys[-1]).status == 200
    assert router.access_lines(1)[0]["IdentityData"] == used
