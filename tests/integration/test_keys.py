"""Key authentication: who may score."""

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
    assert "auth_mode" in router.log


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
