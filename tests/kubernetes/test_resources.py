"""The custom resources and a real API server: what it accepts, what it refuses, and what it leaves to the router.

`inference-router convert` reads a document as the router reads a resource's `spec`, so each bad one is given to both."""

import json
import re
import subprocess

import pytest

from harness.api import ApiError
from support.router import BINARY, ROOT
from support.wait import eventually

CHART = ROOT / "charts" / "inference-router"
GROUP = "inference-router.dev"
PLURALS = {"OnlineEndpoint": "onlineendpoints", "OnlineDeployment": "onlinedeployments"}
SCHEMAS = "https://azuremlschemas.azureedge.net/latest/"

ENDPOINT_FILE = f"""$schema: {SCHEMAS}kubernetesOnlineEndpoint.schema.json
name: my-endpoint
compute: azureml:inferencecompute
auth_mode: Key
tags:
  tag1: endpoint-tag1-value
"""
DEPLOYMENT_FILE = f"""$schema: {SCHEMAS}kubernetesOnlineDeployment.schema.json
name: blue
type: kubernetes
endpoint_name: my-endpoint
app_insights_enabled: true
model:
  path: ../model-1/model/
code_configuration:
  code: ../model-1/onlinescoring/
  scoring_script: score.py
environment:
  conda_file: ../model-1/environment/conda.yaml
  image: mcr.microsoft.com/azureml/some-image:latest
request_settings:
  request_timeout_ms: 3000
  max_queue_wait_ms: 3000
resources:
  requests:
    cpu: "0.1"
    memory: "0.1Gi"
  limits:
    cpu: "0.2"
    memory: "200Mi"
tags:
  tag1: deployment-tag1-value
instance_count: 1
instance_type: defaultinstancetype
scale_settings:
  type: target_utilization
  min_instances: 1
  max_instances: 3
  polling_interval: 10
  target_utilization_percentage: 70
"""
ROUTED_ENDPOINT = """name: My-Endpoint
auth_mode: aad_token
traffic: {blue: 90, green: 10}
mirror_traffic: {red: 50}
identity: {type: SystemAssigned}
public_network_access: enabled
properties: {nested: {a: [1]}}
router:
  hostnames: [models.example.com, other.example.com]
  keys: {secretName: my.keys}
  status_profile: managed
  forward_authorization: yes
"""
ROUTED_DEPLOYMENT = """name: Blue
endpoint_name: My-Endpoint
environment: azureml:my-environment:3
environment_variables: {WORKERS: 1, DEBUG: "1"}
resources: {requests: {cpu: 0.5, nvidia.com/gpu: 1}, limits: {cpu: 1, nvidia.com/gpu: 1}}
data_collector: {collections: {model_inputs: {enabled: 'True'}}, rolling_rate: hour}
readiness_probe: {initial_delay: 0, period: 1, timeout: 1, success_threshold: 1, failure_threshold: 1}
router:
  service: {name: models, port: 8501}
  tls: {server_name: models.internal, verify: yes}
  max_queue_length: 0
  max_request_bytes: 5000000000
  drain_on_abort: no
  scaling:
    autoscaler: off
    target: {api_version: apps/v1, kind: StatefulSet, name: models.blue}
    concurrency: 4
    idle_time: 600
    hold_ms: 0
    hold_requests: 100
"""


@pytest.fixture(scope="module")
def definitions(cluster):
    """Installs the custom resource definitions."""
    cluster.kubectl("apply", "-f", CHART / "files" / "crds")
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{one}.{GROUP}" for one in PLURALS.values()))


def path(kind, namespace, name=""):
    return f"/apis/{GROUP}/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}" + (f"/{name}" if name else "")


