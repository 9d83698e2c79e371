"""A change that time brings is no mistake of a file. A file that cannot be used is refused alone, and nothing else is.
docs/configuration.md, "Effect of each mistake". Each test is named after what went wrong."""

import os
import subprocess
import time

import pytest
from support import yaml
from support.certificates import Authority
from support.client import PRIMARY, SECONDARY
from support.router import BINARY, write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually

NONSENSE = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def tls_of(*pairs):
    return {"certificates": [pair.as_dict() for pair in pairs]}


def unchecked(authority):
    """A client that checks no certificate."""
    context = authority.client_context()
    context.check_hostname = False
    context.verify_mode = 0
    return context


def shown(router, authority, name="router.test"):
    """Returns the serial number of the certificate that the router presents to a client, valid or not."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{router.port}", "-servername", name],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=done.stdout, capture_output=True, text=True, check=True)
    return int(serial.stdout.split("=")[1], 16)


def serial(pair):
    return int(pair.serial(), 16)


def refused_files(router, kind="certificate"):
    return router.metrics().value("files_refused", kind=kind)


def spoil(router, part="endpoint"):
    """Makes a mistake in some YAML file; returns a function that repairs it."""
    file = router.config_file if part == "router.yaml" else router.folder / "endpoints" / "my-endpoint.yml"
    good = file.read_text()
    before = router.metrics().value("configuration_reloads_total", result="refused")
    write_at_once(file, "[: nonsense" if part == "nonsense" else good + "\nunknown_key: 1\n")
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") > before, "the refusal", patience=4)
    return lambda: write_at_once(file, good)


# --- certificates and time

def test_a_certificate_that_expired_while_the_router_ran_refused_every_reload_and_a_revoked_key_stayed(pod, start, authority):
    pair = authority.issue_for(-3600, 4, "router.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(pair))
    router.client_context = unchecked(authority)
    time.sleep(max(0.0, 5 - (time.time() - os.stat(pair.certificate).st_mtime)))
    router.reloaded(lambda: write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n"))
    assert router.score(b"x", key=PRIMARY).status == 401
    assert router.score(b"x", key="the-third-key-000003").status == 200
    router.expect_logged("the certificate expired on ", pair.certificate.name)
    assert router.metrics().value("configuration_refused") == 0
    assert router.metrics().value("certificate_expiry_timestamp_seconds") < time.time()


@pytest.mark.parametrize("begins, ends, told", [(-7200, -3600, "the certificate expired on "), (3600, 7200, "the certificate begins on ")],
                         ids=["expired", "not begun"])
def test_a_certificate_whose_time_is_over_or_to_come_ended_the_start(pod, start, authority, begins, ends, told):
    pair = authority.issue_for(begins, ends, "router.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(pair))
    router.client_context = unchecked(authority)
    assert router.score(b"x").status == 200
    router.expect_logged(told)
    samples = router.metrics()
    assert samples.value("certificate_start_timestamp_seconds") == pytest.approx(time.time() + begins, abs=60)
    assert samples.value("certificate_expiry_timestamp_seconds") == pytest.approx(time.time() + ends, abs=60)
    done = subprocess.run([BINARY, "--config", router.config_file, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ok\n") and f"warning: {router.config_file}:" in done.stderr and told in done.stderr


def test_a_renewed_certificate_that_began_seconds_later_was_never_looked_at_again(pod, start, authority):
    old = authority.issue_for(-3600, 7, "router.test")
    renewed = authority.issue_for(4, 3600, "router.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(old, renewed))
    assert shown(router, authority) == serial(old)
    generation = router.generation()
    eventually(lambda: shown(router, authority) == serial(renewed), "the renewed certificate", patience=12)
    router.client_context = authority.client_context()
    assert router.score(b"x").status == 200
    assert router.generation() == generation, "no generation should have been published for it"


def test_a_certificate_that_replaced_another_and_had_not_begun_was_refused(pod, start, authority):
    pair, renewed = authority.issue("router.test"), authority.issue_for(3, 3600, "router.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(pair))
    router.reloaded(lambda: pair.replace_with(renewed))
    eventually(lambda: shown(router, authority) == serial(renewed), "the certificate of the file", patience=4)
    router.client_context = authority.client_context()

    def takes():
        try:
            return router.score(b"x").status == 200
        except OSError:
            return False
    eventually(takes, "the certificate to become valid", patience=6)


# --- a certificate's file

@pytest.mark.parametrize("how", ["malformed", "missing", "another's key", "unreadable key"])
def test_a_certificate_that_could_not_be_used_refused_the_whole_reload(pod, start, authority, how):
    broken, renewed = authority.issue("router.test"), authority.issue("other.test")
    before = serial(broken)
    router = start(endpoint(deployment([pod()])), tls=tls_of(broken, renewed))
    good = {file: file.read_bytes() for file in (broken.certificate, broken.key)}

    def change():
        if how == "malformed":
            write_at_once(broken.certificate, NONSENSE)
        elif how == "missing":
            broken.certificate.unlink()
        elif how == "another's key":
            write_at_once(broken.key, authority.issue("router.test").key.read_text())
        else:
            write_at_once(broken.key, "nonsense")
        renewed.replace_with(fresh)
        write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n")
    fresh = authority.issue("other.test")
    router.reloaded(change)
    eventually(lambda: shown(router, authority, "other.test") == serial(fresh), "the renewed certificate", patience=4)
    assert shown(router, authority) == before, "the active certificate should stay"
    router.client_context = authority.client_context()
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.score(b"x", key=PRIMARY).status == 401
    eventually(lambda: refused_files(router) == 1, "the refused file to be counted", patience=3)
    assert router.metrics().value("configuration_refused") == 0
    router.expect_logged("; the one that is in force stays", "listeners[0].tls.certificates[0].")
    router.reloaded(lambda: [file.with_suffix(".good").write_bytes(text) and file.with_suffix(".good").replace(file)
                             for file, text in good.items()])
    eventually(lambda: refused_files(router) == 0, "the file to be repaired", patience=3)


def test_a_certificate_that_is_named_anew_and_cannot_be_used_took_no_other_out_of_force(pod, start, authority, tmp_path):
    first, second = authority.issue("router.test"), authority.issue("other.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(first, second))
    absent = {"certificate_file": str(tmp_path / "absent.pem"), "key_file": str(tmp_path / "absent.key")}

    def name_absent():
        router.settings["listeners"][0]["tls"] = {"certificates": [absent, second.as_dict()]}
        router.write()
    router.reloaded(name_absent)
    assert shown(router, authority) == serial(first) and shown(router, authority, "unknown.test") == serial(first)
    assert shown(router, authority, "other.test") == serial(second)
    router.expect_logged("; those that are in force stay")
    assert refused_files(router) == 1
    fresh = authority.issue("router.test")

    def mend():
        (tmp_path / "absent.key").write_bytes(fresh.key.read_bytes())
        (tmp_path / "absent.pem").write_bytes(fresh.certificate.read_bytes())
    router.reloaded(mend)
    eventually(lambda: shown(router, authority) == serial(fresh), "the certificate of the new name", patience=4)
    eventually(lambda: refused_files(router) == 0, "no file to be refused", patience=3)


@pytest.mark.parametrize("how", ["malformed", "missing"])
def test_a_certificate_that_cannot_be_used_ends_a_start_with_its_place(tmp_path, authority, how):
    pair = authority.issue("router.test")
    write_at_once(pair.certificate, NONSENSE) if how == "malformed" else pair.certificate.unlink()
    (tmp_path / "endpoint.yml").write_text("name: my-endpoint\n")
    (tmp_path / "router.yaml").write_text(yaml.dump({
        "listeners": [{"address": "127.0.0.1", "port": 0, "tls": tls_of(pair)}], "endpoints": ["endpoint.yml"],
        "observe": {"address": "127.0.0.1:0"}, "admin": {"address": "127.0.0.1:0"}}))
    done = subprocess.run([BINARY, "--config", tmp_path / "router.yaml"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "listeners[0].tls.certificates[0].certificate_file: " in done.stderr and str(pair.certificate) in done.stderr


def test_a_plain_listener_is_not_made_https_without_a_certificate_nor_left_open_for_it(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    router.settings["listeners"][0]["tls"] = {"certificates": [{"certificate_file": "absent.pem", "key_file": "absent.key"}]}
    router.write()
    status, text = router.admin("/reload", "POST")
    assert status == 422 and "absent.pem" in text
    assert router.score(b"x").status == 200, "the whole change should be refused"
    assert refused_files(router) == 0 and router.metrics().value("configuration_refused") == 1


# --- a replica's authorities

@pytest.fixture
def https(stage, authority):
    return stage.pod(tls=authority.server_context(authority.issue("pod.test")))


def to_https(https, file, **router):
    return deployment([https], max_queue_wait_ms=300, router={"tls": {"ca_file": str(file), "server_name": "pod.test"}, **router})


@pytest.mark.parametrize("how", ["malformed", "missing"])
def test_authorities_that_could_not_be_read_refused_every_reload(pod, start, authority, https, tmp_path, how):
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    router = start(endpoint(to_https(https, file)), endpoint(deployment([pod()], name="other"), name="other"))
    assert router.score(b"x").status == 200

    def change():
        file.unlink() if how == "missing" else write_at_once(file, NONSENSE)
        write_at_once(router.folder / "keys" / "other-primary", "the-third-key-000003\n")
    router.reloaded(change)
    path = "/api/v1/endpoint/other/score"
    assert router.score(b"x", path=path, key="the-third-key-000003").status == 200
    assert router.score(b"x", path=path).status == 401
    assert all(router.score(b"x").status == 200 for _ in range(5)), "the previous authorities should stay"
    router.expect_logged("; the authorities that it held stay in force", "router.tls.ca_file")
    assert refused_files(router, "authorities") == 1
    router.reloaded(lambda: router.admin("/reload", "POST"))
    assert router.score(b"x").status == 200, "also at the next reload"
    router.reloaded(lambda: write_at_once(file, authority.file.read_text()))
    eventually(lambda: refused_files(router, "authorities") == 0, "the file to be repaired", patience=3)
    assert router.score(b"x").status == 200


def test_authorities_that_were_never_read_ended_the_start_and_never_open_the_deployment(pod, start, authority, https, tmp_path):
    file = tmp_path / "ca.pem"
    router = start(endpoint(to_https(https, file)), endpoint(deployment([pod()], name="other"), name="other"), wait=False)
    router.wait_ready(replicas=False)
    eventually(lambda: router.score(b"x", path="/api/v1/endpoint/other/score").status == 200, "the other endpoint to be served")
    answer = router.score(b"x")
    assert (answer.status, answer.why) == (503, "no_ready_replica")
    assert len(https.requests) == 0, "no request should be sent to an unverified replica"
    router.expect_logged("no replica is trusted, so the deployment is closed until it can be read")
    assert refused_files(router, "authorities") == 1
    done = subprocess.run([BINARY, "--config", router.config_file, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "router.tls.ca_file" in done.stderr, "--check should report it before"
    router.reloaded(lambda: file.write_bytes(authority.file.read_bytes()))
    eventually(lambda: router.score(b"x").status == 200, "the deployment to open", patience=5)


def test_a_replica_of_authorities_that_were_replaced_was_still_trusted_by_the_old_ones(start, authority, https, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    router = start(endpoint(to_https(https, file)))
    assert router.score(b"x").status == 200
    stranger = Authority(tmp_path / "stranger")
    router.reloaded(lambda: write_at_once(file, stranger.file.read_text()))
    assert router.score(b"x").why in ("no_ready_replica", "upstream_connect_failed")
    router.reloaded(lambda: write_at_once(file, authority.file.read_text()))
    eventually(lambda: router.score(b"x").status == 200, "its own authority to be active again", patience=4)


@pytest.mark.parametrize("how", ["pipe", "without end"])
@pytest.mark.parametrize("which", ["certificate", "key", "ca_file"])
def test_a_pipe_in_place_of_a_file_stopped_the_control_thread_and_a_revoked_key_stayed_valid(pod, start, authority, https, tmp_path,
                                                                                             which, how):
    pair, authorities = authority.issue("router.test"), tmp_path / "ca.pem"
    authorities.write_bytes(authority.file.read_bytes())
    router = start(endpoint(deployment([pod()])), endpoint(to_https(https, authorities), name="other"), tls=tls_of(pair))
    router.client_context = authority.client_context()
    file = {"certificate": pair.certificate, "key": pair.key, "ca_file": authorities}[which]
    spoilt = tmp_path / "spoilt"
    os.mkfifo(spoilt) if how == "pipe" else spoilt.symlink_to("/dev/zero")
    router.reloaded(lambda: spoilt.replace(file))
    eventually(lambda: f"{file}: is not a regular file" in router.log, "the mistake in the log", patience=5)
    router.reloaded(lambda: write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n"))
    assert router.score(b"x", key=PRIMARY).status == 401
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.score(b"x", path="/api/v1/endpoint/other/score").status == 200, "the previous content of the file should stay"
    assert router.observe("/readyz")[0] == 200


# --- keys

@pytest.mark.parametrize("part", ["endpoint", "router.yaml", "nonsense"])
def test_a_revoked_key_stayed_valid_while_some_yaml_had_a_mistake(pod, start, part):
    router = start(endpoint(deployment([pod()])))
    mend = spoil(router, part)
    assert router.score(b"x").status == 200
    router.reloaded(lambda: write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n"))
    assert router.score(b"x", key=PRIMARY).status == 401
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.score(b"x", key=SECONDARY).status == 200
    assert router.metrics().value("configuration_refused") == 1
    assert "the-third-key-000003" not in router.log
    router.reloaded(mend)
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.metrics().value("configuration_refused") == 0


@pytest.mark.parametrize("how", ["removed", "emptied", "spoilt"])
def test_a_key_whose_file_was_taken_away_stayed_valid(pod, start, how):
    router = start(endpoint(deployment([pod()])))
    file = router.folder / "keys" / "my-endpoint-primary"
    router.reloaded(lambda: file.unlink() if how == "removed" else write_at_once(file, "" if how == "emptied" else "two\nlines\n"))
    assert router.score(b"x", key=PRIMARY).status == 401
    assert router.score(b"x", key="two").status == 401
    assert router.score(b"x", key=SECONDARY).status == 200
    router.expect_logged("router.keys.primary_file", "1 keys open it")
    router.reloaded(lambda: write_at_once(file, "the-third-key-000003\n"))
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert router.metrics().value("configuration_refused") == 0


def test_only_keys_act_while_some_yaml_has_a_mistake(pod, start, authority):
    pair = authority.issue("router.test")
    router = start(endpoint(deployment([pod()])), tls=tls_of(pair))
    router.client_context = authority.client_context()
    before, fresh = serial(pair), authority.issue("router.test")
    mend = spoil(router)
    pair.replace_with(fresh)
    router.reloaded(lambda: write_at_once(router.folder / "keys" / "my-endpoint-primary", "the-third-key-000003\n"))
    assert router.score(b"x", key="the-third-key-000003").status == 200
    assert shown(router, authority) == before
    router.reloaded(mend)
    eventually(lambda: shown(router, authority) == serial(fresh), "the new certificate", patience=4)


# --- names

def test_a_name_that_does_not_resolve_never_refuses_a_configuration(pod, start):
    router = start(endpoint(deployment([pod()])))
    router.reloaded(lambda: router.write_endpoint(endpoint(deployment(["nowhere.invalid:5001"], name="green"), name="second")))
    assert router.metrics().value("configuration_refused") == 0
    assert router.score(b"x").status == 200


def test_the_name_of_an_operators_listener_that_did_not_resolve_refused_the_change(pod, start):
    router = start(endpoint(deployment([pod()])))

    def move():
        router.settings["observe"] = {"address": "nowhere.invalid:9901"}
        router.write()
    router.reloaded(move)
    assert router.metrics().value("configuration_refused") == 0
    router.expect_logged("observe.address: cannot listen on nowhere.invalid:9901: ", "it is looked up again")
    assert router.observe("/readyz")[0] == 200, "the active configuration should stay"
