"""FastAPI under uvicorn, which closes its connection directly after the 500 of an unhandled exception, without notice."""

import os
import subprocess
import threading
from collections import Counter
from http.client import HTTPConnection

import pytest
from model_servers import HERE, prepare
from support.ports import ReservedPort
from support.settings import deployment, endpoint
from support.wait import eventually

pytestmark = pytest.mark.long

REQUESTS = int(os.environ.get("CLOSING_REQUESTS", "2000"))


class Uvicorn:
    """One worker, on a port of its own."""

    def __init__(self, binaries, folder):
        self._reserved = ReservedPort()
        self.port = self._reserved.port
        self._log = open(folder / f"uvicorn-{self.port}.log", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(
            [binaries / "python", "-m", "uvicorn", "app:app", "--port", str(self.port), "--log-level", "critical"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=HERE / "fastapi_model",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})

    def is_ready(self):
        assert self._process.poll() is None, "uvicorn has ended"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self):
        self._process.kill()
        self._process.wait(10)
        self._log.close()
        self._reserved.close()


@pytest.fixture
def server(tmp_path):
    server = Uvicorn(prepare(), tmp_path)
    try:
        eventually(server.is_ready, "uvicorn to be ready", patience=60, pause=0.1)
        yield server
    finally:
        server.stop()


def test_an_exception_of_the_model_takes_no_other_request_with_it(server, start):
    """One slot, four clients; every fifth request raises."""
    router = start(endpoint(deployment([f"127.0.0.1:{server.port}"], probe={"period": 1000, "failure_threshold": 1000},
                                       max_queue_wait_ms=20000, request_timeout_ms=20000)))
    outcomes, lock = Counter(), threading.Lock()

    def ask(client_number):
        with router.connect() as client:
            for number in range(REQUESTS // 4):
                raises = (number + client_number) % 5 == 0
                answer = client.exchange(b"raise" if raises else b"score")
                with lock:
                    outcomes[raises, answer.status, answer.why] += 1

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    assert set(outcomes) == {(True, 500, None), (False, 200, None)}, outcomes
    assert outcomes.total() == REQUESTS // 4 * 4
