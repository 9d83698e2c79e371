"""Azure ML's inference server from PyPI, in a virtual environment of its own, with a small real model."""

import fcntl
import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from support.ports import ReservedPort
from support.router import ROOT
from support.wait import eventually

HERE = Path(__file__).parent
ENVIRONMENT = ROOT / "build" / "venv"


def _run(*arguments):
    done = subprocess.run([str(one) for one in arguments], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"


def prepare():
    """Makes the environment and the trained model once, and again if their sources change. Returns the environment's `bin`."""
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    wanted = (HERE / "requirements.txt").read_text() + (HERE / "model" / "train.py").read_text()
    stamp, binaries = ENVIRONMENT / "made-of", ENVIRONMENT / "bin"
    with open(ENVIRONMENT.parent / "venv.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs of the tests may do this at the same time
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(sys.executable, "-m", "venv", ENVIRONMENT)
            _run(binaries / "pip", "install", "-q", "--disable-pip-version-check", "-r", HERE / "requirements.txt")
            (ENVIRONMENT / "model").mkdir(exist_ok=True)
            _run(binaries / "python", HERE / "model" / "train.py", ENVIRONMENT / "model" / "ridge.joblib")
            stamp.write_text(wanted)
    return binaries


class ModelServer:
    """One server with one worker, on a port of its own."""

    def __init__(self, binaries, folder):
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        self.address = f"127.0.0.1:{self.port}"
        self._log = open(folder / f"model-server-{self.port}.log", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [binaries / "azmlinfsrv", "--entry_script", HERE / "model" / "score.py", "--model_dir", ENVIRONMENT / "model",
             "--port", str(self.port), "--worker_count", "1"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"})

    def is_healthy(self):
        assert self._process.poll() is None, Path(self._log.name).read_text()[-4000:]
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def wait_healthy(self):
        eventually(self.is_healthy, "the model server to be healthy", patience=90, pause=0.1)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._reserved.close()
