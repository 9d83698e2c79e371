"""What an operator does with the package, in a clean Debian 12 and 13 under systemd: docs/install.md. Each test of a release continues from
the state that the previous one left."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from machine import ROOT, Machine, RELEASES, fetch_dependencies, make_root, package_for

sys.path.append(str(ROOT / "tests" / "integration"))
from support.readme import blocks, written_files  # noqa: E402

ENDPOINT = "name: iris\nauth_mode: key\ntraffic: {blue: 100}\nrouter:\n  keys: {primary_file: ../keys/iris}\n"
DEPLOYMENT = ("name: blue\nendpoint_name: iris\nrequest_settings: {max_concurrent_requests_per_instance: 50}\n"
              "router:\n  replicas: [127.0.0.1:5001]\n")


@pytest.fixture(scope="module", params=sorted(RELEASES), ids=lambda release: f"debian-{release}")
def machine(request, tmp_path_factory):
    release = request.param
    package = package_for(release)
    root = make_root(release)
    fetch_dependencies(root, package)
    shared = tmp_path_factory.mktemp(f"debian-{release}")
    shutil.copy(package, shared / "inference-router.deb")
    machine = Machine(root, shared)
    pod = machine.in_network("pod.py")
    yield machine
    pod.kill()
    machine.end()


def newer(machine):
    """Makes the same package with a higher version."""
    tree = machine.shared / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", machine.shared / "inference-router.deb", tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: ", "Version: 9."))
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, machine.shared / "newer.deb"], check=True, capture_output=True)


def install(machine, file):
    machine.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", f"/shared/{file}", timeout=300)


def test_it_is_installed_and_runs(machine):
    install(machine, "inference-router.deb")
    assert machine.show("ActiveState") == "active" and machine.show("Type") == "notify"
    assert machine.show("UnitFileState") == "enabled"
    assert machine.show("UnitFileState", "inference-router.socket") == "disabled"
    assert machine.ask("once")[0] == 404  # no endpoint is served yet
    assert machine.shell(f"stat -c %U /proc/{machine.main_pid()}").strip() == "inference-router"
    assert "CapEff:\t0000000000000400" in machine.shell(f"cat /proc/{machine.main_pid()}/status")


def test_the_files_of_the_package_are_as_debian_expects(machine):
    files = machine.shell("dpkg -L inference-router").split()
    for each in ("/usr/bin/inference-router", "/etc/inference-router/router.yaml", "/usr/share/man/man1/inference-router.1.gz",
                 "/usr/share/doc/inference-router/copyright", "/usr/share/doc/inference-router/changelog.Debian.gz"):
        assert each in files
    conffiles = machine.run("dpkg-query", "-W", "-f", "${Conffiles}", "inference-router").stdout
    assert "/etc/inference-router/router.yaml" in conffiles and "/etc/inference-router/endpoints/README" in conffiles
    assert machine.shell("inference-router --config /etc/inference-router/router.yaml --check").strip() == "ok"
    done = machine.run("systemd-analyze", "verify", "--man=no", "inference-router.service", "inference-router.socket", check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "inference-router" in line]) == (0, [])


def test_the_files_of_the_five_minutes_move_to_the_service(machine):
    for name, text in written_files("Five minutes").items():
        if name.startswith("endpoints/"):
            machine.write(f"/root/iris/{name}", text)
    for name in ("primary.key", "cert.pem", "key.pem"):
        machine.write(f"/root/iris/{name}", "secret-key\n")
    [move] = blocks("From the five minutes to the service", (ROOT / "docs" / "install.md").read_text())
    assert machine.shell(f"set -e; export HOME=/root; {move}").strip() == "ok"
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "the first answer")
    machine.shell("rm -r /etc/inference-router/keys /etc/inference-router/tls /etc/inference-router/endpoints/*.yml /root/iris")
    machine.wait(lambda: machine.ask("once")[0] == 404, "it to be forgotten")


def test_an_endpoint_is_served_after_a_reload(machine):
    machine.write("/etc/inference-router/keys/iris", "secret-key\n")
    machine.shell("chgrp -R inference-router /etc/inference-router/keys; chmod 750 /etc/inference-router/keys; chmod 640 /etc/inference-router/keys/iris")
    machine.write("/etc/inference-router/endpoints/iris.yml", ENDPOINT)
    machine.write("/etc/inference-router/endpoints/iris-blue.yml", DEPLOYMENT)
    machine.run("systemctl", "reload", "inference-router")
    assert machine.show("ActiveState") == "active"
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "the first answer")


def test_a_reload_with_a_mistake_fails_and_the_journal_has_its_place(machine):
    before = machine.main_pid()
    machine.write("/etc/inference-router/endpoints/wrong.yml", "name: wrong\nauth_mode: nonsense\n")
    assert machine.run("systemctl", "reload", "inference-router", check=False).returncode != 0
    machine.run("journalctl", "--sync")
    assert "wrong.yml:2: auth_mode" in machine.shell("journalctl -u inference-router --no-pager")
    assert machine.ask("once") == [200, "scored"] and machine.main_pid() == before
    machine.shell("rm /etc/inference-router/endpoints/wrong.yml")
    machine.run("systemctl", "reload", "inference-router")


def test_a_change_of_the_operators_own_survives_an_upgrade_that_restarts(machine):
    machine.shell("sed -i 's/^#drain_delay_ms: 5000/drain_delay_ms: 500/' /etc/inference-router/router.yaml")
    machine.run("systemctl", "reload", "inference-router")
    before = machine.main_pid()
    newer(machine)
    install(machine, "newer.deb")
    assert machine.show("ActiveState") == "active" and machine.main_pid() != before
    assert "drain_delay_ms: 500" in machine.shell("cat /etc/inference-router/router.yaml")
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "an answer after the upgrade")


def under_load(machine, seconds, action):
    process = machine.in_network("client.py", "load", str(seconds))
    action()
    text, _ = process.communicate(timeout=120)
    return json.loads(text)


def test_with_the_socket_unit_a_restart_under_load_refuses_no_connection(machine):
    before = under_load(machine, 6, lambda: machine.run("systemctl", "restart", "inference-router"))
    machine.run("systemctl", "stop", "inference-router")
    machine.run("systemctl", "enable", "--now", "inference-router.socket")
    machine.run("systemctl", "start", "inference-router")
    assert "by a socket that was passed" in machine.shell("journalctl --sync; journalctl -u inference-router --no-pager")
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "an answer through the socket")

    def restart_twice():
        for _ in range(2):
            machine.run("systemctl", "restart", "inference-router")

    after = under_load(machine, 8, restart_twice)
    print(f"\nrestart under load: without the socket unit {len(before['mistakes'])} connections refused, {before['statuses']} answers; "
          f"with it, two restarts, {len(after['mistakes'])} and {after['statuses']}, the longest wait {after['longest']:.2f} s")
    assert any("refused" in each for each in before["mistakes"]), before
    assert after["mistakes"] == []
    assert after["statuses"].keys() == {"200"} and after["statuses"]["200"] > 100


def test_a_stream_that_runs_holds_a_restart_up_and_is_not_cut(machine):
    """The router extends systemd's time limit, which would otherwise kill it here."""
    machine.write("/etc/systemd/system/inference-router.service.d/stop.conf", "[Service]\nTimeoutStopSec=2\n")
    machine.run("systemctl", "daemon-reload")
    stream = machine.in_network("client.py", "stream")
    time.sleep(1)  # the pod takes six seconds
    begun = time.monotonic()
    machine.run("systemctl", "restart", "inference-router")
    spent = time.monotonic() - begun
    text, _ = stream.communicate(timeout=60)
    assert text.strip() == '[200, "' + "." * 30 + '"]'
    assert spent > 3, "the restart should wait"
    assert machine.show("Result") == "success"
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "an answer after the restart")


