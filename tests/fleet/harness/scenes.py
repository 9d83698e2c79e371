"""Endpoints as the tests of fleets need them, and requests that are begun now and answered later."""

import socket
import threading
import uuid

from support.client import request
from support.settings import SELDOM, deployment, endpoint

PATIENT = {"max_queue_wait_ms": 20000, "request_timeout_ms": 20000}  # nobody gives up while a test does something to a router


def patient(pods, name="blue", slots=1, router=(), **settings):
    """A deployment whose requests wait as long as a test lasts."""
    return deployment(list(pods), name=name, slots=slots, probe=SELDOM, router={"max_queue_length": 5000, **dict(router)},
                      **{**PATIENT, **settings})


def scored_by(pods, slots=1, **settings):
    """An endpoint with one such deployment."""
    return endpoint(patient(pods, slots=slots, **settings))


class Asked:
    """A request that a thread sends to a router. `answer()` waits for its response."""

    def __init__(self, router, body=b"x", id=None, timeout=40, **options):
        self.id = id or str(uuid.uuid4())
        headers = {"x-request-id": self.id, **options.pop("headers", {})}
        self.client = router.connect(timeout=timeout)
        self.client.send(request(body, headers=headers, **options))
        self._method = options.get("method", "POST")
        self._answer, self._error = None, None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            self._answer = self.client.response(self._method)
        except Exception as error:  # noqa: BLE001: told to whoever asks for the answer
            self._error = error

    def is_answered(self):
        return not self._thread.is_alive()

    def answer(self, patience=40):
        self._thread.join(patience)
        assert not self._thread.is_alive(), "no answer"
        if self._error:
            raise self._error
        self.client.close()
        return self._answer

    def leave(self):
        """The client resets its connection. The thread that reads ends first: the kernel keeps a socket open while a call waits on it."""
        self.client.socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self.client.reset()
