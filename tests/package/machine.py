"""A clean Debian under systemd, in namespaces of its own (boot.sh), and the commands that run in it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "package-test"
RELEASES = {"12": "bookworm", "13": "trixie"}
# Packages that a bootable Debian has in addition to the base system.
INCLUDED = "systemd,systemd-sysv,ca-certificates"


def this_release():
    lines = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return lines.get("VERSION_ID", '"13"').strip('"')


def package_for(release):
    """Returns the package that `./dev package` has built there: tests/support/other_debian.sh has a build folder of its own."""
    folder = ROOT / "build" / ("package" if (release == "12") == (this_release() == "12") else "other-debian/build/package")
    found = sorted(folder.glob("inference-router_*.deb"))
    assert len(found) == 1, f"{folder} has {len(found)} packages: ./dev package-test"
    return found[0]


def make_root(release):
    """Makes the root with debootstrap, once, with the libraries that the package depends on: a test machine has no network."""
    name = RELEASES[release]
    root = BUILD / name
    if root.exists():
        return root
    BUILD.mkdir(parents=True, exist_ok=True)
    fresh = BUILD / f"{name}.new"
    subprocess.run(["rm", "-rf", fresh], check=True)
    with open(BUILD / f"{name}.log", "w") as log:
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={INCLUDED}", name, fresh,
                        os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")], check=True, stdout=log, stderr=log)
    fresh.rename(root)
    return root


def fetch_dependencies(root, package):
    """Downloads the package's dependencies into the root's cache, from which the machine installs them."""
    depends = subprocess.run(["dpkg-deb", "--field", package, "Depends"], check=True, capture_output=True, text=True).stdout
    names = [each.split("(")[0].split("|")[0].strip() for each in depends.split(",")]
    missing = [each for each in names if not list((root / "var/lib/dpkg/info").glob(f"{each}.list"))
               and not list((root / "var/lib/dpkg/info").glob(f"{each}:*.list"))]
    for file in ("/etc/resolv.conf", "/etc/hosts"):
        if os.path.exists(file):
            subprocess.run(["cp", file, str(root) + file], check=True)
    if missing:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        for command in (["apt-get", "update", "-qq"],
                        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "--download-only", *missing]):
            subprocess.run(["chroot", root, *command], check=True, env=env, capture_output=True)


class Machine:
    def __init__(self, root, shared):
        self.shared = Path(shared)
        self.log = open(self.shared / "boot.log", "w+")
        self.process = subprocess.Popen([HERE / "boot.sh", root, self.shared], stdout=self.log, stderr=self.log)
        self.pid = self._first_process()
        self.wait(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"), "the boot", 90)
        subprocess.run(["nsenter", "-t", str(self.pid), "-n", "ip", "link", "set", "lo", "up"], check=True)

    def _first_process(self):
        """Returns the process id of systemd, after unshare has forked and boot.sh has executed it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert self.process.poll() is None, self.told()
            pids = children.read_text().split()
            if pids and Path(f"/proc/{pids[0]}/comm").read_text().strip() == "systemd":
                return int(pids[0])
            time.sleep(0.1)
        raise AssertionError(f"systemd does not start: {self.told()}")

    def told(self):
        return (self.shared / "boot.log").read_text()

    def run(self, *command, check=True, timeout=120):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd", *command],
                              capture_output=True, text=True, check=False, timeout=timeout, env=env)
        assert not check or done.returncode == 0, (
            f"{command}: {done.returncode}\n{done.stdout}{done.stderr}" + (self.journal() if command[0] != "journalctl" else ""))
        return done

    def shell(self, code, **options):
        return self.run("sh", "-c", code, **options).stdout

    def journal(self):
        return self.run("journalctl", "--no-pager", "-u", "inference-router.service", "-u", "inference-router.socket", "-n", "30", check=False).stdout

    def write(self, path, text):
        self.run("sh", "-c", f"mkdir -p $(dirname {path}); cat >{path} <<'END'\n{text}END\n")

    def main_pid(self):
        return int(self.show("MainPID"))

    def show(self, what, unit="inference-router.service"):
        return self.run("systemctl", "show", "--value", "-p", what, unit).stdout.strip()

    def in_network(self, script, *arguments, **options):
        """Runs a Python program of this machine in the network of the other one."""
        return subprocess.Popen(["nsenter", "-t", str(self.pid), "-n", sys.executable, HERE / script, *arguments], text=True,
                                stdout=subprocess.PIPE, **options)

    def ask(self, *arguments):
        process = self.in_network("client.py", *map(str, arguments))
        text, _ = process.communicate(timeout=120)
        assert process.returncode == 0, text
        return json.loads(text)

    @staticmethod
    def wait(condition, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.2)
        raise AssertionError(f"waited {seconds} s for {what}")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
