"""The command line, and what `--check` prints."""

import subprocess

import pytest
from support.router import BINARY, ROOT, is_listening
from support.settings import deployment, endpoint


def run(*arguments, **kwargs):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=False, timeout=20, **kwargs)


def check(folder, **files):
    """Runs `--check` for router.yaml and these files."""
    files.setdefault("endpoint", "name: my-endpoint\n")
    (folder / "router.yaml").write_text(files.pop("router", "listeners:\n  - port: 8080\nendpoints: ['*.yml']\n"))
    for name, text in files.items():
        (folder / f"{name}.yml").write_text(text)
    return run("--config", str(folder / "router.yaml"), "--check")


def test_version_and_help_are_told():
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("inference-router ")
    done = run("--help")
    assert done.returncode == 0 and "--config" in done.stdout and "--check" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("--config",), ("--wrong",), ("--config", "a", "b")])
def test_a_wrong_command_line_is_explained_on_standard_error(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    reason, where = done.stderr.splitlines()  # the reason is not followed by a page of help
    assert reason.startswith("inference-router: ") and where == "Try `inference-router --help`."


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("--config", "router.yaml", "--check"), ("schema", "overlay")])
def test_what_could_not_be_written_was_a_success(tmp_path, arguments):
    (tmp_path / "router.yaml").write_text("listeners:\n  - port: 8080\nendpoints: ['*.yml']\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, *arguments], cwd=tmp_path, stdout=full, check=False, timeout=20)
    assert done.returncode == 1


def test_a_good_configuration_is_ok_and_nothing_is_started(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    done = run("--config", str(router.config_file), "--check")
    assert (done.returncode, done.stdout) == (0, "ok\n")


def test_a_missing_file_is_told():
    done = run("--config", "/nowhere/router.yaml", "--check")
    assert done.returncode == 1 and "/nowhere/router.yaml" in done.stderr + done.stdout


def test_every_mistake_is_told_with_its_place(tmp_path):
    done = check(tmp_path, endpoint="name: my-endpoint\nauth_mode: key\ntraffic:\n  blue: 90\nrubbish: 1\n",
                 blue="name: blue\nendpoint_name: my-endpoint\nrequest_settings:\n  request_timeout_ms: soon\n")
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "endpoint.yml:5: rubbish" in told
    assert "blue.yml:4: request_settings.request_timeout_ms" in told
    assert "traffic" in told


def test_every_bad_file_of_tls_is_told_with_its_place_beside_all_other_mistakes(tmp_path):
    (tmp_path / "cert.pem").write_text("nonsense")
    (tmp_path / "key.pem").write_text("")
    (tmp_path / "ticket").write_text("short")
    (tmp_path / "ca.pem").write_text("nonsense")
    router = """listeners:
  - port: 9443
    tls:
      certificates:
        - certificate_file: cert.pem
          key_file: key.pem
        - directory: secret
          password_file: password
      ticket_key_files:
        - ticket
  - port: many
    tls:
      certificates:
        - certificate_file: nowhere.pem
          key_file: key.pem
endpoints: ['*.yml']
"""
    done = check(tmp_path, router=router, endpoint="name: my-endpoint\nrubbish: 1\n",
                 blue="name: blue\nendpoint_name: my-endpoint\nrouter:\n  replicas: ['10.0.0.1']\n  tls:\n    ca_file: ca.pem\n",
                 lost="name: green\nendpoint_name: nobody\nrouter:\n  tls:\n    verify: true\n    ca_file: nowhere.pem\n")
    assert done.returncode == 1 and done.stdout == ""
    told = done.stderr.splitlines()
    first, second = "listeners[0].tls", "listeners[1].tls"
    expected = {
        f"router.yaml:5: {first}.certificates[0].certificate_file: {tmp_path}/cert.pem: holds no certificate in PEM",
        f"router.yaml:6: {first}.certificates[0].key_file: {tmp_path}/key.pem: is empty",
        f"router.yaml:7: {first}.certificates[1].directory: {tmp_path}/secret/cert.pem: cannot be read",
        f"router.yaml:7: {first}.certificates[1].directory: {tmp_path}/secret/key.pem: cannot be read",
        f"router.yaml:8: {first}.certificates[1].password_file: {tmp_path}/password: cannot be read",
        f"router.yaml:10: {first}.ticket_key_files[0]: {tmp_path}/ticket: a ticket key is 80 random bytes",
        "router.yaml:11: listeners[1].port: ",
        f"router.yaml:14: {second}.certificates[0].certificate_file: {tmp_path}/nowhere.pem: cannot be read",
        f"router.yaml:15: {second}.certificates[0].key_file: {tmp_path}/key.pem: is empty",
        f"blue.yml:6: router.tls.ca_file: {tmp_path}/ca.pem: holds no certificate in PEM",
        "endpoint.yml:2: rubbish: ",
        "lost.yml:2: endpoint_name: ",
        f"lost.yml:6: router.tls.ca_file: {tmp_path}/nowhere.pem: cannot be read",
    }
    missing = [one for one in expected if not any(line.startswith(f"{tmp_path}/{one}") for line in told)]
    assert missing == [], told
    assert len(told) == len(expected), told


def test_a_missing_environment_variable_is_a_mistake_and_a_set_one_is_read(tmp_path):
    text = "listeners:\n  - port: ${ROUTER_TEST_PORT}\nendpoints: ['*.yml']\n"
    done = check(tmp_path, router=text)
    assert done.returncode == 1 and "ROUTER_TEST_PORT" in done.stdout + done.stderr
    done = run("--config", str(tmp_path / "router.yaml"), "--check", env={"ROUTER_TEST_PORT": "8080"})
    assert (done.returncode, done.stdout) == (0, "ok\n")


def test_a_port_in_use_is_told_and_the_process_ends(pod, start):
    router = start(endpoint(deployment([pod()])))
    done = run("--config", str(router.config_file))
    assert done.returncode == 1
    assert str(router.observe_port) in done.stderr or str(router.port) in done.stderr or "in use" in done.stderr
    assert is_listening(router.port)
    assert router.score(b"x").status == 200


def test_a_bad_configuration_at_the_start_ends_the_process(tmp_path):
    (tmp_path / "router.yaml").write_text("listeners: 5\n")
    done = run("--config", str(tmp_path / "router.yaml"))
    assert done.returncode == 1 and "router.yaml:1" in done.stderr


def test_an_admin_listener_on_a_public_address_needs_an_explicit_word(tmp_path):
    text = "listeners:\n  - port: 8080\nendpoints: ['*.yml']\nadmin:\n  address: 0.0.0.0:9902\n"
    done = check(tmp_path, router=text)
    assert done.returncode == 1 and "admin" in done.stdout + done.stderr
    assert check(tmp_path, router=text + "  unsafe: true\n").returncode == 0


def test_the_binary_is_where_the_build_puts_it():
    assert BINARY.exists() and ROOT.exists()


@pytest.mark.parametrize("arguments", [["--config={}", "--check"], ["--check", "--config={}"]])
def test_an_option_takes_its_value_after_an_equals_sign(tmp_path, arguments):
    (tmp_path / "a=b").mkdir()
    assert check(tmp_path / "a=b").returncode == 0
    file = str(tmp_path / "a=b" / "router.yaml")
    done = run(*(argument.format(file) for argument in arguments))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    assert run("--config=", "--check").returncode == 2
    assert "unknown argument `yes`" in run(f"--config={file}", "--check=yes").stderr


@pytest.mark.parametrize("kind", ["word", "equals"])
def test_convert_takes_its_namespace_after_an_equals_sign_too(tmp_path, kind):
    (tmp_path / "endpoint.yml").write_text("name: iris\nrouter: {}\n")
    namespace = ["--namespace", "team-a"] if kind == "word" else ["--namespace=team-a"]
    done = run("convert", str(tmp_path / "endpoint.yml"), *namespace)
    assert done.returncode == 0 and "namespace: team-a" in done.stdout, done.stderr