def test_a_credential_is_a_key_that_only_root_may_read(machine):
    machine.write("/root/iris-key", "other-key\n")
    machine.shell("chmod 600 /root/iris-key")
    machine.write("/etc/systemd/system/inference-router.service.d/keys.conf", "[Service]\nLoadCredential=iris:/root/iris-key\n"
                  "ExecReload=\nExecReload=/bin/sh -c \"kill -HUP $MAINPID\"\n")
    machine.write("/etc/inference-router/endpoints/iris.yml",
                  ENDPOINT.replace("{primary_file: ../keys/iris}", "\n    primary_file: ${CREDENTIALS_DIRECTORY}/iris"))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "inference-router")
    machine.wait(lambda: machine.ask("once")[0] == 401, "the key of the file to be refused")
    machine.run("systemctl", "reload", "inference-router")
    machine.write("/root/iris-key", "secret-key\n")  # the service has a copy, until its next start
    machine.run("systemctl", "restart", "inference-router")
    machine.wait(lambda: machine.ask("once") == [200, "scored"], "an answer with the credential's key")


def test_removal_stops_it_and_keeps_the_configuration(machine):
    machine.run("apt-get", "remove", "-y", "-qq", "inference-router")
    assert machine.run("systemctl", "is-active", "inference-router.service", "inference-router.socket", check=False).stdout.split() == ["inactive"] * 2
    assert machine.shell("ls /etc/inference-router").split() == ["endpoints", "keys", "router.yaml"]
    assert machine.run("test", "-e", "/usr/bin/inference-router", check=False).returncode == 1


def test_purging_leaves_nothing_but_the_user(machine):
    machine.shell("rm -r /etc/systemd/system/inference-router.service.d")
    machine.run("apt-get", "purge", "-y", "-qq", "inference-router")
    left = machine.shell("find / -xdev -path /proc -prune -o -path /shared -prune -o -path /var/log/journal -prune -o -path /var/cache -prune "
                         "-o -path /run -prune -o -path /sys -prune -o -name '*inference-router*' -print")
    assert left == ""
    assert machine.run("dpkg-query", "-W", "inference-router", check=False).returncode != 0
    assert "inference-router" in machine.shell("getent passwd inference-router")