def make(cluster, kind, name, spec, namespace="default", **options):
    body = {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return cluster.api.send("POST", path(kind, namespace), body, fieldValidation="Strict", **options).json()


def convert(folder, text, namespace="default"):
    (folder / "file.yml").write_text(text)
    return subprocess.run([BINARY, "convert", "file.yml", "--namespace", namespace], cwd=folder, capture_output=True, text=True,
                          check=False, timeout=20)


def test_the_definitions_have_no_fault_in_their_structure(cluster, definitions):
    for plural in PLURALS.values():
        found = cluster.api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{GROUP}")
        conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        assert conditions["Established"] == "True" and "NonStructuralSchema" not in conditions, conditions


@pytest.mark.parametrize("text", [ENDPOINT_FILE, DEPLOYMENT_FILE, ROUTED_ENDPOINT, ROUTED_DEPLOYMENT])
def test_a_file_that_is_converted_is_taken_and_kept_as_it_was_written(cluster, definitions, namespace, tmp_path, text):
    done = convert(tmp_path, text, namespace)
    assert done.returncode == 0, done.stderr
    for options in ([], ["--server-side"]):
        cluster.kubectl("apply", "--dry-run=server", "--validate=strict", *options, "-f", "-", input=done.stdout)
    cluster.kubectl("apply", "-f", "-", input=done.stdout)
    kind = "OnlineDeployment" if "endpoint_name" in text else "OnlineEndpoint"
    [kept] = cluster.api.items(path(kind, namespace))
    # kubectl also reads the file itself; the API server has pruned no field that kubectl read.
    wrapped = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: file}\nspec:\n" + "".join(f"  {one}\n" for one in text.splitlines())
    written = json.loads(cluster.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", input=wrapped.replace(
        "apiVersion: v1\nkind: ConfigMap", f"apiVersion: {GROUP}/v1alpha1\nkind: {kind}")))
    assert kept["spec"] == written["spec"]


