"""Azure ML YAML as users write it, with the key `router:` for the files of keys and the addresses of replicas: `--check` accepts it."""

import subprocess

import pytest
from support.router import BINARY

ENDPOINTS = {
    "plain": "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json\n"
             "name: credit\ncompute: azureml:onprem-cluster\nauth_mode: Key\ntags:\n  team: risk\n",
    "split": "name: credit\nauth_mode: key\ndescription: scores applications\nproperties: {owner: risk}\n"
             "traffic:\n  one: 100\nmirror_traffic:\n  one: 0\n",
    "managed": "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json\nname: credit\nauth_mode: key\n"
               "identity:\n  type: user_assigned\n  user_assigned_identities:\n    - resource_id: /subscriptions/0/id\n"
               "public_network_access: disabled\n",
}
DEPLOYMENTS = {
    "least": "name: one\nendpoint_name: credit\nmodel: azureml:credit:3\n",
    "kubernetes": "$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineDeployment.schema.json\n"
                  "name: one\ntype: kubernetes\nendpoint_name: credit\napp_insights_enabled: true\nmodel:\n  path: ./model/\n"
                  "code_configuration:\n  code: ./src\n  scoring_script: score.py\n"
                  "environment:\n  conda_file: ./conda.yaml\n  image: mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference\n"
                  "instance_type: defaultinstancetype\nresources:\n  requests: {cpu: '0.5', memory: 512Mi}\n  limits: {cpu: 1, memory: 1Gi}\n"
                  "instance_count: 1\nscale_settings: {type: default}\n",
    "cpu is a number": "name: one\nendpoint_name: credit\nmodel: {path: m}\nresources:\n  requests: {cpu: 0.25, memory: 1e9}\n"
                       "  limits: {cpu: 2, nvidia.com/gpu: 1}\n",
    "scaled": "name: one\nendpoint_name: credit\nmodel: {path: m}\nscale_settings:\n  type: target_utilization\n  min_instances: 1\n"
              "  max_instances: 5\n  polling_interval: 10\n  target_utilization_percentage: 70\n",
    "patient": "name: one\nendpoint_name: credit\nmodel: {path: m}\nrequest_settings:\n  request_timeout_ms: 90000\n"
               "  max_concurrent_requests_per_instance: 4\n  max_queue_wait_ms: 500\n",
    "probed": "name: one\nendpoint_name: credit\nmodel: {path: m}\nliveness_probe: {initial_delay: 30, period: 10, timeout: 2,"
              " success_threshold: 1, failure_threshold: 30}\nreadiness_probe:\n  initial_delay: 0\n  period: 1\n  timeout: 2\n",
    "own container": "name: one\nendpoint_name: credit\nmodel: {path: m}\nmodel_mount_path: /var/models\nenvironment:\n"
                     "  name: tfserving\n  image: docker.io/tensorflow/serving:latest\n  inference_config:\n"
                     "    liveness_route: {port: 8501, path: /v1/models/half}\n    readiness_route: {port: 8501, path: /}\n"
                     "    scoring_route: {port: 8501, path: '/v1/models/half:predict'}\n",
    "collected": "name: one\nendpoint_name: credit\nmodel: {path: m}\ndata_collector:\n  sampling_rate: 0.5\n  rolling_rate: hour\n"
                 "  collections:\n    model_inputs: {enabled: 'True'}\n    model_outputs: {enabled: 'True'}\n",
    "variables": "name: one\nendpoint_name: credit\nmodel: {path: m}\nenvironment_variables:\n  WORKERS: 2\n  DEBUG: false\n  EMPTY: ''\n"
                 "egress_public_network_access: enabled\ninstance_type: Standard_DS3_v2\ninstance_count: 3\n",
}


def write(folder, endpoint_text, deployment_text, replicas, port=8080):
    (folder / "one.key").write_text("primary-key-of-this-test\n")
    (folder / "endpoint.yml").write_text(endpoint_text + "router: {keys: {primary_file: one.key}}\n")
    listed = ", ".join(f'"{replica}"' for replica in replicas)
    (folder / "one.yml").write_text(deployment_text + f"router: {{replicas: [{listed}]}}\n")
    (folder / "router.yaml").write_text(f"listeners:\n  - port: {port}\nendpoints: [endpoint.yml, one.yml]\n")
    return folder / "router.yaml"


def check(file):
    return subprocess.run([BINARY, "--config", str(file), "--check"], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_is_accepted(tmp_path, name):
    done = check(write(tmp_path, ENDPOINTS[name], DEPLOYMENTS["least"], ["10.0.0.1:5001"]))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_is_accepted(tmp_path, name):
    done = check(write(tmp_path, ENDPOINTS["plain"], DEPLOYMENTS[name], ["10.0.0.1:5001"]))
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_same_with_one_letter_wrong_is_refused(tmp_path, name):
    """Otherwise the tests above would pass with a router that reads nothing."""
    wrong = DEPLOYMENTS[name].replace("model:", "modle:", 1)
    done = check(write(tmp_path, ENDPOINTS["plain"], wrong, ["10.0.0.1:5001"]))
    assert done.returncode == 1 and "modle" in done.stdout + done.stderr
