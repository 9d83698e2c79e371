"""Replicas that speak https."""

import pytest
from support.certificates import Authority
from support.settings import deployment, endpoint
from test_streaming import Lockstep


@pytest.fixture(scope="module")
def https(shared_stage, tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("https"))
    pair = authority.issue("pod.test")

    class Https:
        ca = authority
        pod = shared_stage.pod(tls=authority.server_context(pair))
        local = shared_stage.pod(tls=authority.server_context(authority.issue("127.0.0.1")))
    return Https


def test_a_replica_is_verified_by_the_given_name(https, start):
    router = start(endpoint(deployment([https.pod], router={"tls": {"ca_file": str(https.ca.file), "server_name": "pod.test"}})))
    with router.connect() as client:
        for _ in range(5):
            assert client.exchange(b"x" * 100000).body == b"x" * 100000
    assert len({one.connection for one in https.pod.requests[-5:]}) <= 2  # kept open


def test_a_replica_is_verified_by_its_address_where_no_name_is_given(https, start):
    router = start(endpoint(deployment([https.local], router={"tls": {"ca_file": str(https.ca.file)}})))
    assert router.score(b"x").status == 200


@pytest.mark.parametrize("tls", [
    {"server_name": "pod.test"},
    {"ca_file": "OURS", "server_name": "other.test"},
    {"ca_file": "OURS"},
], ids=["unknown authority", "another name", "no name"])
def test_a_replica_that_cannot_be_verified_gets_nothing(https, start, tls):
    tls = {key: str(https.ca.file) if value == "OURS" else value for key, value in tls.items()}
    router = start(endpoint(deployment([https.pod], max_queue_wait_ms=300, router={"tls": tls})), wait=False)
    router.wait_ready(replicas=False)
    before = len(https.pod.requests)
    answer = router.score(b"x")
    assert answer.status in (502, 503) and answer.why in ("upstream_connect_failed", "no_ready_replica")
    assert len(https.pod.requests) == before


def test_verification_can_be_switched_off(https, start):
    router = start(endpoint(deployment([https.pod], router={"tls": {"verify": False}})))
    assert router.score(b"x").status == 200


def test_a_stream_from_an_https_replica_is_not_held_back(start, stage, https):
    lockstep = Lockstep(50, True, 100)
    streaming = stage.pod(lockstep, tls=https.ca.server_context(https.ca.issue("pod.test")))
    router = start(endpoint(deployment([streaming], router={"tls": {"ca_file": str(https.ca.file), "server_name": "pod.test"}})))
    with router.start_request(b"x") as client:
        assert client.head().status == 200
        for number in range(100):
            assert client.chunk() == lockstep.event(number)
            lockstep.confirm()
        assert client.chunk() == b""
