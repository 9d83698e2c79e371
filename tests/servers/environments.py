"""Virtual environments with pinned, hashed packages from PyPI, in build/servers. Each is made once, and again if its pins change."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from support.router import ROOT

HERE = Path(__file__).parent
FOLDER = ROOT / "build" / "servers"


def _python():
    """The hashes are those of CPython 3.11's wheels for x86-64. Debian's Python is preferred, since Triton's own Python does not work with
    each other one."""
    for candidate in ("/usr/bin/python3.11", shutil.which("python3.11"), sys.executable):
        if candidate and Path(candidate).exists():
            return candidate
    raise AssertionError("no Python")


def prepare(name):
    """Returns the environment's `bin`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    pins, folder = HERE / "environments" / f"{name}.txt", FOLDER / name
    stamp = folder / "made-of"
    with open(FOLDER / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != pins.read_text():
            shutil.rmtree(folder, ignore_errors=True)
            for command in ([_python(), "-m", "venv", folder],
                            [folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile",
                             "--require-hashes", "--only-binary=:all:", "-r", pins]):
                done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=1200)
                assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
            stamp.write_text(pins.read_text())
    return folder / "bin"


def version(environment, package):
    for line in (HERE / "environments" / f"{environment}.txt").read_text().splitlines():
        name, _, rest = line.partition("==")
        if name.lower() == package.lower():
            return rest.split()[0]
    raise AssertionError(f"{package} is not in {environment}.txt")
