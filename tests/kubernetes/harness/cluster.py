"""A real Kubernetes API server with its etcd and the controllers that the tests need, as child processes. kubelet.py runs the Pods.

There is no scheduler (kubelet.py assigns every Pod to its node), no kube-proxy (clients connect to Pod addresses) and no node-lifecycle
controller (no Pod is evicted). All processes listen on the loopback interface, keep their data in the given folder, and end with the
tests."""

import json
import secrets
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import requests

from support.certificates import Authority
from support.ports import ReservedPort
from support.wait import eventually

from . import router_pod
from .api import Api, ApiError
from .identity import ServiceAccount, write_kubeconfig
from .kubelet import Kubelet
from .network import Network

HERE = Path(__file__).resolve().parents[1]
CONTROLLERS = [
    "deployment-controller", "replicaset-controller", "statefulset-controller", "endpointslice-controller",
    "garbage-collector-controller", "namespace-controller", "serviceaccount-controller", "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller", "horizontal-pod-autoscaler-controller",
]
# One line for each list and watch of any user, and for each request of a service account.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "Metadata", "verbs": ["list", "watch"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}
SERVICE = "10.96.0.1"  # address of the API server for Pods, if there is a kube-proxy
PATIENCE = 60  # seconds for a program to start, on a machine with other load


def programs(part="cluster"):
    """Returns the folder with the programs that build.sh has built: `cluster`, or `helm`."""
    command = [HERE / "build.sh", "--folder", part]
    folder = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    assert folder.exists(), f"{folder} is missing: run tests/kubernetes/build.sh"
    return folder


