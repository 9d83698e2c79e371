"""Identities at the API server: service accounts with their rights, and the files from which a program reads them."""

import base64
from pathlib import Path

from support import yaml

from .api import Api

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def write_kubeconfig(path, cluster, token, namespace="default", token_file=None):
    """Writes all into one file, as kubectl does; with `token_file`, it writes the names of files."""
    path = Path(path)
    authority = base64.b64encode(cluster.ca_file.read_bytes()).decode()
    trust = {"certificate-authority": str(cluster.ca_file)} if token_file else {"certificate-authority-data": authority}
    user = {"tokenFile": str(token_file)} if token_file else {"token": token}
    path.write_text(yaml.dump({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        "clusters": [{"name": "test", "cluster": {"server": cluster.url, **trust}}],
        "users": [{"name": "test", "user": user}],
    }))
    path.chmod(0o600)
    return path


class ServiceAccount:
    """Made by Cluster.service_account. `token` is its token from the API server; `api` is the API server with the rights of this
    account."""

    def __init__(self, cluster, namespace, name, rules, cluster_rules):
        self._cluster, self.namespace, self.name = cluster, namespace, name
        self.user = f"system:serviceaccount:{namespace}:{name}"
        self._path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        cluster.api.post(self._path, {"metadata": {"name": name}})
        if rules:
            self._may(f"{RBAC}/namespaces/{namespace}", "Role", name, rules)
        if cluster_rules:
            self._may(RBAC, "ClusterRole", f"{namespace}-{name}", cluster_rules)
        self.token = self.new_token()
        self.api = Api(cluster.url, cluster.ca_file, self.token)

    def _may(self, path, kind, name, rules):
        api = self._cluster.api
        api.post(f"{path}/{kind.lower()}s", {"metadata": {"name": name}, "rules": rules})
        api.post(f"{path}/{kind.lower()}bindings", {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}],
        })

    def allow(self, namespace, rules):
        """Gives it rights in another namespace."""
        self._may(f"{RBAC}/namespaces/{namespace}", "Role", self.name, rules)

    def new_token(self, seconds=3600):
        """The API server issues no token for less than 600 s."""
        answer = self._cluster.api.post(f"{self._path}/{self.name}/token", {"spec": {"expirationSeconds": seconds}})
        return answer["status"]["token"]

    def delete(self):
        """Deletes the account. Its tokens become invalid after the 10 s for which the API server caches them."""
        self._cluster.api.delete(f"{self._path}/{self.name}")

    def write_directory(self, path):
        """Writes the files of /var/run/secrets/kubernetes.io/serviceaccount in a Pod. Written again, the token is replaced in one step."""
        path = Path(path)
        path.mkdir(parents=True, exist_ok=True)
        for name, text in (("token", self.token), ("namespace", self.namespace), ("ca.crt", self._cluster.ca_file.read_text())):
            fresh = path / f".{name}.new"
            fresh.write_text(text)
            fresh.replace(path / name)
        return path

    def write_kubeconfig(self, path, token_file=None):
        return write_kubeconfig(path, self._cluster, self.token, self.namespace, token_file)

    @property
    def environment(self):
        """The variables with the API server's address in a Pod."""
        return {"KUBERNETES_SERVICE_HOST": self._cluster.host, "KUBERNETES_SERVICE_PORT": str(self._cluster.port)}
