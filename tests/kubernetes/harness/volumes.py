"""A Pod's volumes as files, as a kubelet writes them: each volume is a folder in which `..data` links to the newest version, so that all of
its files change in one step. Volumes may be configMap, secret, emptyDir and projected (of serviceAccountToken, configMap, secret and
downwardAPI's metadata)."""

import base64
import os
from pathlib import Path


class Missing(Exception):
    """An object that a volume names does not exist (yet)."""


class Volumes:
    """The volumes of one Pod. `write` writes what has changed since the last call. It may be called repeatedly, from one thread at a
    time."""

    def __init__(self, api, described, folder):
        self._api, self._folder = api, Path(folder)
        self._pod, self._spec = described["metadata"], described["spec"]
        self._group = self._spec.get("securityContext", {}).get("fsGroup")
        self._written, self._tokens = {}, {}

    def path(self, name):
        return self._folder / name

    def write(self):
        """Raises Missing, and ApiError if the API server refuses."""
        for volume in self._spec.get("volumes", []):
            files = self._files_of_volume(volume)
            if self._written.get(volume["name"]) != files:
                self._replace(self.path(volume["name"]), files)
                self._written[volume["name"]] = files

    def _files_of_volume(self, volume):
        if "emptyDir" in volume:
            return {}
        for kind in ("configMap", "secret", "projected"):
            if kind in volume:
                mode = volume[kind].get("defaultMode", 0o644)
                sources = volume[kind]["sources"] if kind == "projected" else [{kind: volume[kind]}]
                return {path: (content, mode) for one in sources for path, content in self._files_of_source(one).items()}
        raise AssertionError(f"the tests do not support volumes of this kind: {volume}")

    def _files_of_source(self, source):
        [(kind, what)] = source.items()
        if kind == "serviceAccountToken":
            return {what["path"]: self._token(what)}
        if kind == "downwardAPI":
            fields = {"metadata.namespace": self._pod["namespace"], "metadata.name": self._pod["name"]}
            return {one["path"]: fields[one["fieldRef"]["fieldPath"]].encode() for one in what["items"]}
        return self._files_of_object(kind, what)

    def _files_of_object(self, kind, what):
        name = what.get("secretName") or what["name"]
        path = f"/api/v1/namespaces/{self._pod['namespace']}/{kind.lower()}s"
        found = self._api.items(path, fieldSelector=f"metadata.name={name}")
        if not found:
            raise Missing(f"{kind} {name}")
        data = {key: base64.b64decode(text) if kind == "secret" else text.encode() for key, text in found[0].get("data", {}).items()}
        if "items" not in what:
            return data
        absent = [one["key"] for one in what["items"] if one["key"] not in data]
        if absent:
            raise Missing(f"{', '.join(absent)} in {kind} {name}")
        return {one["path"]: data[one["key"]] for one in what["items"]}

    def _token(self, what):
        """Returns one token for the Pod's life: it is valid for longer than any test."""
        if what["path"] not in self._tokens:
            account = self._spec.get("serviceAccountName", "default")
            path = f"/api/v1/namespaces/{self._pod['namespace']}/serviceaccounts/{account}/token"
            bound = {"apiVersion": "v1", "kind": "Pod", "name": self._pod["name"], "uid": self._pod["uid"]}
            answer = self._api.post(path, {"spec": {"expirationSeconds": what.get("expirationSeconds", 3600), "boundObjectRef": bound}})
            self._tokens[what["path"]] = answer["status"]["token"].encode()
        return self._tokens[what["path"]]

    def _replace(self, folder, files):
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"..version-{sum(1 for _ in folder.glob('..version-*'))}"
        fresh.mkdir()
        for path, (content, mode) in files.items():
            (fresh / path).write_bytes(content)
            if self._group is not None:  # the group that owns a volume's files
                os.chown(fresh / path, 0, self._group)
                mode |= 0o040
            (fresh / path).chmod(mode)
            if not (folder / path).is_symlink():
                (folder / path).symlink_to(f"..data/{path}")
        link = folder / "..data.new"
        link.symlink_to(fresh.name)
        link.replace(folder / "..data")