class Program:
    """One of the programs. It can be started, killed, and started again with the same arguments and data. Its log file has its name."""

    def __init__(self, folder, binary, *arguments, **options):
        """`options` become --flags: an underscore becomes a hyphen, a list is joined by commas, True and False become words."""
        self.log_file = folder / f"{binary.name}.log"
        flags = []
        for name, value in options.items():
            text = ",".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)
            flags.append(f"--{name.replace('_', '-')}={text}")
        self._command = ["setpriv", "--pdeathsig", "KILL", str(binary), *arguments, *flags]
        self._process = None

    def runs(self):
        return self._process is not None and self._process.poll() is None

    def start(self):
        """Does nothing if the program runs."""
        if self.runs():
            return
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self):
        """Kills the program with SIGKILL and waits for its end."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number):
        self._process.send_signal(number)

    def assert_runs(self):
        code = self._process.poll()
        assert code is None, f"{self.log_file.stem} ended with {code}:\n{self.log_file.read_text()[-3000:]}"


class Cluster:
    """Use `running_cluster`, or the fixture `cluster`.

    api           the administrator's REST interface (api.py)
    kubectl       the command kubectl: `cluster.kubectl("get", "pods", "-n", namespace)`
    apply         kubectl apply of a file, a folder, YAML text or plain objects
    pods          the Pods' processes (kubelet.py)
    kubeconfig    the administrator's file
    url, ca_file, host, port: those of the API server
    started_in    seconds until it was ready
    """
    MORE_CONTROLLERS = ()  # in addition to CONTROLLERS

    def __init__(self, folder, network, watch_cache=True, etcd_compaction_interval="5m", event_ttl="10m", **api_server):
        """Further options are the API server's flags: `min_request_timeout=5`."""
        self.folder, self.network = Path(folder), network
        self._bin = programs()
        self._authority = Authority(self.folder / "certificates")
        self._ports = [ReservedPort() for _ in range(4)]
        self.port, self._etcd_port, etcd_peer_port, controllers_port = (one.port for one in self._ports)
        self.host, self.url, self.ca_file = network.api_host, f"https://{network.api_host}:{self.port}", self._authority.file
        token = secrets.token_hex(16)
        self.api = Api(self.url, self.ca_file, token)
        self.kubeconfig = write_kubeconfig(self.folder / "admin.kubeconfig", self, token)
        self._controllers_token = secrets.token_hex(16)
        self.audit_file = self.folder / "audit.log"
        self._etcd = self._make_etcd(etcd_peer_port)
        self._api_server = self._make_api_server(
            token, watch_cache=watch_cache, etcd_compaction_interval=etcd_compaction_interval, event_ttl=event_ttl, **api_server)
        self._controllers = self._make_controllers(controllers_port)
        self.pods = self._make_kubelet()

    def _make_kubelet(self):
        return Kubelet(self.api, self.network, self.folder, router_pod.maker(self.port))

    def _make_etcd(self, peer_port):
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{peer_port}"
        return Program(self.folder, self._bin / "etcd", data_dir=self.folder / "etcd", unsafe_no_fsync=True, log_level="warn",
                       listen_client_urls=client, advertise_client_urls=client, listen_peer_urls=peer,
                       initial_advertise_peer_urls=peer, initial_cluster=f"default={peer}")

    def _make_api_server(self, token, **options):
        self._tokens_key = self._authority.issue("service-accounts", kind="rsa").key
        server = self._authority.issue(self.host, self.network.host, SERVICE, "localhost", "kubernetes.default.svc")
        tokens, policy = self.folder / "tokens.csv", self.folder / "audit-policy.json"
        # The controllers have their usual user name, since a release's policy for EndpointSlices permits only this one.
        tokens.write_text(f"{token},admin,admin,system:masters\n"
                          f"{self._controllers_token},system:kube-controller-manager,controllers,system:masters\n")
        policy.write_text(json.dumps(AUDIT_POLICY))
        return Program(
            self.folder, self._bin / "kube-apiserver", etcd_servers=f"http://127.0.0.1:{self._etcd_port}",
            bind_address=self.host, secure_port=self.port, advertise_address=self.network.host,
            tls_cert_file=server.certificate, tls_private_key_file=server.key, client_ca_file=self.ca_file,
            token_auth_file=tokens, authorization_mode="RBAC", service_cluster_ip_range="10.96.0.0/16",
            service_account_issuer="https://kubernetes.default.svc", service_account_key_file=self._tokens_key,
            service_account_signing_key_file=self._tokens_key, audit_policy_file=policy, audit_log_path=self.audit_file,
            profiling=False, **options)

    def _make_controllers(self, port):
        kubeconfig = write_kubeconfig(self.folder / "controllers.kubeconfig", self, self._controllers_token)
        return Program(
            self.folder, self._bin / "kube-controller-manager", controllers=[*CONTROLLERS, *self.MORE_CONTROLLERS],
            kubeconfig=kubeconfig, bind_address="127.0.0.1", secure_port=port, cert_dir=self.folder / "controllers", leader_elect=False,
            service_account_private_key_file=self._tokens_key, root_ca_file=self.ca_file, kube_api_qps=500, kube_api_burst=1000,
            min_resync_period="10m", horizontal_pod_autoscaler_sync_period="1s", profiling=False)

    # start and end
    def start(self):
        begun = time.monotonic()
        self._etcd.start()
        self._api_server.start()
        self._wait_ready()
        self._controllers.start()
        if self.pods:
            self.pods.start()
        self._wait_for_service_account("default")  # the controllers work
        self.started_in = time.monotonic() - begun

    def stop(self):
        try:
            if self.pods:
                self.pods.stop()
        finally:
            for program in (self._controllers, self._api_server, self._etcd):
                program.kill()
            for port in self._ports:
                port.close()

    def is_ready(self):
        try:
            return self.api.send("GET", "/readyz", timeout=2).ok
        except (ApiError, requests.RequestException):
            return False

    def _wait_ready(self):
        def ready():
            self._etcd.assert_runs()
            self._api_server.assert_runs()
            return self.is_ready()
        eventually(ready, "the API server to be ready", patience=PATIENCE, pause=0.05)

    def kill_api_server(self):
        self._api_server.kill()

    def start_api_server(self):
        """Starts the API server at the same address, with the same data and keys. Returns when it is ready. If it had been killed, the
        controllers are started again too: otherwise they would wait up to 30 s before they reconnect."""
        was_killed = not self._api_server.runs()
        self._api_server.start()
        self._api_server.signal(signal.SIGCONT)
        self._wait_ready()
        if was_killed:
            self._controllers.kill()
            self._controllers.start()

    def pause_api_server(self):
        """Stops the process with SIGSTOP: connections stay open, but no request is answered."""
        self._api_server.signal(signal.SIGSTOP)

    def resume_api_server(self):
        self._api_server.signal(signal.SIGCONT)

    def compact(self):
        """Makes etcd drop every version except the newest, as etcd does regularly. After this, 410 Gone is the answer to the continuation
        of a list, and to a watch from an older version that the API server does not have in its cache either (which is empty after its
        start)."""
        url = f"http://127.0.0.1:{self._etcd_port}/v3/kv/"
        newest = requests.post(url + "range", json={"key": "AA=="}, timeout=10).json()["header"]["revision"]
        requests.post(url + "compaction", json={"revision": newest, "physical": True}, timeout=10).raise_for_status()

    # objects
    def kubectl(self, *arguments, input=None):
        """Runs kubectl and returns its output. A failure is an AssertionError with kubectl's message."""
        done = subprocess.run([self._bin / "kubectl", "--kubeconfig", self.kubeconfig, *map(str, arguments)], input=input, text=True,
                              capture_output=True, check=False, timeout=120, env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"})
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def apply(self, what, namespace="default"):
        """`what`: a Path of a file or folder, a YAML text, an object as a dict, or a list of these."""
        options = ["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f"]
        if isinstance(what, Path):
            return self.kubectl(*options, what)
        if not isinstance(what, str):
            what = json.dumps({"apiVersion": "v1", "kind": "List", "items": what if isinstance(what, list) else [what]})
        return self.kubectl(*options, "-", input=what)

    def create_namespace(self, name):
        """Returns when Pods can be created in the namespace."""
        self.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
        self._wait_for_service_account(name)

    def delete_namespace(self, name):
        """Does not wait for the end, since the Pods end first."""
        self.api.delete(f"/api/v1/namespaces/{name}")

    def _wait_for_service_account(self, namespace):
        def exists():
            self._controllers.assert_runs()
            return self.api.items(f"/api/v1/namespaces/{namespace}/serviceaccounts")
        eventually(exists, f"the service account of namespace {namespace}", patience=PATIENCE)

    def service_account(self, namespace, name, rules=(), cluster_rules=()):
        """Creates a ServiceAccount with the rights `rules` in its namespace, and `cluster_rules` in all namespaces. A rule has RBAC's form:
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}."""
        return ServiceAccount(self, namespace, name, list(rules), list(cluster_rules))

    def audited(self, user, **fields):
        """Returns the entries of the audit log for this user's requests, oldest first: `audited(account.user, verb="list")`. `fields` are
        those of an entry, or of its objectRef. `user` "" selects the requests of unknown users."""
        events = [json.loads(line) for line in self.audit_file.read_text().splitlines() if line.endswith("}")]
        return [event for event in events if event["user"].get("username", "") == user
                and all(({**event, **event.get("objectRef", {})}).get(name) == value for name, value in fields.items())]


@contextmanager
def running_cluster(folder, **options):
    """A cluster with Pods."""
    network = Network()
    cluster = None
    try:
        cluster = Cluster(folder, network, **options)
        cluster.start()
        yield cluster
    finally:
        if cluster:
            cluster.stop()
        network.remove()
