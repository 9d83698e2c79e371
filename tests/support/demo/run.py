#!/usr/bin/env python3
"""Runs the router with a demo: two deployments of a small model, a certificate, keys. `./dev run` calls it.

  run.py ROUTER FOLDER            runs until Ctrl-C
  run.py ROUTER FOLDER --smoke    sends the printed requests itself and checks every answer
  run.py ROUTER FOLDER --describe only writes the files: those of Azure ML, and an overlay

Options after `--` are passed to the model servers (see model_server.py): `-- --delay-ms 200 --fail-rate 0.1`.
"""
import argparse
import json
import pathlib
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent

# Files for `az ml online-endpoint create --file` and `az ml online-deployment create --file`. They have no settings of the router's.
ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: demo
compute: azureml:demo-cluster
auth_mode: key
"""
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json
name: {name}
type: kubernetes
endpoint_name: demo
model:
  path: ../model
environment:
  image: mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference:latest
instance_count: {instances}
request_settings:
  request_timeout_ms: 5000
  max_concurrent_requests_per_instance: 2
"""


def free_port(wanted):
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return probe.getsockname()[1]
            except OSError:
                continue
    raise SystemExit("no free port")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


class Demo:
    def __init__(self, router, folder, model_options):
        self.router, self.folder, self.model_options = router, folder, model_options
        self.http, self.https, self.observe, self.admin = (free_port(port) for port in (8080, 8443, 9901, 9902))
        self.pods = {("blue", free_port(5001)), ("blue", free_port(5002)), ("green", free_port(5003))}
        self.key = secrets.token_urlsafe(32)
        self.processes = []

    def describe(self):
        folder = self.folder
        key_file = write(folder / "keys" / "primary", self.key + "\n")
        key_file.chmod(0o600)
        write(folder / "keys" / "secondary", secrets.token_urlsafe(32) + "\n").chmod(0o600)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        write(folder / "model" / "weights.json", '{"weights": [1, 2, 3]}\n')
        write(folder / "endpoints" / "endpoint.yml", ENDPOINT)
        for name in ("blue", "green"):
            instances = sum(pod == name for pod, _ in self.pods)
            write(folder / "endpoints" / f"{name}-deployment.yml", DEPLOYMENT.format(name=name, instances=instances))
        write(folder / "endpoints" / "demo.overlay.yml", self.overlay())
        return write(folder / "router.yaml",
                     f"listeners:\n  - {{address: 127.0.0.1, port: {self.http}}}\n"
                     f"  - address: 127.0.0.1\n    port: {self.https}\n"
                     "    tls: {certificates: [{certificate_file: cert.pem, key_file: key.pem}]}\n"
                     f'observe: {{address: "127.0.0.1:{self.observe}"}}\nadmin: {{address: "127.0.0.1:{self.admin}"}}\n'
                     "access_log: access.log\ndrain_delay_ms: 0\nendpoints: [endpoints/*.yml]\n")

    def overlay(self):
        """The settings that Azure's files do not have."""
        lines = ["endpoints:", "  demo:", "    keys: {primary_file: ../keys/primary, secondary_file: ../keys/secondary}",
                 "    traffic: {blue: 90, green: 10}", "    deployments:"]
        for name in ("blue", "green"):
            replicas = ", ".join(f'"127.0.0.1:{port}"' for pod, port in sorted(self.pods) if pod == name)
            lines += [f"      {name}:", f"        replicas: [{replicas}]"]
        return "\n".join(lines) + "\n"

    def start(self):
        config = self.describe()
        for name, port in sorted(self.pods):
            command = [sys.executable, HERE / "model_server.py", "--port", str(port), "--name", name, "--delay-ms", "5", *self.model_options]
            self.processes.append(subprocess.Popen(command))
        self.processes.append(subprocess.Popen([self.router, "--config", config]))
        until = time.monotonic() + 20
        while not self.is_ready():
            if self.processes[-1].poll() is not None or time.monotonic() > until:
                raise SystemExit("the router did not become ready")
            time.sleep(0.05)

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/status", timeout=1) as answer:
                deployments = json.load(answer)["endpoints"][0]["deployments"]
            return sum(deployment["replicas_ready"] for deployment in deployments) == len(self.pods)
        except OSError:
            return False

    def requests(self):
        """For each request: a title, the command, and text that its answer must contain."""
        score = f"https://localhost:{self.https}/api/v1/endpoint/demo/score"
        curl = ["curl", "-sS", "--cacert", str(self.folder / "cert.pem"), "-H", f"Authorization: Bearer {self.key}"]
        data = ["-H", "Content-Type: application/json", "-d", '{"data": [[1, 2, 3], [4, 5]]}']
        return [
            ("score over TLS", [*curl, *data, score], '"sums": [6, 9]'),
            ("choose the deployment", [*curl, *data, "-H", "azureml-model-deployment: green", score], '"model": "green"'),
            ("stream", [*curl, "-N", "-X", "POST", f"{score}/stream?events=3"], "data: event 2 of"),
            ("without a key", ["curl", "-sS", "--cacert", str(self.folder / "cert.pem"), *data, score], '"code":"unauthorized"'),
            ("what runs", ["curl", "-sS", f"http://127.0.0.1:{self.admin}/status"], '"replicas_ready":2'),
            ("metrics", ["curl", "-sS", f"http://127.0.0.1:{self.observe}/metrics"], "inference_router_requests_total"),
        ]

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        return [process.wait(timeout=20) for process in self.processes][-1]


def smoke(demo):
    wrong = 0
    for title, command, expected in demo.requests():
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        shown = answer.stdout if len(answer.stdout) < 600 else answer.stdout[:600] + "…"
        right = answer.returncode == 0 and expected in answer.stdout
        wrong += not right
        print(f"\n# {title}\n$ {shlex.join(command)}\n{shown}{answer.stderr}{'right' if right else 'WRONG, expected ' + expected}", flush=True)
    return wrong


def main():
    arguments, model_options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, model_options = arguments[:at], arguments[at + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("router")
    parser.add_argument("folder", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--describe", action="store_true")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C, so that no process is left
    demo = Demo(options.router, options.folder, model_options)
    if options.describe:
        demo.describe()
        return 0
    try:
        demo.start()
        if options.smoke:
            wrong = smoke(demo)
            ended = demo.stop()
            demo.processes.clear()
            print(f"\nsmoke: {len(demo.requests()) - wrong} right, {wrong} wrong; the router ended with {ended}")
            return 1 if wrong or ended != 0 else 0
        print("\nThe router serves. Try, in another terminal:\n")
        for title, command, _ in demo.requests():
            print(f"# {title}\n{shlex.join(command)}\n")
        print("Ctrl-C ends it.", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        if demo.processes:
            demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
