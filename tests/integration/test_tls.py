"""TLS toward the clients: versions, certificates by name, resumption, replacement without a restart."""

import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
from pathlib import Path

import pytest
from support import yaml
from support.certificates import Authority
from support.client import Client, request
from support.http import Reader
from support.router import BINARY, is_listening
from support.settings import deployment, endpoint
from support.wait import eventually


def tls_of(*pairs, **others):
    return {"certificates": [pair.as_dict() for pair in pairs], **others}


def serial_seen(router, context, name="router.test"):
    with router.connect(tls=context, server_name=name) as client:
        return client.socket.getpeercert()["serialNumber"]


def same(serial, pair):
    return int(serial, 16) == int(pair.serial(), 16)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("pairs"))

    class Pairs:
        ca = authority
        default = authority.issue("router.test", "127.0.0.1")
        rsa = authority.issue("router.test", kind="rsa")
        other = authority.issue("other.test")
        wild = authority.issue("*.wild.test")
    return Pairs


@pytest.fixture(scope="module")
def scene(shared_stage, pairs):
    class Scene:
        pod = shared_stage.pod()
        router = shared_stage.start(endpoint(deployment([pod], slots=0)),
                                    tls=tls_of(pairs.default, pairs.rsa, pairs.other, pairs.wild))
        context = pairs.ca.client_context()
        router.client_context = context
    return Scene


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(scene, pairs, version):
    context = pairs.ca.client_context(minimum=version, maximum=version)
    with scene.router.connect(tls=context, server_name="router.test") as client:
        assert client.socket.version() == version.name.replace("_", ".")
        for _ in range(3):
            assert client.exchange(b"x" * 20000).body == b"x" * 20000
    assert scene.pod.requests[-1].headers.get("x-forwarded-proto") == "https"


def test_tls_1_1_is_refused(scene, pairs):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{scene.router.port}", "-tls1_1",
                           "-cipher", "ALL:@SECLEVEL=0"], input="", capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0
    assert "Cipher is (NONE)" in done.stdout


@pytest.mark.parametrize("ciphers", ["NULL", "EXPORT", "RC4", "DES-CBC3-SHA", "aNULL", "AES128-SHA"])
def test_weak_ciphers_are_refused(scene, ciphers):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{scene.router.port}", "-tls1_2",
                           "-cipher", f"{ciphers}:@SECLEVEL=0"], input="", capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0 or "Cipher is (NONE)" in done.stdout


