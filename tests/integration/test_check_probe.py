"""`--check --probe` prints a line for each listed replica. It tests real connections and does not start the router."""

import re
import socket
import subprocess
import time

import pytest
from support import yaml
from support.pod import PROBE
from support.ports import closed_port
from support.router import BINARY
from support.settings import deployment, endpoint

SECRET = "a-key-that-is-never-shown"


def check(folder, *endpoints, probe=True):
    """Returns the exit status and the lines of standard output, with these endpoints as files."""
    (folder / "key").write_text(SECRET + "\n")
    (folder / "router.yaml").write_text("listeners:\n  - port: 8080\nendpoints: ['*.yml']\n")
    for number, each in enumerate(endpoints):
        one = {**each["endpoint"], "router": {"keys": {"primary_file": "key"}}}
        (folder / f"endpoint-{number}.yml").write_text(yaml.dump(one))
        for place, blue in enumerate(each["deployments"]):
            (folder / f"deployment-{number}-{place}.yml").write_text(yaml.dump(blue))
    done = subprocess.run([BINARY, f"--config={folder}/router.yaml", "--check", *(["--probe"] if probe else [])],
                          capture_output=True, text=True, check=False, timeout=100)
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stdout.splitlines()


def blue(*replicas, **settings):
    return endpoint(deployment(replicas, **settings))


def test_a_ready_replica_is_ok_and_got_one_question(pod, tmp_path):
    ready = pod()
    assert check(tmp_path, blue(ready)) == (0, [f"ok: my-endpoint/blue {ready.address}: ready (GET {PROBE})", "ok"])
    assert ready.requests == []  # only the probe


def test_each_replica_that_would_get_no_requests_is_told_with_its_cause(pod, tmp_path):
    ready, busy = pod(), pod()
    busy.ready = False
    closed = closed_port()
    status, lines = check(tmp_path, blue(ready, busy, f"127.0.0.1:{closed}", "no-such-host.invalid"))
    assert status == 3
    assert lines[:3] == [f"ok: my-endpoint/blue {ready.address}: ready (GET {PROBE})",
                         f"not ok: my-endpoint/blue {busy.address}: 503 from GET {PROBE}",
                         f"not ok: my-endpoint/blue 127.0.0.1:{closed}: connection refused"]
    assert re.fullmatch(r"not ok: my-endpoint/blue no-such-host\.invalid:5001: .*resolved.*", lines[3]), lines
    assert lines[4:] == ["3 of 4 would get no requests"]


def test_a_name_is_told_with_the_address_behind_it(pod, tmp_path):
    ready = pod()
    port = ready.address.rpartition(":")[2]
    status, lines = check(tmp_path, blue(f"localhost:{port}"))
    assert (status, lines) == (0, [f"ok: my-endpoint/blue localhost:{port} (127.0.0.1): ready (GET {PROBE})", "ok"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_name_below_localhost_needs_no_resolver(pod, tmp_path, host):
    port = pod(host=host).port
    status, lines = check(tmp_path, blue(f"blue.localhost:{port}"))
    assert (status, lines) == (0, [f"ok: my-endpoint/blue blue.localhost:{port} ({host}): ready (GET {PROBE})", "ok"])


def test_a_server_that_does_not_answer_costs_its_timeout_and_no_more(tmp_path):
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(70)]  # more than the command probes at the same time
    begun = time.monotonic()
    status, lines = check(tmp_path, blue(*(f"127.0.0.1:{each.getsockname()[1]}" for each in silent), probe={"timeout": 1}))
    assert status == 3 and len(lines) == 71
    assert {line.partition(": ")[2].partition(": ")[2] for line in lines[:70]} == {"no answer in 1 s"}
    assert 1 < time.monotonic() - begun < 20


def test_a_route_that_is_not_there_is_named(pod, tmp_path):
    server = pod(lambda exchange: exchange.answer(404))
    wrong = deployment([server])
    wrong["environment"]["inference_config"]["readiness_route"]["path"] = "/healthz"
    assert check(tmp_path, endpoint(wrong)) == (3, [f"not ok: my-endpoint/blue {server.address}: 404 from GET /healthz",
                                                    "1 of 1 would get no requests"])


def test_the_port_that_scores_is_tried_where_another_one_tells_readiness(pod, tmp_path):
    ready = pod()
    port = int(ready.address.rpartition(":")[2])
    closed = closed_port()
    both = deployment([f"127.0.0.1:{closed}"])
    both["environment"]["inference_config"]["readiness_route"]["port"] = port
    status, lines = check(tmp_path, endpoint(both))
    assert (status, lines[0]) == (3, f"not ok: my-endpoint/blue 127.0.0.1:{closed}: ready at port {port}, but port {closed}, "
                                     "which scores: connection refused")


def test_a_deployment_without_replicas_is_not_ok(tmp_path):
    assert check(tmp_path, blue()) == (3, ["not ok: my-endpoint/blue: it has no replicas", "1 of 1 would get no requests"])


@pytest.mark.parametrize("case", ["verified", "unknown authority", "another name", "unverified", "plain HTTP"])
def test_a_certificate_is_checked_and_nothing_is_sent_unverified(pod, tmp_path, authority, case):
    plain = case == "plain HTTP"
    server = pod(tls=None if plain else authority.server_context(authority.issue("pod.test")))
    tls = {"ca_file": str(authority.file), "server_name": "other.test" if case == "another name" else "pod.test"}
    if case == "unknown authority":
        del tls["ca_file"]
    if case == "unverified":
        tls["verify"] = False
    status, lines = check(tmp_path, blue(server, router={"tls": tls}))
    label = f"my-endpoint/blue {server.address}: "
    if case == "verified":
        assert (status, lines[0]) == (0, f"ok: {label}ready (GET {PROBE}, certificate checked)")
    elif case == "unverified":
        assert status == 3 and lines[0].startswith(f"not ok: {label}it accepts connections; readiness is not checked"), lines
    else:
        assert status == 3 and lines[0].startswith(f"not ok: {label}TLS: "), lines
    if not plain:
        assert server.requests == []


def test_mistakes_of_the_files_come_first_and_nobody_is_asked(pod, tmp_path):
    wrong = deployment([pod()])
    wrong["rubbish"] = 1
    assert check(tmp_path, endpoint(wrong)) == (1, [])


def test_without_probe_nobody_is_asked(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert check(tmp_path, blue(f"127.0.0.1:{server.getsockname()[1]}"), probe=False) == (0, ["ok"])
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_probe_alone_is_a_mistake_of_the_command_line():
    done = subprocess.run([BINARY, "--config", "x", "--probe"], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 2 and "--probe needs --check" in done.stderr