def test_all_that_is_converted_at_once_is_taken(cluster, definitions, namespace, tmp_path):
    done = convert(tmp_path, "---\n".join([ENDPOINT_FILE, DEPLOYMENT_FILE, DEPLOYMENT_FILE.replace("name: blue", "name: green")]), namespace)
    assert done.returncode == 0, done.stderr
    cluster.kubectl("apply", "-f", "-", input=done.stdout)
    names = ["my-endpoint-blue", "my-endpoint-green"]
    assert [one["metadata"]["name"] for one in cluster.api.items(path("OnlineDeployment", namespace))] == names
    services = cluster.api.items(f"/api/v1/namespaces/{namespace}/services")
    assert [one["metadata"]["name"] for one in services] == names
    eventually(lambda: len(cluster.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")) == 2,
               "an EndpointSlice for each Service")
    pods = [one["spec"]["template"] for one in cluster.api.items(f"/apis/apps/v1/namespaces/{namespace}/deployments")]
    for service, pod in zip(services, pods):
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_kubectl_shows_what_an_operator_looks_for(cluster, definitions, namespace):
    make(cluster, "OnlineEndpoint", "my-endpoint", {"traffic": {"blue": 90, "green": 10}}, namespace)
    make(cluster, "OnlineDeployment", "my-endpoint-blue", {"name": "blue", "endpoint_name": "my-endpoint"}, namespace)
    ready = {"type": "Ready", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
             "observedGeneration": 1}
    status = {"conditions": [ready], "observedGeneration": 1, "replicas": "3/4", "replicasReady": 3, "replicasTotal": 4,
              "scoringUri": "https://models.example/api/v1/endpoint/my-endpoint/score"}
    endpoint = cluster.api.patch(path("OnlineEndpoint", namespace, "my-endpoint") + "/status",
                                 {"status": {**status, "traffic": "blue=90 green=10"}})
    deployment = cluster.api.patch(path("OnlineDeployment", namespace, "my-endpoint-blue") + "/status", {"status": status})
    assert endpoint["status"] == {**status, "traffic": "blue=90 green=10"} and deployment["status"] == status
    shown = cluster.kubectl("get", "irep", "-n", namespace).split("\n")
    assert shown[0].split() == ["NAME", "TRAFFIC", "REPLICAS", "READY", "SCORING", "URI", "AGE"]
    assert shown[1].split()[:6] == ["my-endpoint", "blue=90", "green=10", "3/4", "True", status["scoringUri"]]
    shown = cluster.kubectl("get", "irdep", "-n", namespace).split("\n")
    assert shown[0].split() == ["NAME", "ENDPOINT", "REPLICAS", "READY", "AGE"]
    assert shown[1].split()[:4] == ["my-endpoint-blue", "my-endpoint", "3/4", "True"]


def test_status_and_spec_are_written_apart(cluster, definitions, namespace):
    made = make(cluster, "OnlineEndpoint", "my-endpoint", {}, namespace)
    where = path("OnlineEndpoint", namespace, "my-endpoint")
    after = cluster.api.patch(where, {"status": {"scoringUri": "https://forged.example"}})
    assert "status" not in after and after["metadata"]["generation"] == made["metadata"]["generation"]
    after = cluster.api.patch(where + "/status", {"status": {"scoringUri": "https://a.example"}, "spec": {"auth_mode": "key"}})
    assert after["spec"] == {} and after["metadata"]["generation"] == made["metadata"]["generation"]


def bad_endpoint(spec, told, by="both"):
    return pytest.param("OnlineEndpoint", "my-endpoint", spec, by, told, id=f"{by}: {json.dumps(spec)[:60]}")


def bad_deployment(spec, told, by="both"):
    spec = {"name": "blue", "endpoint_name": "my-endpoint", **spec}
    return pytest.param("OnlineDeployment", "my-endpoint-blue", spec, by, told, id=f"{by}: {json.dumps(spec)[43:110]}")


def route(**keys):
    return {"environment": {"inference_config": {"scoring_route": keys}}}


# `by`: which side refuses it. `both`: the API server does, and also a router that gets it from an older definition. `schema`: the router
# accepts it, or never sees it. `router`: the API server accepts it. `told`: part of the API server's message, or else of the router's.
BAD = [
    bad_endpoint({"name": "another"}, "spec.name must be the name of the resource", by="schema"),
    bad_endpoint({"name": "a_b"}, "spec.name"),
    bad_endpoint({"name": 5}, "spec.name"),
    bad_endpoint({"rubbish": 1}, 'unknown field "spec.rubbish"'),
    bad_endpoint({"router": {"rubbish": 1}}, 'unknown field "spec.router.rubbish"'),
    bad_endpoint({"router": {"replicas": []}}, 'unknown field "spec.router.replicas"'),
    bad_endpoint({"router": {"keys": {"secretName": "team-b/keys"}}}, "spec.router.keys.secretName"),
    bad_endpoint({"router": {"keys": {"secretName": ""}}}, "spec.router.keys.secretName"),
    bad_endpoint({"router": {"hostnames": "models.example"}}, "spec.router.hostnames"),
    bad_endpoint({"router": {"hostnames": ["*.example"]}}, "spec.router.hostnames[0]"),
    bad_endpoint({"router": {"hostnames": ["models.example:443"]}}, "spec.router.hostnames[0]"),
    bad_endpoint({"router": {"hostnames": ["a.example", "a.example"]}}, "spec.router.hostnames[1]: Duplicate value", by="schema"),
    bad_endpoint({"router": {"hostnames": [f"h{i}.example" for i in range(65)]}}, "spec.router.hostnames: Too many", by="schema"),
    bad_endpoint({"router": {"status_profile": "azure"}}, "spec.router.status_profile"),
    bad_endpoint({"router": {"forward_authorization": "maybe"}}, "spec.router.forward_authorization"),
    bad_endpoint({"auth_mode": "none"}, "spec.auth_mode"),
    bad_endpoint({"auth_mode": "Keys"}, "spec.auth_mode"),
    bad_endpoint({"traffic": {"blue": 90}}, "the percentages must sum to 0 or 100"),
    bad_endpoint({"traffic": {"blue": 101}}, "spec.traffic.blue"),
    bad_endpoint({"traffic": {"blue": -1, "green": 1}}, "spec.traffic.blue"),
    bad_endpoint({"traffic": {"blue": 99.5, "green": 0.5}}, "spec.traffic.blue"),
    bad_endpoint({"traffic": {"blue": "100"}}, "spec.traffic.blue", by="schema"),
    bad_endpoint({"traffic": [100]}, "spec.traffic"),
    bad_endpoint({"traffic": {f"d{i}": 0 for i in range(21)}}, "spec.traffic: Too many", by="schema"),
    bad_endpoint({"mirror_traffic": {"blue": 51}}, "spec.mirror_traffic.blue"),
    bad_endpoint({"mirror_traffic": {"blue": 1, "green": 1}}, "spec.mirror_traffic"),
    bad_endpoint({"identity": {"type": "somebody"}}, "spec.identity.type"),
    bad_endpoint({"public_network_access": "sometimes"}, "spec.public_network_access"),
    bad_endpoint({"traffic": {"blue": 50, "Blue": 50}}, "traffic.Blue: this deployment is given twice", by="router"),
    bad_endpoint({"tags": {"a": {}}}, "tags.a: a single value is expected", by="router"),
    bad_endpoint({"router": {"hostnames": ["10.0.0.256"]}}, "router.hostnames[0]: `10.0.0.256` is not a host name", by="router"),
    bad_endpoint({"router": {"hostnames": ["a" * 64 + ".example"]}}, "router.hostnames[0]: `aaa", by="router"),
    bad_deployment({"name": "ab"}, "spec.name"),
    bad_deployment({"name": "1ab"}, "spec.name"),
    bad_deployment({"endpoint_name": None}, "spec.endpoint_name"),
    bad_deployment({"name": "a" * 32, "endpoint_name": "b" * 31}, "at most 62 characters together"),
    bad_deployment({"rubbish": 1}, 'unknown field "spec.rubbish"'),
    bad_deployment({"type": "virtual"}, "spec.type"),
    bad_deployment({"instance_count": "many"}, "spec.instance_count"),
    bad_deployment({"instance_count": -1}, "spec.instance_count"),
    bad_deployment({"request_settings": {"request_timeout_ms": 0}}, "spec.request_settings.request_timeout_ms"),
    bad_deployment({"request_settings": {"request_timeout_ms": 86400001}}, "spec.request_settings.request_timeout_ms"),
    bad_deployment({"request_settings": {"timeout": 1}}, 'unknown field "spec.request_settings.timeout"'),
    bad_deployment({"request_settings": [1]}, "spec.request_settings"),
    bad_deployment({"scale_settings": {"type": "cron"}}, "spec.scale_settings.type"),
    bad_deployment({"scale_settings": {"min_instances": 3, "max_instances": 2}}, "min_instances must not be more"),
    bad_deployment({"router": {"scaling": {"autoscaler": "auto"}}}, "spec.router.scaling.autoscaler"),
    bad_deployment({"router": {"scaling": {"autoscaler": True}}}, "router.scaling.autoscaler: `true` is not one of", by="router"),
    bad_deployment({"router": {"scaling": {"idle_time": 0}}}, "spec.router.scaling.idle_time"),
    bad_deployment({"router": {"scaling": {"target": {"kind": "deployment"}}}}, "spec.router.scaling.target.kind"),
    bad_deployment({"router": {"scaling": {"target": {"api_version": "v1"}}}}, "spec.router.scaling.target.api_version"),
    bad_deployment({"router": {"scaling": {"target": {"name": "team-b/iris"}}}}, "spec.router.scaling.target.name"),
    bad_deployment({"router": {"scaling": {"target": {"namespace": "b"}}}}, 'unknown field "spec.router.scaling.target.namespace"'),
    bad_deployment({"readiness_probe": {"period": 0}}, "spec.readiness_probe.period"),
    bad_deployment({"resources": {"requests": {"disk": "1Gi"}}}, 'unknown field "spec.resources.requests.disk"'),
    bad_deployment({"router": {"service": "models"}}, "spec.router.service"),
    bad_deployment({"router": {"service": {"name": "Models"}}}, "spec.router.service.name"),
    bad_deployment({"router": {"service": {"namespace": "b"}}}, 'unknown field "spec.router.service.namespace"'),
    bad_deployment({"router": {"service": {"port": 0}}}, "spec.router.service.port"),
    bad_deployment({"router": {"service": {"port": 65536}}}, "spec.router.service.port"),
    bad_deployment({"router": {"service": {"port": "HTTP"}}}, "spec.router.service.port"),
    bad_deployment({"router": {"adoptAzureMLPods": "always"}}, "spec.router.adoptAzureMLPods"),
    bad_deployment({"router": {"adoptAzureMLPods": True, "service": {}}}, "adoptAzureMLPods cannot be true beside service"),
    bad_deployment({"router": {"tls": {"server_name": "a b"}}}, "spec.router.tls.server_name"),
    bad_deployment({"router": {"tls": {"ca_file": "ca.pem"}}}, 'unknown field "spec.router.tls.ca_file"', by="schema"),
    bad_deployment({"router": {"replicas": ["10.0.0.1"]}}, 'unknown field "spec.router.replicas"', by="schema"),
    bad_deployment({"router": {"max_request_bytes": 0}}, "spec.router.max_request_bytes"),
    bad_deployment({"router": {"drain_on_abort": 1}}, "spec.router.drain_on_abort"),
    bad_deployment(route(port=0), "spec.environment.inference_config.scoring_route.port"),
    bad_deployment(route(path="score"), "spec.environment.inference_config.scoring_route.path"),
    bad_deployment(route(path="/a?b"), "spec.environment.inference_config.scoring_route.path"),
    bad_deployment(route(path="/a b"), "spec.environment.inference_config.scoring_route.path"),
    bad_deployment({"environment": ["a"]}, "environment: a map of keys is expected", by="router"),
    bad_deployment({"environment": {"rubbish": 1}}, "environment.rubbish: unknown key", by="router"),
    bad_deployment({"tags": {"a": [1]}}, "tags.a: a single value is expected", by="router"),
    bad_deployment({"resources": {"limits": {"cpu": {"cores": 1}}}}, "resources.limits.cpu: a single value is expected", by="router"),
    bad_deployment({"router": {"service": {"port": "65536"}}}, "router.service.port: `65536` is neither", by="router"),
    bad_deployment({"router": {"tls": {"server_name": "1.2.3"}}}, "router.tls.server_name: `1.2.3` is not a host name", by="router"),
    bad_deployment({"model": {"a": json.loads("[" * 70 + "]" * 70)}}, "nested deeper than 64 levels", by="router"),
]


def test_the_table_is_large_enough():
    by = [one.values[3] for one in BAD]
    assert len(by) >= 60 and by.count("router") >= 10


@pytest.mark.parametrize("kind, name, spec, by, told", BAD)
def test_a_bad_resource_is_refused(cluster, definitions, tmp_path, kind, name, spec, by, told):
    if by == "router":
        make(cluster, kind, name, spec, dryRun="All")
    else:
        with pytest.raises(ApiError) as refused:
            make(cluster, kind, name, spec, dryRun="All")
        assert refused.value.status in (400, 422) and told in refused.value.message, refused.value.message
    done = convert(tmp_path, json.dumps({"name": name, **spec}))
    assert done.returncode == (0 if by == "schema" else 1), done.stderr
    key = re.search(r"spec\.([\w.\[\]]+)", told)
    if by != "schema":
        assert (key.group(1) if key else told.split()[0]) in done.stderr
    if by == "router":
        assert told in done.stderr


@pytest.mark.parametrize("name", ["ab", "1abc", "my.endpoint", "a" * 33])
def test_an_endpoint_has_a_name_that_azure_ml_allows(cluster, definitions, name):
    with pytest.raises(ApiError, match="metadata.name"):
        make(cluster, "OnlineEndpoint", name, {}, dryRun="All")
