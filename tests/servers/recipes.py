"""The servers of docs/servers.md: one folder each, and how each encodes a request of tests/servers/work.py."""

import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from environments import HERE, prepare, version
from support.ports import ReservedPort
from support.router import Router
from support.wait import eventually


def _plain(asked):
    return asked


def _tensor(asked):
    return {"inputs": [{"name": "request", "shape": [1], "datatype": "BYTES", "data": [json.dumps(asked)]}]}


def _argument(asked):
    return {"request": asked}


def _chat(asked):
    return {"model": "adder", "stream": bool(asked.get("stream")), "messages": [{"role": "user", "content": json.dumps(asked)}]}


@dataclass(frozen=True)
class Recipe:
    folder: str
    title: str
    packages: tuple  # packages whose versions are in the table
    environment: str = "python"
    body: object = _plain
    stream_path: str = ""  # below the scoring URI; with `host`, a path of the host
    streams: bool = True
    by_host: bool = False  # paths of its own, selected by the endpoint's host name
    fails_while_ending: bool = False  # answers 500 to requests that arrive after SIGTERM

    @property
    def name(self):
        return self.folder.replace("_", "-")

    @property
    def versions(self):
        return ", ".join(f"{one} {version(self.environment, one)}" for one in self.packages)

    def setting(self, key):
        """Returns a value of its deployment file or overlay, which are simple enough for a text search."""
        text = (HERE / self.folder / "deployment.yml").read_text() + (HERE / self.folder / f"{self.name}.overlay.yml").read_text()
        return re.search(key + r": *([^,}\n]+)", text)[1].strip()

    @property
    def slots(self):
        return int(self.setting("max_concurrent_requests_per_instance"))

    @property
    def drains(self):
        return self.setting("drain_on_abort") == "true"

    def route(self, kind):
        return self.setting(kind + r"_route: *\{port: 5001, path")

    def encode(self, **asked):
        return json.dumps(self.body({"data": [1, 2, 3], **asked})).encode()


RECIPES = (
    Recipe("azureml", "Azure ML's inference server", ("azureml-inference-server-http", "gunicorn")),
    Recipe("fastapi", "FastAPI under uvicorn", ("fastapi", "uvicorn")),
    Recipe("flask_sync", "Flask under gunicorn, sync", ("flask", "gunicorn")),
    Recipe("flask_gthread", "Flask under gunicorn, gthread", ("flask", "gunicorn")),
    Recipe("mlserver", "MLServer", ("mlserver",), environment="mlserver", body=_tensor, streams=False, fails_while_ending=True),
    Recipe("bentoml", "BentoML", ("bentoml",), body=_argument, stream_path="/stream", by_host=True),
    Recipe("litserve", "LitServe", ("litserve",), streams=False),
    Recipe("openai", "LitServe, OpenAI-shaped", ("litserve",), body=_chat, by_host=True, stream_path="/v1/chat/completions"),
    Recipe("triton", "Triton by PyTriton", ("nvidia-pytriton",), environment="triton", body=_tensor, streams=False),
)


class Server:
    """The recipe's server, started by its `start` in a copy of the folder, on ports of its own."""

    def __init__(self, recipe, folder):
        self.recipe = recipe
        self.binaries = prepare(recipe.environment)
        self.folder = folder / "server"
        shutil.copytree(HERE / recipe.folder, self.folder)
        self.notes_file = folder / "notes"
        self._reserved = [ReservedPort() for _ in range(3)]
        self.port = self._reserved[0].port
        self._log = open(folder / "server.log", "wb")  # noqa: SIM115
        self.start()

    def start(self):
        ports = dict(zip(("PORT", "SECOND_PORT", "THIRD_PORT"), (str(one.port) for one in self._reserved)))
        self._process = subprocess.Popen(
            ["sh", "./start"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=self.folder, start_new_session=True,
            env={**os.environ, **ports, "PATH": f"{self.binaries}:{os.environ['PATH']}", "PYTHONPATH": str(HERE), "NOTES": str(self.notes_file),
                 "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(self.folder), "OMP_NUM_THREADS": "1"})

    def ask(self, method, path, body=None, timeout=15):
        """Sends a request directly to the server, on a connection of its own; returns (status, body)."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def is_ready(self):
        assert self._process.poll() is None, Path(self._log.name).read_text(errors="replace")[-4000:]
        try:
            return self.ask("GET", self.recipe.route("readiness"))[0] == 200
        except (OSError, HTTPException):
            return False

    def wait_ready(self):
        eventually(self.is_ready, self.recipe.title, patience=90, pause=0.1)

    def notes(self, id, what):
        """Returns the times at which the model recorded this event for the request with that id."""
        lines = self.notes_file.read_text().splitlines() if self.notes_file.exists() else []
        return [one["at"] for one in map(json.loads, lines) if one["id"] == id and one["what"] == what]

    def terminate(self):
        """Ends the server as Kubernetes and systemd do."""
        self._process.send_signal(signal.SIGTERM)

    def wait_ended(self):
        try:
            self._process.wait(40)
        finally:
            self.kill()

    def kill(self):
        """Kills the server with its workers, also those with a session of their own (BentoML's): each has the test's environment."""
        mine = f"NOTES={self.notes_file}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (process / "environ").read_bytes().split(b"\0"):
                    os.kill(int(process.name), signal.SIGKILL)
            except OSError:
                pass  # the process has ended meanwhile
        self._process.wait()

    def close(self):
        self.kill()
        self._log.close()
        for one in self._reserved:
            one.close()


def start_router(recipe, server, folder, change=lambda overlay: overlay, **settings):
    """Starts the router in front of the server, with Azure's files unchanged and the recipe's overlay."""
    endpoints = folder / "endpoints"
    (endpoints / "keys").mkdir(parents=True)
    (endpoints / "keys" / "my-endpoint").write_text("primary-key-of-the-tests-0001\n")
    shutil.copy(HERE / "endpoint.yml", endpoints)
    shutil.copy(HERE / recipe.folder / "deployment.yml", endpoints / f"{recipe.name}.yml")
    overlay = endpoints / f"{recipe.name}.overlay.yml"
    overlay.write_text(change((HERE / recipe.folder / overlay.name).read_text()))
    return Router(folder, environment={"PORT": str(server.port)}, **settings)
