"""The usual clients work with the router."""

import re
import subprocess

import pytest
import requests
from support.certificates import Authority
from support.client import PRIMARY, SCORE
from support.settings import deployment, endpoint

AUTHORIZATION = f"Authorization: Bearer {PRIMARY}"


@pytest.fixture(scope="module")
def plain(shared_stage):
    return shared_stage.start(endpoint(deployment([shared_stage.pod() for _ in range(2)], slots=0)))


@pytest.fixture(scope="module")
def tls(shared_stage, tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("clients"))
    pair = authority.issue("router.test", "127.0.0.1")
    router = shared_stage.start(endpoint(deployment([shared_stage.pod()], slots=0)), tls={"certificates": [pair.as_dict()]})
    router.client_context = authority.client_context()
    router.authority = authority
    return router


def run(*arguments):
    done = subprocess.run([str(one) for one in arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def curl(router, *arguments):
    return run("curl", "-sS", "--max-time", "30", "-H", AUTHORIZATION, *arguments, router.url)


def test_curl_scores_in_plaintext(plain):
    assert curl(plain, "-d", '{"data": [1, 2]}') == '{"data": [1, 2]}'


@pytest.mark.parametrize("version", ["--tlsv1.2", "--tlsv1.3"])
def test_curl_scores_over_tls(tls, version):
    maximum = ["--tls-max", version[-3:]]
    assert curl(tls, "--cacert", tls.authority.file, version, *maximum, "-d", "hello") == "hello"


def test_curl_offering_http_2_gets_http_1_1(tls):
    out = curl(tls, "--cacert", tls.authority.file, "--http2", "-d", "x", "-o", "/dev/null", "-w", "%{http_version} %{http_code}")
    assert out == "1.1 200"


def test_curl_uploads_a_large_file_with_expect(plain, tmp_path):
    (tmp_path / "large").write_bytes(b"L" * 5_000_000)
    curl(plain, "-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path}/large", "-o", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"L" * 5_000_000


def test_curl_speaks_http_1_0_and_asks_for_a_head(plain):
    assert curl(plain, "--http1.0", "-d", "old") == "old"
    assert "HTTP/1.1 200" in curl(plain, "-I")


def test_requests_keeps_its_session(tls):
    with requests.Session() as session:
        session.trust_env = False  # otherwise a bundle named in the environment would override the one of the test
        session.verify = str(tls.authority.file)
        for number in range(20):
            answer = session.post(f"https://127.0.0.1:{tls.port}{SCORE}", json={"n": number},
                                  headers={"Authorization": f"Bearer {PRIMARY}"}, timeout=20)
            assert answer.json() == {"n": number}


def test_requests_streams_a_generator(plain):
    answer = requests.post(plain.url, data=(b"piece" for _ in range(100)), headers={"Authorization": f"Bearer {PRIMARY}"}, timeout=20)
    assert answer.content == b"piece" * 100


@pytest.mark.serial
@pytest.mark.parametrize("which", ["plain", "tls"])
def test_wrk_sees_no_error(request, which):
    router = request.getfixturevalue(which)
    out = run("wrk", "-t1", "-c16", "-d1s", "-H", AUTHORIZATION, router.url)
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    assert int(re.search(r"(\d+) requests in", out)[1]) > 50


@pytest.mark.serial
@pytest.mark.parametrize("which", ["plain", "tls"])
def test_h2load_with_http_1_1_sees_no_error(request, which):
    router = request.getfixturevalue(which)
    out = run("h2load", "--h1", "-n", "500", "-c", "10", "-H", AUTHORIZATION, router.url)
    assert "500 succeeded, 0 failed, 0 errored, 0 timeout" in out, out
