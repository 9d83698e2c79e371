"""The API server's REST interface, as plain JSON."""

import json
import threading

import requests

MERGE = "application/merge-patch+json"


class ApiError(Exception):
    """The API server's refusal."""

    def __init__(self, status, text):
        try:
            described = json.loads(text)
        except ValueError:
            described = {"message": text}
        self.status, self.reason, self.message = status, described.get("reason", ""), described.get("message", "")
        super().__init__(f"{status} {self.reason}: {self.message}")


class Api:
    """The API server as one user sees it, usable from any thread. A refusal raises ApiError; without a server it raises
    requests.RequestException."""

    def __init__(self, url, ca_file, token):
        self.url, self._ca_file, self._token = url, str(ca_file), token
        self._sessions = threading.local()

    def _session(self):
        if not hasattr(self._sessions, "one"):
            session = requests.Session()
            session.trust_env = False  # no proxy, no other authorities
            session.verify = self._ca_file
            session.headers["Authorization"] = f"Bearer {self._token}"
            self._sessions.one = session
        return self._sessions.one

    def send(self, method, path, body=None, content_type="application/json", stream=False, timeout=30, **parameters):
        data = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": content_type}
        answer = self._session().request(method, self.url + path, data=data, headers=headers, params=parameters, stream=stream,
                                         timeout=timeout)
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, answer.text)
        return answer

    def get(self, path, **parameters):
        return self.send("GET", path, **parameters).json()

    def items(self, path, **parameters):
        return self.get(path, **parameters)["items"]

    def post(self, path, body):
        return self.send("POST", path, body).json()

    def patch(self, path, body):
        """A merge patch: it replaces the given keys; null removes a key."""
        return self.send("PATCH", path, body, content_type=MERGE).json()

    def delete(self, path, body=None):
        return self.send("DELETE", path, body).json()

    def watch(self, path, resource_version, **parameters):
        """Yields (type, object) of each event until the server ends the watch. An ERROR event, such as 410 Gone, raises ApiError."""
        with self.send("GET", path, watch="true", resourceVersion=resource_version, stream=True, timeout=None,
                       **parameters) as answer:
            for line in answer.iter_lines(chunk_size=None):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise ApiError(event["object"].get("code", 500), json.dumps(event["object"]))
                yield event["type"], event["object"]
