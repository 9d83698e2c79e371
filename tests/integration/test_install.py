"""What `cmake --install` writes: docs/install.md. `./dev package-test` tests the Debian package."""

import os
import re
import subprocess

import pytest
from support.router import BINARY, ROOT

PACKAGING = ROOT / "cmake" / "packaging"


def run(*command, **options):
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False, timeout=60, **options)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Returns the folder that stands for `/`, with the prefix /usr/local."""
    folder = tmp_path_factory.mktemp("installed")
    done = run("cmake", "--install", BINARY.parent, env={**os.environ, "DESTDIR": str(folder)})
    assert done.returncode == 0, done.stderr
    return folder


def options_of_help():
    return set(re.findall(r"--[a-z][a-z-]*", run(BINARY, "--help").stdout))


def commands_of_help():
    return set(re.findall(r"(?m)^  inference-router ([a-z]+) ", run(BINARY, "--help").stdout))


def test_everything_is_where_it_belongs(installed):
    files = {str(each.relative_to(installed)) for each in installed.rglob("*") if each.is_file()}
    pages = {each for each in files if each.startswith("usr/local/share/doc/inference-router/") and each.endswith(".md")}
    assert files - pages == {
        "usr/local/bin/inference-router",
        "usr/local/etc/inference-router/endpoints/README",
        "usr/local/etc/inference-router/router.yaml",
        "usr/local/lib/systemd/system/inference-router.service",
        "usr/local/lib/systemd/system/inference-router.socket",
        "usr/local/lib/sysusers.d/inference-router.conf",
        "usr/local/share/bash-completion/completions/inference-router",
        "usr/local/share/doc/inference-router/LICENSE",
        "usr/local/share/man/man1/inference-router.1",
    }
    assert {"configuration.md", "install.md", "operations.md"} <= {os.path.basename(each) for each in pages}
    left = [each for each in files - pages if b"@ROUTER" in (installed / each).read_bytes() or b"@CMAKE" in (installed / each).read_bytes()]
    assert left == []


def test_the_man_page_names_every_option_of_help(installed):
    page = (installed / "usr/local/share/man/man1/inference-router.1").read_text().replace("\\-", "-")
    assert [each for each in options_of_help() if each not in page] == []
    assert [each for each in commands_of_help() if not re.search(rf"(?m)^\.BI? {each}\b", page)] == []


def complete(installed, *words):
    script = installed / "usr/local/share/bash-completion/completions/inference-router"
    code = (f'. {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
            '_inference_router "$1" "${@: -1}" "${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"')
    done = run("bash", "-c", code, "bash", BINARY, *words, cwd=installed / "usr/local/etc/inference-router")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return set(done.stdout.split())


def test_the_completion_knows_every_option_of_help(installed):
    assert options_of_help() == complete(installed, "-")
    assert "--namespace" in complete(installed, "convert", "one.yml", "--n")
    assert "convert" in commands_of_help() and commands_of_help() == complete(installed, "")
    assert "router.yaml" in complete(installed, "--config", "rou")
    assert "router.yaml" in complete(installed, "--config", "=", "rou")
    assert "schema" in commands_of_help()
    assert complete(installed, "schema", "") == {"router", "overlay", "endpoint", "deployment", "OnlineEndpoint", "OnlineDeployment"}
    assert complete(installed, "schema", "r") == {"router"}


def test_the_configuration_is_good_as_it_stands_and_with_all_that_is_commented_out(installed, tmp_path):
    file = installed / "usr/local/etc/inference-router/router.yaml"
    done = run(BINARY, "--config", file, "--check")
    assert (done.returncode, done.stdout) == (0, "ok\n") and done.stderr.count("\n") == 1 and "no file matches" in done.stderr
    text = re.sub(r"(?m)^#(?=  |[a-z])", "", file.read_text()[file.read_text().index("listeners:"):])
    assert "max_connections: 20000" in text
    (tmp_path / "tls").mkdir()
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=router.test", "-keyout", tmp_path / "tls/key.pem",
        "-out", tmp_path / "tls/cert.pem")
    (tmp_path / "router.yaml").write_text(text)
    done = run(BINARY, "--config", tmp_path / "router.yaml", "--check")
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr + text


def test_systemd_takes_the_units_without_a_word(installed, tmp_path):
    for unit in ("inference-router.service", "inference-router.socket"):
        text = (installed / "usr/local/lib/systemd/system" / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/local/bin", str(installed / "usr/local/bin")))
    done = run("systemd-analyze", "verify", "--man=no", tmp_path / "inference-router.service", tmp_path / "inference-router.socket")
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "inference-router" in line]
    assert (done.returncode, ours) == (0, [])
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=25", tmp_path / "inference-router.service")
    assert done.returncode == 0, done.stdout


def test_the_socket_unit_is_for_a_listener_of_the_configuration(installed):
    unit = (installed / "usr/local/lib/systemd/system/inference-router.socket").read_text()
    address, port = re.search(r"(?m)^ListenStream=(.*):(\d+)$", unit).groups()
    config = (installed / "usr/local/etc/inference-router/router.yaml").read_text()
    assert re.search(rf"- address: {re.escape(address)} .*\n    port: {port}\n", config)
