"""What an operator can read in addition to the contract's figures: those of the process, of each replica, the client's address, the log as
JSON."""

import json
import os
import re
import subprocess
import time

import pytest
from support.client import request
from support.router import BINARY
from support.settings import deployment, endpoint
from support.wait import eventually


def of_process(router):
    return {name: value for name, labels, value in router.metrics().samples if name.startswith("process_") and not labels}


def replicas_of(router, name):
    return {labels["replica"]: value for labels, value in router.metrics().all(f"replica_{name}")}


def promtool(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_nothing_told_of_the_process_what_every_client_library_does(pod, start):
    router = start(endpoint(deployment([pod()])))
    before = of_process(router)
    pid = router.process.pid
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        limit = re.search(r"Max open files +(\d+)", file.read())[1]
    assert before["process_max_fds"] == int(limit)
    assert before["process_threads"] == len(os.listdir(f"/proc/{pid}/task"))
    assert abs(before["process_start_time_seconds"] - time.time()) < 600
    assert 1e6 < before["process_resident_memory_bytes"] < before["process_virtual_memory_bytes"]
    clients = [router.connect() for _ in range(20)]
    eventually(lambda: router.metrics().value("connections_active") == 20, "all connections to be accepted")
    after = of_process(router)
    assert after["process_open_fds"] >= before["process_open_fds"] + 20
    assert after["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"] >= 0
    for client in clients:
        client.close()


def test_replicas_have_no_figures_of_their_own_unless_told_to(pod, start):
    blue, other = pod(), pod()
    router = start(endpoint(deployment([blue, other], slots=0)))
    assert router.score(b"x").status == 200
    assert "replica=" not in router.metrics().text
    router.settings["metrics"] = {"per_replica": True}
    router.reloaded(router.write)
    assert replicas_of(router, "requests_total") == {blue.address: 0, other.address: 0}
    for _ in range(20):
        assert router.score(b"x").status == 200
    requests = replicas_of(router, "requests_total")
    assert sum(requests.values()) == 20
    assert requests == {each.address: len(each.requests) - each.before for each in counted(blue, other, requests)}
    assert replicas_of(router, "first_byte_seconds_count") == requests
    assert 0 < sum(replicas_of(router, "first_byte_seconds_sum").values()) < 20
    assert set(replicas_of(router, "slots_in_use").values()) == {0}
    assert promtool(router.metrics().text) == (0, "", "")
    router.settings["metrics"] = {"per_replica": False}
    router.reloaded(router.write)
    assert "replica=" not in router.metrics().text


def counted(*pods_and_requests):
    """The first request of the test is not in the metrics: one of these pods got it."""
    *pods, requests = pods_and_requests
    for each in pods:
        each.before = len(each.requests) - int(requests[each.address])
        assert each.before in (0, 1)
    assert sum(each.before for each in pods) == 1
    return pods


def test_one_of_ten_replicas_that_was_slow_showed_nowhere(pod, start):
    import threading
    release = threading.Event()

    def slow(exchange):
        exchange.body()
        time.sleep(0.3)
        exchange.answer(200, b"")

    def hold(exchange):
        exchange.body()
        exchange.wait(release)
        exchange.answer(200, b"")

    quick, lame, busy = pod(), pod(slow), pod(hold)
    router = start(endpoint(*[deployment([each], name=name, request_timeout_ms=20000)
                              for each, name in ((quick, "quick"), (lame, "lame"), (busy, "busy"))]),
                   metrics={"per_replica": True})
    for name in ("quick", "lame"):
        assert router.score(b"x", headers={"azureml-model-deployment": name}).status == 200
    held = router.start_request(b"x", headers={"azureml-model-deployment": "busy"})
    eventually(lambda: replicas_of(router, "slots_in_use")[busy.address] == 1, "the request to hold the slot")
    took = replicas_of(router, "first_byte_seconds_sum")
    assert took[lame.address] > 0.25 > took[quick.address]
    assert replicas_of(router, "first_byte_seconds_count")[busy.address] == 0
    assert replicas_of(router, "requests_total")[busy.address] == 1
    release.set()
    assert held.response().status == 200


def test_as_many_replicas_as_may_have_figures_have_them_and_what_was_removed_stays(pod, start):
    pods = [pod() for _ in range(4)]
    described = endpoint(deployment(pods[:3], slots=0))
    router = start(described, metrics={"per_replica": True, "per_replica_max": 2})
    shown = set(replicas_of(router, "requests_total"))
    assert len(shown) == 2 and router.metrics().value("replicas_left_out") == 1
    kept = next(each for each in pods if each.address in shown)
    while not kept.requests:
        router.score(b"x")
    before = replicas_of(router, "requests_total")[kept.address]
    described["deployments"][0]["router"]["replicas"] = [each.address for each in pods[:3] if each is not kept]
    router.reloaded(router.write)
    now = replicas_of(router, "requests_total")
    assert kept.address not in now and len(now) == 2, "the removed replica should make room for one that had no figures"
    router.settings["metrics"]["per_replica_max"] = 3
    described["deployments"][0]["router"]["replicas"] = [pods[3].address]
    router.reloaded(router.write)
    assert len(replicas_of(router, "requests_total")) == 3, "should be one current replica and two former ones"
    assert before >= 1


def test_the_access_log_did_not_tell_who_asked(pod, start):
    router = start(endpoint(deployment([pod()])))
    router.score(b"x", headers={"X-Forwarded-For": "6.6.6.6"})
    router.score(b"x", key="wrong")
    router.score(b"x", path="/nowhere")
    with router.connect() as client:
        client.send(b"GET / HTTP/9.9\r\n\r\n")
        assert client.response().status >= 400
    assert [line["ClientIP"] for line in router.access_lines(4)] == ["127.0.0.1"] * 4


@pytest.mark.parametrize("value, client", [
    ("198.51.100.9", "198.51.100.9"), ("6.6.6.6, 198.51.100.9:4711, 10.1.2.3", "198.51.100.9"), ("[2001:db8::9]:443", "2001:db8::9"),
    ('"evil\\', "127.0.0.1"),
])
def test_behind_a_trusted_proxy_the_client_is_whom_it_speaks_for(pod, start, value, client):
    router = start(endpoint(deployment([pod()])), trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    router.score(b"x", headers={"X-Forwarded-For": value})
    assert router.access_lines(1)[0]["ClientIP"] == client


def test_behind_the_proxy_protocol_the_client_is_whom_its_header_names(pod, start):
    router = start(endpoint(deployment([pod()])), trusted_proxies=["127.0.0.1"],
                   listeners=lambda port: [{"address": "127.0.0.1", "port": port, "proxy_protocol": True}])
    with router.connect() as client:
        client.send(b"PROXY TCP4 198.51.100.9 192.0.2.1 4444 443\r\n" + request(b"x", headers={"X-Forwarded-For": "6.6.6.6"}))
        assert client.response().status == 200
    assert router.access_lines(1)[0]["ClientIP"] == "198.51.100.9"


def test_the_clients_address_is_left_out_where_told_to(pod, start):
    router = start(endpoint(deployment([pod()])), access_log_client_ip=False)
    router.score(b"x")
    assert "ClientIP" not in router.access_lines(1)[0]
    router.settings["access_log_client_ip"] = True
    router.reloaded(router.write)
    router.score(b"x")
    assert router.access_lines(2)[1]["ClientIP"] == "127.0.0.1"


LEVELS = {"debug", "info", "warning", "error"}


def objects(text):
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert list(line) == ["time", "level", "message"], line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert line["level"] in LEVELS
    return lines


def test_the_log_was_text_to_every_collector_of_json(pod, start, tmp_path):
    file = tmp_path / "router.log"
    router = start(endpoint(deployment([pod()]), keys=("secret-that-nobody-reads",)), log={"file": str(file), "format": "json"})
    assert any("serves with" in line["message"] for line in objects(file.read_text()))
    good = router.config_file.read_text()
    router.config_file.write_text(good + 'bad "key\\": ü\x85\n\tmore\n')
    refused = eventually(lambda: [line for line in objects(file.read_text()) if "configuration refused" in line["message"]], "the mistakes")
    assert refused[0]["level"] == "error" and "\n" in refused[0]["message"], "several lines should be one object"
    assert "secret-that-nobody-reads" not in file.read_text()
    before = file.read_text()
    router.settings["log"] = {"file": str(file)}
    router.reloaded(router.write)
    after = file.read_text()[len(before):]
    assert re.search(r"^\S+Z info configuration read again", after, re.M), after


@pytest.mark.parametrize("log, is_json", [("{format: json}", True), ("{format: JSON, level: loud}", True), ("{level: loud}", False)])
def test_what_ends_a_start_is_told_in_the_form_of_the_log(tmp_path, log, is_json):
    config = tmp_path / "router.yaml"
    config.write_text(f"listeners: [{{port: 0}}]\nendpoints: [none/*.yml]\nnobody: knows\nlog: {log}\n")
    done = subprocess.run([BINARY, "--config", config], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1 and "nobody: unknown key" in done.stderr
    if is_json:
        lines = objects(done.stderr)
        assert len(lines) == 1 and lines[0]["level"] == "error"
    else:
        assert done.stderr.startswith(str(config))
    checked = subprocess.run([BINARY, "--config", config, "--check"], capture_output=True, text=True, check=False, timeout=20)
    assert checked.returncode == 1 and checked.stderr.startswith(str(config)), "a user of the command line should read text"


def test_a_port_that_is_taken_is_told_as_json_too(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    config = tmp_path / "other.yaml"
    config.write_text(f"listeners: [{{address: 127.0.0.1, port: {router.port}}}]\nendpoints: [none/*.yml]\n"
                      "log: {format: json}\nobserve: {address: 127.0.0.1:0}\nadmin: {address: 'unix:admin'}\n")
    done = subprocess.run([BINARY, "--config", config], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert objects(done.stderr)[-1]["level"] == "error"
