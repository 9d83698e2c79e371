"""One real node: containerd, kubelet, kube-proxy and kube-scheduler beside the API server of tests/kubernetes/harness.

All of it runs within the namespaces of tests/support/own_machine.sh, which ends and removes it. The node's only address is on a pair of
interfaces without a connection to other machines. Pods have addresses on a bridge, assigned by Debian's CNI plugins."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from harness.cluster import Cluster, Program, programs
from support.ports import ReservedPort
from support.router import ROOT
from support.wait import eventually

NODE = "node"
STORAGE = ROOT / "build" / "node"  # containerd's images and the files that containers write; each run creates it again
ADDRESS = "10.78.0.1"
POD_NETWORK = "10.79.0.0/16"
PAUSE = "localhost/pause:test"  # image of tests/node/pause: the process that holds a Pod's namespaces
NAMESPACE = "k8s.io"  # containerd's namespace of a kubelet's images and containers
PATIENCE = 120  # seconds, on a machine with other load

CONTAINERD = """
version = 2
root = "{storage}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]  # it makes a folder under /opt
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true  # lowering it needs CAP_SYS_RESOURCE, which root has not everywhere
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
"""
CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {"type": "bridge", "bridge": "pods0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": POD_NETWORK}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    ],
}
# No Pod is evicted: no usage of disk or memory is too high here.
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": "127.0.0.1",
    "readOnlyPort": 0,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": os.environ.get("OWN_MACHINE_CGROUP", "/"),
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%",
                     "memory.available": "0%"},
    "enforceNodeAllocatable": ["pods"],
    "failSwapOn": False,
    "imageGCHighThresholdPercent": 100,
    "resolvConf": "",
    "registerNode": True,
}
PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clusterCIDR": POD_NETWORK,
    "hostnameOverride": NODE,
    "healthzBindAddress": "",
    "metricsBindAddress": "",
    # Settings of the kernel that affect the whole machine: not changed.
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}


def run(*command, **options):
    """Runs the command and returns its output. A failure is an AssertionError with its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=PATIENCE, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}{done.stdout}"
    return done.stdout


class Network:
    """The network that the harness requires: the address at which Pods reach the API server."""
    host = api_host = ADDRESS

    def __init__(self):
        run("ip", "link", "add", "node0", "type", "veth", "peer", "name", "nowhere0")
        run("ip", "address", "add", f"{ADDRESS}/24", "dev", "node0")
        for name in ("node0", "nowhere0"):
            run("ip", "link", "set", name, "up")
        run("ip", "route", "add", "default", "via", "10.78.0.254", "dev", "node0")  # a kubelet requires one
        for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
            path = Path("/proc/sys") / setting
            if path.exists():
                path.write_text("1")


class NodeCluster(Cluster):
    """The cluster with this machine as its only node. `images` are archives, as `podman save` writes them."""
    MORE_CONTROLLERS = ("node-lifecycle-controller", "disruption-controller")

    def __init__(self, folder, images):
        super().__init__(folder, Network())
        self._images = images
        self._kube = programs("node")
        self._socket = "/run/containerd/containerd.sock"
        self._more_ports = [ReservedPort() for _ in range(3)]
        self._programs = []

    def _make_kubelet(self):
        return None

    def start(self):
        begun = time.monotonic()
        super().start()
        scheduler, kubelet_port, health = (one.port for one in self._more_ports)
        self._start(self._kube / "kube-scheduler", kubeconfig=self.kubeconfig, leader_elect=False, bind_address="127.0.0.1",
                    secure_port=scheduler)
        self._start_containerd()
        for archive in self._images:
            self.ctr("images", "import", "--all-platforms", archive)
        kubelet = self._write("kubelet.json", {
            **KUBELET, "port": kubelet_port, "healthzPort": health, "podLogsDir": str(self.folder / "pods"),
            "volumePluginDir": str(self.folder / "plugins")})
        self._start(self._kube / "kubelet", config=kubelet, kubeconfig=self.kubeconfig, node_ip=ADDRESS, hostname_override=NODE,
                    root_dir="/var/lib/kubelet", cert_dir=self.folder / "kubelet-certificates")
        proxy = self._write("kube-proxy.json", {**PROXY, "clientConnection": {"kubeconfig": str(self.kubeconfig)}})
        self._start(self._kube / "kube-proxy", config=proxy)
        eventually(self._is_node_ready, "the node to be ready", patience=PATIENCE, pause=0.2)
        self.node_started_in = time.monotonic() - begun  # seconds, including the start of the cluster

    def stop(self):
        for program in reversed(self._programs):
            program.kill()
        super().stop()
        for port in self._more_ports:
            port.close()

    def ctr(self, *arguments):
        return run("ctr", "--address", self._socket, "--namespace", NAMESPACE, *arguments)

    def _start(self, binary, *arguments, **options):
        self._programs.append(Program(self.folder, Path(binary), *arguments, **options))
        self._programs[-1].start()

    def _start_containerd(self):
        Path("/etc/cni/net.d").mkdir(parents=True)
        Path("/etc/cni/net.d/10-pods.conflist").write_text(json.dumps(CNI))
        shutil.rmtree(STORAGE, ignore_errors=True)
        config = self.folder / "containerd.toml"
        config.write_text(CONTAINERD.format(storage=STORAGE, socket=self._socket, pause=PAUSE))
        self._start(shutil.which("containerd"), config=config)
        eventually(lambda: self._programs[-1].assert_runs() or self._answers(), "containerd to answer", patience=PATIENCE, pause=0.1)

    def _answers(self):
        asked = subprocess.run(["ctr", "--address", self._socket, "version"], capture_output=True, timeout=PATIENCE, check=False)
        return asked.returncode == 0

    def _write(self, name, described):
        path = self.folder / name
        path.write_text(json.dumps(described))
        return path

    def _is_node_ready(self):
        for program in self._programs:
            program.assert_runs()
        nodes = [one for one in self.api.items("/api/v1/nodes") if one["metadata"]["name"] == NODE]
        conditions = {one["type"]: one["status"] for node in nodes for one in node["status"].get("conditions", [])}
        return conditions.get("Ready") == "True" and not nodes[0]["spec"].get("taints")
