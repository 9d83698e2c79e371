"""`inference-router convert` writes a comment for each thing that Azure does and a cluster does not."""

import pytest
from support.converting import BLUE, comments, converted


@pytest.mark.parametrize("traffic", ["", "traffic: {blue: 0}\n"])
def test_traffic_that_is_missing_is_told_with_what_would_be_right(tmp_path, traffic):
    told = comments(converted(tmp_path, "name: my-endpoint\nauth_mode: key\n" + traffic, BLUE))
    line = [each for each in told if each.startswith("traffic: ")]
    assert len(line) == 1 and "404" in line[0] and line[0].endswith("traffic: {blue: 100}")
    assert not [each for each in comments(converted(tmp_path, "name: my-endpoint\ntraffic: {blue: 100}\n", BLUE)) if each.startswith("traffic")]


@pytest.mark.parametrize("mode", ["aml_token", "AADToken"])
def test_an_endpoint_with_tokens_is_told_to_be_closed(tmp_path, mode):
    text = converted(tmp_path, f"name: my-endpoint\nauth_mode: {mode}\ntraffic: {{blue: 100}}\n")
    line = [each for each in comments(text) if each.startswith("auth_mode")]
    assert len(line) == 1 and "401" in line[0] and "AuthModeUnsupported" in line[0]
    assert f"  auth_mode: {mode}\n" in text and "secret" not in text


def test_scale_settings_are_told_to_need_an_autoscaler_that_acts(tmp_path):
    scaled = "scale_settings: {type: target_utilization, min_instances: 2, max_instances: 5, target_utilization_percentage: 70}\n"
    text = converted(tmp_path, BLUE + scaled)
    line = [each for each in comments(text) if each.startswith("scale_settings")]
    assert len(line) == 1 and "2 to 5 pods (autoscaler: act" in line[0] and "By default it observes" in line[0]
    assert line[0].endswith("keeps 2 pods")
    assert "  replicas: 2\n" in text  # the lowest number that Azure would run
    assert "  replicas: 4\n" in converted(tmp_path, BLUE + scaled + "instance_count: 4\n")
    # A pod of a deployment that may have none is started by the first request, or here: its server can be tried.
    assert "  replicas: 1\n" in converted(tmp_path, BLUE + "scale_settings: {min_instances: 0, max_instances: 3}\n")
    # `default` means a fixed number of instances, which the Deployment states already.
    assert "scale_settings:" not in " ".join(comments(converted(tmp_path, BLUE + "scale_settings: {type: default}\n")))


def test_each_deployment_is_marked_for_the_autoscaler(tmp_path):
    mark = "  annotations:\n    inference-router.dev/scaled-for: my-endpoint/blue\n"
    assert converted(tmp_path, BLUE).count(mark) == 1  # the Service has none


@pytest.mark.parametrize("model, needed", [
    ("{path: m, type: triton_model}", ["tritonserver", "{port: 8000, path: /}", "/v2/health/ready", "/v2/health/live"]),
    ("{path: m, type: mlflow_model}", ["mlflow models build-docker", "{port: 8080, path: /invocations}", "/ping", "input_data"]),
    ("{path: m, type: custom_model}", ["custom_model", "environment.image", "inference_config"]),
    ("{path: m, type: Triton_Model}", ["tritonserver"]),
    ("azureml:credit:3", ["azureml:credit:3", "mlflow_model", "triton_model"]),
])
def test_a_model_without_code_is_told_what_serves_it_here(tmp_path, model, needed):
    text = converted(tmp_path, f"name: blue\nendpoint_name: my-endpoint\nmodel: {model}\n")
    line = " ".join(each for each in comments(text) if each.startswith("model"))
    for word in needed:
        assert word in line, line


def test_a_model_with_code_is_told_which_server_azure_runs(tmp_path):
    text = converted(tmp_path, BLUE + "model: {path: m}\ncode_configuration: {code: src, scoring_script: score.py}\n")
    line = " ".join(comments(text))
    assert "azmlinfsrv --entry_script score.py" in line and "AZUREML_MODEL_DIR" in line
    own = BLUE.replace("model:1}", "model:1, inference_config: {scoring_route: {port: 8501, path: /p}}}")
    assert "azmlinfsrv" not in converted(tmp_path, own + "model: {path: m, type: custom_model}\n")  # the model type has a server of its own