@pytest.mark.parametrize("ciphers", ["DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305", "DHE"])
def test_a_client_of_dhe_alone_costs_no_handshake(scene, ciphers):
    """On the port that has an RSA certificate, which these suites need."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{scene.router.port}", "-tls1_2", "-cipher", ciphers],
                          input="", capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode != 0 and "Cipher is (NONE)" in done.stdout


def test_sslscan_finds_nothing_weak(scene):
    done = subprocess.run(["sslscan", "--no-colour", "--no-heartbleed", f"127.0.0.1:{scene.router.port}"],
                          capture_output=True, text=True, check=False, timeout=60)
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert f"{version}   disabled".replace(" ", "") in done.stdout.replace(" ", ""), done.stdout
    for version in ("TLSv1.2", "TLSv1.3"):
        assert f"{version}enabled" in done.stdout.replace(" ", "")
    accepted = [line for line in done.stdout.splitlines() if line.startswith(("Accepted", "Preferred"))]
    assert accepted
    for line in accepted:
        assert not any(weak in line for weak in ("RC4", "3DES", "NULL", "EXP", "anon", "MD5", "CBC3")), line


@pytest.mark.parametrize("name, pair", [("router.test", "default"), ("other.test", "other"), ("a.wild.test", "wild"),
                                        ("OTHER.test", "other")])
def test_the_certificate_is_chosen_by_name(scene, pairs, name, pair):
    assert same(serial_seen(scene.router, scene.context, name), getattr(pairs, pair))


def test_without_a_name_or_with_an_unknown_one_the_default_is_shown(scene, pairs):
    context = pairs.ca.client_context()
    context.check_hostname = False
    for name in (None, "unknown.test", "a.b.wild.test"):
        assert same(serial_seen(scene.router, context, name), pairs.default)


def test_rsa_is_shown_to_a_client_that_knows_no_ecdsa(scene, pairs):
    context = pairs.ca.client_context(maximum=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert same(serial_seen(scene.router, context), pairs.rsa)


def test_http_1_1_is_chosen_by_alpn(scene, pairs):
    context = pairs.ca.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with scene.router.connect(tls=context, server_name="router.test") as client:
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        assert client.exchange(b"x").status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_on_any_shard(scene, pairs, version):
    context = pairs.ca.client_context(minimum=version, maximum=version)
    with scene.router.connect(tls=context, server_name="router.test") as client:
        assert client.exchange(b"x").status == 200  # with TLS 1.3, a ticket arrives with the first answer
        session = client.socket.session
    for _ in range(16):  # the kernel distributes new connections over both shards
        with scene.router.connect(tls=context, server_name="router.test", session=session) as client:
            assert client.exchange(b"x").status == 200
            assert client.socket.session_reused
            session = client.socket.session
    metrics = scene.router.metrics()
    assert sum(value for labels, value in metrics.all("tls_handshakes_total") if labels.get("resumed") in ("true", "yes", "1")) >= 16


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes_with_a_new_process(scene, tmp_path, version):
    ask = f"GET /healthz HTTP/1.1\r\nHost: router.test\r\nConnection: close\r\n\r\n"
    common = ["openssl", "s_client", "-connect", f"127.0.0.1:{scene.router.port}", version, "-servername", "router.test", "-ign_eof"]
    first = subprocess.run([*common, "-sess_out", tmp_path / "session"], input=ask, capture_output=True, text=True, check=False, timeout=20)
    assert "200 OK" in first.stdout
    second = subprocess.run([*common, "-sess_in", tmp_path / "session"], input=ask, capture_output=True, text=True, check=False, timeout=20)
    assert "200 OK" in second.stdout and "Reused, TLS" in second.stdout


def failed_handshakes(router):
    return router.metrics().value("tls_handshakes_total", result="failed")


def refused_in_log(router):
    told = (json.loads(line) for line in router.access_log_file.read_text().splitlines() if line.endswith("}"))
    return [one for one in told if (one["ResponseCode"], one["ResponseCodeReason"]) == (400, "bad_request")
            and one["ModelStatusReason"].startswith("plain HTTP")]


@pytest.mark.parametrize("sent", [request(b"x"), request(b"x" * 1_000_000), b"GET /", b"OPTIONS * HTTP/1.1\r\n"],
                         ids=["whole", "large", "begun", "options"])
def test_plain_http_on_a_tls_port_was_ended_without_a_word(scene, sent):
    before = failed_handshakes(scene.router)
    told = len(refused_in_log(scene.router))
    with Client(scene.router.port) as client:
        client.send(sent)
        answer = client.response()
    assert answer.status == 400 and answer.why == "bad_request"
    assert answer.json()["error"]["message"] == "plain HTTP was sent to an HTTPS port: use https://"
    assert answer.headers.get("connection") == "close"
    assert failed_handshakes(scene.router) == before + 1
    eventually(lambda: len(refused_in_log(scene.router)) == told + 1, "its line in the access log")
    assert scene.router.metrics().value("requests_total", endpoint="", code="400", reason="bad_request") >= 1
    assert scene.router.score(b"x").status == 200


@pytest.mark.parametrize("sent", [b"TRACE / HTTP/1.1\r\n", b"CONNECT a:443 HTTP/1.1\r\n", b"FOO / HTTP/1.1\r\n", b"\r\nGET / HTTP/1.1\r\n", b"GET http://a/ HTTP/1.1\r\n"],
                         ids=["trace", "connect", "unknown", "behind-an-empty-line", "absolute"])
def test_plain_http_that_is_not_served_got_an_alert_on_a_tls_port(scene, sent):
    with Client(scene.router.port) as client:
        client.send(sent + b"Host: a\r\n\r\n")
        assert client.response().status == 400


def test_a_head_of_plain_http_on_a_tls_port_got_a_body(scene):
    with Client(scene.router.port) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.response("HEAD")
        assert answer.status == 400 and int(answer.headers.get("content-length")) > 0
        assert client.reader.until_close() == b""


@pytest.mark.parametrize("sent", [b"SSH-2.0-x\r\n", b"GETx / HTTP/1.1\r\n", b"\r\n \r\n", b"get / HTTP/1.1\r\n\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"])
def test_what_is_neither_tls_nor_http_gets_an_alert_alone(scene, sent):
    with Client(scene.router.port) as client:
        client.send(sent)
        client.socket.settimeout(5)
        assert client.socket.recv(100) == b"\x15\x03\x03\x00\x02\x02\x0a", "should be unexpected_message"


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_look_whether_the_port_is_open_counted_as_a_failed_handshake(scene, reset):
    before = failed_handshakes(scene.router), scene.router.metrics().value("connections_total")
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", scene.router.port)) as look:
            if reset:
                look.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Client(scene.router.port) as client:
        client.send(b"\x16\x03\x01")  # a client that has begun a handshake has failed
    eventually(lambda: failed_handshakes(scene.router) > before[0], "the begun handshake to be counted")
    assert failed_handshakes(scene.router) == before[0] + 1
    assert scene.router.metrics().value("connections_total") == before[1] + 21


def test_a_handshake_goes_on_when_the_listener_closes(pod, start, pairs):
    router = start(endpoint(deployment([pod()])), tls=tls_of(pairs.default))
    with Client(router.port) as client:
        router.signal(signal.SIGTERM)
        eventually(lambda: not is_listening(router.port), "the listener to close")
        client.socket = pairs.ca.client_context().wrap_socket(client.socket, server_hostname="router.test")
        client.reader = Reader(client.socket)
        assert client.exchange(b"x").status == 200
    assert router.wait_exit() == 0


def test_the_expiry_of_each_certificate_is_told(scene):
    samples = scene.router.metrics().all("certificate_expiry_timestamp_seconds")
    assert len(samples) >= 4 and all(value > 1.7e9 for _, value in samples)


def test_a_changed_certificate_is_shown_within_a_second_and_old_connections_go_on(pod, start, authority):
    live, fresh = authority.issue("router.test"), authority.issue("router.test")
    first = live.serial()
    router = start(endpoint(deployment([pod()])), tls=tls_of(live))
    router.client_context = context = authority.client_context()
    with router.connect() as running:
        assert running.exchange(b"x").status == 200
        assert int(serial_seen(router, context), 16) == int(first, 16)
        live.replace_with(fresh)
        eventually(lambda: same(serial_seen(router, context), fresh), "the new certificate", patience=2)
        assert running.exchange(b"y").status == 200


def kubernetes_secret(folder, pair, generation):
    """A mounted Secret as the kubelet writes it: files are links into `..data`, which is itself a link that is replaced in one step."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    real = folder / f"..2026_{generation}"
    real.mkdir()
    shutil.copy(pair.certificate, real / "cert.pem")
    shutil.copy(pair.key, real / "key.pem")
    os.symlink(real.name, folder / "..data_tmp")
    old = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
    os.replace(folder / "..data_tmp", folder / "..data")
    for name in ("cert.pem", "key.pem"):
        if not (folder / name).is_symlink():
            os.symlink(f"..data/{name}", folder / name)
    if old:
        shutil.rmtree(folder / old)
    return {"certificate_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def test_a_secret_mounted_by_kubernetes_is_taken_up_each_time_it_changes(pod, start, authority, tmp_path):
    folder = tmp_path / "secret"
    mounted = kubernetes_secret(folder, authority.issue("router.test"), 0)
    router = start(endpoint(deployment([pod()])), tls={"certificates": [mounted]})
    context = authority.client_context()
    for generation in range(1, 4):
        fresh = authority.issue("router.test")
        kubernetes_secret(folder, fresh, generation)
        eventually(lambda: same(serial_seen(router, context), fresh), "the new certificate", patience=2)  # noqa: B023


def test_a_ticket_of_one_router_is_taken_by_another_with_the_same_keys(pod, start, authority, tmp_path):
    keys = tmp_path / "ticket.key"
    keys.write_bytes(os.urandom(80))
    tls = tls_of(authority.issue("router.test"), ticket_key_files=[str(keys)])
    first, second = start(endpoint(deployment([pod()])), tls=tls), start(endpoint(deployment([pod()])), tls=tls)
    context = authority.client_context()
    with first.connect(tls=context, server_name="router.test") as client:
        assert client.exchange(b"x").status == 200
        session = client.socket.session
    with second.connect(tls=context, server_name="router.test", session=session) as client:
        assert client.exchange(b"x").status == 200
        assert client.socket.session_reused


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def test_an_encrypted_key_is_opened_with_its_password(pod, start, authority, tmp_path):
    pair = authority.issue("router.test")
    (tmp_path / "password").write_text("open sesame\n")
    openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:open sesame", "-out", tmp_path / "locked.pem")
    certificate = {"certificate_file": str(pair.certificate), "key_file": str(tmp_path / "locked.pem"),
                   "password_file": str(tmp_path / "password")}
    router = start(endpoint(deployment([pod()])), tls={"certificates": [certificate]})
    assert same(serial_seen(router, authority.client_context()), pair)


@pytest.mark.parametrize("spoil", ["mismatched key", "malformed", "missing", "wrong password", "empty"])
def test_a_bad_certificate_is_refused_at_the_start_by_its_file(tmp_path, authority, spoil):
    pair = authority.issue("router.test")
    certificate = dict(pair.as_dict())
    named = pair.certificate
    if spoil == "mismatched key":
        certificate["key_file"] = str(authority.issue("other.test").key)
        named = Path(certificate["key_file"])
    elif spoil in ("malformed", "empty"):
        named.write_text("nonsense" if spoil == "malformed" else "")
    elif spoil == "missing":
        named.unlink()
    elif spoil == "wrong password":
        named = tmp_path / "locked.pem"
        openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:right", "-out", named)
        (tmp_path / "password").write_text("wrong\n")
        certificate |= {"key_file": str(named), "password_file": str(tmp_path / "password")}
    (tmp_path / "endpoint.yml").write_text("name: my-endpoint\n")
    (tmp_path / "router.yaml").write_text(yaml.dump(
        {"listeners": [{"port": 8443, "tls": {"certificates": [certificate]}}], "endpoints": ["*.yml"]}))
    done = subprocess.run([BINARY, "--config", tmp_path / "router.yaml", "--check"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert named.name in done.stderr + done.stdout or pair.certificate.name in done.stderr + done.stdout, done.stderr
