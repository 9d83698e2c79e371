"""The image that build.sh has built, run by podman as in run.sh."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.certificates import Authority
from support.client import SECONDARY, Client
from support.ports import ReservedPort
from support.router import BINARY, ROOT
from support.settings import deployment, endpoint
from support.wait import eventually

FOLDER = ROOT / "build" / "image"
MB = 1_000_000
NAME = "localhost/inference-router:test"
USER = 65532


def podman(*arguments):
    done = subprocess.run([ROOT / "tests" / "image" / "podman.sh", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*arguments, entrypoint="/usr/local/bin/inference-router"):
    """Runs it in a container without network and returns its output."""
    return podman("run", "--rm", "--network", "none", "--cgroup-parent", os.environ["OWN_MACHINE_CGROUP"], "--entrypoint", entrypoint,
                  NAME, *arguments)


@pytest.fixture
def router(start, pod, tmp_path):
    """The router in a container, with a listener for HTTP and one for HTTPS. `tls_port` and `context` are for the second."""
    assert BINARY.name == "run.sh", "ROUTER_BINARY must be run.sh"
    folder = tmp_path / "router-0"  # the folder that `start` uses
    authority = Authority(folder / "certificates")
    pair = authority.issue("router.test")
    for path in (folder / "certificates").iterdir():
        path.chmod(0o644)
    tls = ReservedPort()
    listeners = [{"address": "0.0.0.0", "port": tls.port, "tls": {"certificates": [pair.as_dict()]}}]
    router = start(endpoint(deployment([pod()], slots=0)), access_log="stdout",
                   listeners=lambda port: [{"address": "0.0.0.0", "port": port}, *listeners])
    router.tls_port, router.context = tls.port, authority.client_context()
    yield router
    tls.close()


def score(router, tls=False, **options):
    port, context = (router.tls_port, router.context) if tls else (router.port, None)
    with Client(port, tls=context, server_name="router.test") as client:
        return client.exchange(b"hello", **options)


def process_of(router):
    """Returns the process id of the router itself: a grandchild of podman."""
    def found():
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == b"/usr/local/bin/inference-router" and str(router.config_file).encode() in words:
                return path.parent
        return None
    return eventually(found, "the router's process to start")


def test_it_adds_less_than_60_mb_to_its_base():
    sizes = json.loads((FOLDER / "sizes.json").read_text())
    added = (sizes["image"] - sizes["base"]) / MB
    print(f"\nthe image: {added:.1f} MB above a base of {sizes['base'] / MB:.1f} MB")
    assert 1 < added < 60


def test_what_it_says_of_itself():
    config = json.loads(podman("image", "inspect", NAME))[0]["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/usr/local/bin/inference-router"]
    assert set(config["ExposedPorts"]) == {"8080/tcp", "8443/tcp", "9901/tcp", "9903/tcp"}
    version = run("--version").split()[1]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert {"title", "description", "licenses", "revision"} <= {name.rpartition(".")[2] for name in config["Labels"]}


def test_what_builds_it_is_not_in_it():
    paths = "/source /usr/bin/g++ /usr/include/boost /var/lib/apt/lists/* /etc/ssl/certs/ca-certificates.crt"
    found = run("-c", f"ls -d {paths} 2>/dev/null || true", entrypoint="/bin/sh")
    assert found.split() == ["/etc/ssl/certs/ca-certificates.crt"]


def test_it_is_ready_and_scores_over_http_and_https(router):
    assert router.observe("/readyz")[0] == 200
    for tls in (False, True):
        for key in ({}, {"key": SECONDARY}):
            answer = score(router, tls, **key)
            assert (answer.status, answer.body) == (200, b"hello")


def test_a_wrong_key_is_refused(router):
    for tls in (False, True):
        for key in ("wrong", None):
            answer = score(router, tls, key=key)
            assert (answer.status, answer.why) == (401, "unauthorized")


def test_it_has_no_rights(router):
    process = process_of(router)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert status["Uid"].split() == [str(USER)] * 4
    for rights in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[rights], 16) == 0, rights
    assert status["NoNewPrivs"].strip() == "1"
    writable = [mount.split()[1] for mount in (process / "mounts").read_text().splitlines() if "rw" in mount.split()[3].split(",")]
    assert not [mount for mount in writable if not mount.startswith(("/dev", "/proc", "/sys"))], writable


def test_sigterm_ends_it_well(router):
    assert score(router).status == 200
    router.signal(signal.SIGTERM)
    assert router.wait_exit() == 0
