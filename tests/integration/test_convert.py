"""`inference-router convert`: Azure ML's files as Kubernetes resources. tests/kubernetes sends them to an API server."""

import json
import re
import subprocess

import pytest
from support.azureml import FILES, SCENES
from support.router import BINARY

ENDPOINT = """$schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
name: My-Endpoint   # a comment
auth_mode: Key
traffic: {Blue: 90, green: 10}
tags: {version: "1.0", count: 5, 'on': yes}
router:
  hostnames: [models.example]
  keys: {primary_file: keys/primary, secondary_file: keys/secondary}
"""
DEPLOYMENT = """name: Blue
endpoint_name: My-Endpoint
instance_count: 2
model: {path: ./model}
environment:
  image: registry.example/model:1
  inference_config:
    scoring_route: {port: 8501, path: /v1/score}
    readiness_route: {port: 8501, path: /ready}
environment_variables: {WORKERS: 1, PRICE: "$$5 $(HOME)"}
liveness_probe: {success_threshold: 3, period: 5}
resources: {requests: {cpu: 0.5}, limits: {memory: 1Gi, gpu: 1}}
router:
  replicas: [10.0.0.1, "10.0.0.2:81"]
  max_queue_length: 7
"""
CONVERTED_ENDPOINT = """# Keys: the router reads them from the Secret my-endpoint-keys, the entries primaryKey and secondaryKey:
#   kubectl create secret generic my-endpoint-keys --namespace team-a --from-file=primaryKey=FILE --from-file=secondaryKey=FILE
# router.keys.primary_file, `keys/primary`, does not move over: name that file in the command above
# router.keys.secondary_file, `keys/secondary`, does not move over: name that file in the command above
apiVersion: inference-router.dev/v1alpha1
kind: OnlineEndpoint
metadata:
  name: my-endpoint
  namespace: team-a
spec:
  $schema: https://azuremlschemas.azureedge.net/latest/kubernetesOnlineEndpoint.schema.json
  name: My-Endpoint
  auth_mode: Key
  traffic:
    Blue: 90
    green: 10
  tags:
    version: "1.0"
    count: 5
    "on": yes
  router:
    hostnames:
      - models.example
"""
CONVERTED_DEPLOYMENT = """# router.replicas, `10.0.0.1`, `10.0.0.2:81`, does not move over: the replicas are the pods of the Service below. For others make \
a Service without selector and its EndpointSlices, and name it in router.service
apiVersion: inference-router.dev/v1alpha1
kind: OnlineDeployment
metadata:
  name: my-endpoint-blue
  namespace: team-a
spec:
  name: Blue
  endpoint_name: My-Endpoint
  instance_count: 2
  model:
    path: ./model
  environment:
    image: registry.example/model:1
    inference_config:
      scoring_route:
        port: 8501
        path: /v1/score
      readiness_route:
        port: 8501
        path: /ready
  environment_variables:
    WORKERS: 1
    PRICE: "$$5 $(HOME)"
  liveness_probe:
    success_threshold: 3
    period: 5
  resources:
    requests:
      cpu: 0.5
    limits:
      memory: 1Gi
      gpu: 1
  router:
    max_queue_length: 7
---
# The pods and their Service are a beginning: look at image, volumes and pull secrets.
# model: Azure ML brings it into the pod, Kubernetes does not: the image must hold it, or a volume
apiVersion: apps/v1
kind: Deployment
metadata:
  name: my-endpoint-blue
  namespace: team-a
  labels:
    inference-router.dev/endpoint: my-endpoint
    inference-router.dev/deployment: blue
spec:
  replicas: 2
  selector:
    matchLabels:
      inference-router.dev/endpoint: my-endpoint
      inference-router.dev/deployment: blue
  template:
    metadata:
      labels:
        inference-router.dev/endpoint: my-endpoint
        inference-router.dev/deployment: blue
    spec:
      containers:
        - name: model
          image: registry.example/model:1
          ports:
            - name: score
              containerPort: 8501
          env:
            - name: WORKERS
              value: "1"
            - name: PRICE
              value: "$$$$5 $$(HOME)"
          readinessProbe:
            httpGet:
              path: /ready
              port: 8501
            initialDelaySeconds: 10
            periodSeconds: 10
            timeoutSeconds: 2
            successThreshold: 1
            failureThreshold: 30
          livenessProbe:
            httpGet:
              path: /
              port: 8501
            initialDelaySeconds: 10
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 30
          resources:
            requests:
              cpu: "0.5"
            limits:
              memory: "1Gi"
              nvidia.com/gpu: "1"
---
apiVersion: v1
kind: Service
metadata:
  name: my-endpoint-blue
  namespace: team-a
  labels:
    inference-router.dev/endpoint: my-endpoint
    inference-router.dev/deployment: blue
spec:
  selector:
    inference-router.dev/endpoint: my-endpoint
    inference-router.dev/deployment: blue
  ports:
    - name: score
      port: 8501
      targetPort: score
"""


def run(*arguments, **options):
    return subprocess.run([BINARY, "convert", *arguments], capture_output=True, text=True, check=False, timeout=20, **options)


def convert(folder, *texts, **options):
    """Each text is a file: 0.yml, 1.yml, …"""
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text)
    return run(*(f"{number}.yml" for number in range(len(texts))), "--namespace", "team-a", cwd=folder, **options)


def converted(folder, *texts, **options):
    done = convert(folder, *texts, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_an_endpoint_and_a_deployment_are_wrapped_and_the_deployment_gets_pods(tmp_path):
    assert converted(tmp_path, ENDPOINT, DEPLOYMENT) == CONVERTED_ENDPOINT + "---\n" + CONVERTED_DEPLOYMENT


def test_several_documents_of_one_file_are_converted_in_their_order(tmp_path):
    assert converted(tmp_path, DEPLOYMENT + "---\n" + ENDPOINT) == CONVERTED_DEPLOYMENT + "---\n" + CONVERTED_ENDPOINT


def test_an_image_that_nothing_names_is_told(tmp_path):
    text = converted(tmp_path, "name: blue\nendpoint_name: my-endpoint\nenvironment: azureml:env:1\nstartup_probe: {period: 3}\n")
    assert "# image: nothing names one (environment.image): replace what stands there\n" in text
    assert "          image: image-of-the-model-server\n" in text
    assert "          startupProbe:\n" in text and "            periodSeconds: 3\n" in text


def test_https_to_the_replicas_stays_when_its_authorities_do_not_move_over(tmp_path):
    text = converted(tmp_path, "name: blue\nendpoint_name: my-endpoint\nrouter: {tls: {ca_file: ca.pem}}\n")
    assert "# router.tls.ca_file, `ca.pem`, does not move over: " in text
    assert "  router:\n    tls: {}\n" in text and text.count("scheme: HTTPS\n") == 2


def test_names_that_yaml_takes_for_flags_stay_names(tmp_path):
    text = converted(tmp_path, "name: yes\nendpoint_name: off\n", "name: off\ntraffic: {yes: 100}\n")
    assert '  name: "yes"\n  endpoint_name: "off"\n' in text
    assert '    "yes": 100\n' in text


def test_what_a_container_cannot_have_is_told_and_left_out(tmp_path):
    text = converted(tmp_path, "name: blue\nendpoint_name: my-endpoint\n"
                               "environment_variables: {'a b': 1, LIST: [1], GOOD: 1}\nresources: {requests: {cpu: much}}\n")
    assert "# environment_variables.a b: is not a variable" in text and "# environment_variables.LIST: is not a variable" in text
    assert "# resources.requests.cpu: `much` is not an amount" in text
    assert text.count("GOOD") == 2 and text.count("much") == 2 and "          resources:" not in text


def test_variables_of_the_environment_are_neither_replaced_nor_needed(tmp_path):
    text = converted(tmp_path, "name: my-endpoint\ntraffic: {blue: 100}\ntags: {a: '${HOME}', b: '${NOWHERE}'}\n")
    assert "# tags.a, tags.b: ${…} stays as it is, a resource does not read the router's environment\n" in text
    assert '    a: "${HOME}"\n' in text
    done = convert(tmp_path, "name: my-endpoint\ntraffic: {blue: '${PERCENT}'}\n", env={"PERCENT": "100"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "0.yml:2: traffic.blue: `${PERCENT}` is not a whole number from 0 to 100 percent\n"


def test_a_comment_stays_a_comment_whatever_a_name_holds(tmp_path):
    text = converted(tmp_path, 'name: my-endpoint\ntraffic: {blue: 100}\nrouter: {keys: {primary_file: "a\\nkind: Secret\\u0085b"}}\n')
    comments, kinds = [line for line in text.splitlines() if line.startswith("#")], text.count("\nkind: ")
    assert len(comments) == 3 and "a?kind: Secret" in comments[2] and kinds == 1


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085", "\n", "\r"])
def test_names_in_a_file_made_a_resource_of_their_own_in_a_comment(tmp_path, end):
    """YAML 1.1 parsers, also that of kubectl, end a line at this character, and with it a comment."""
    lines = ["apiVersion: rbac.authorization.k8s.io/v1 #", "kind: ClusterRoleBinding #", "metadata: {name: evil} #", "--- #"]
    variables = "".join(f"  {json.dumps(chr(65 + number) + end + line)}: x\n" for number, line in enumerate(lines))
    text = converted(tmp_path, f"name: blue\nendpoint_name: my-endpoint\nenvironment: {{image: foo}}\nenvironment_variables:\n{variables}")
    assert "evil" in text  # reported in a comment
    lines = re.split("[\n\r\u0085\u2028\u2029]", text)
    assert [line for line in lines if line.startswith("kind: ")] == ["kind: OnlineDeployment", "kind: Deployment", "kind: Service"]
    assert all(line.startswith(("#", '    "')) for line in lines if "ClusterRoleBinding" in line)  # a comment, or a key in quotes


def test_every_mistake_is_told_with_its_place_and_nothing_is_printed(tmp_path):
    done = convert(tmp_path, ENDPOINT, "name: blue\nendpoint_name: My-Endpoint\nrubbish: 1\nrouter:\n  max_queue_length: many\n",
                   "name: green\nrequest_settings: {}\n", "- 1\n")
    assert (done.returncode, done.stdout) == (1, "")
    told = sorted(done.stderr.splitlines())
    assert told[0].startswith("1.yml:3: rubbish: unknown key; known here: ")
    assert told[1] == "1.yml:5: router.max_queue_length: `many` is not a whole number from 0 to 1000000 requests"
    assert told[2:] == ["2.yml:1: endpoint_name: is missing; --endpoint-name NAME gives it", "3.yml:1: a map of keys is expected"]


@pytest.mark.parametrize("texts, mistake", [
    (["name: blue\nendpoint_name: my-endpoint\n"] * 2, "1.yml:1: name: the OnlineDeployment `my-endpoint-blue` is already that of 0.yml:1"),
    (["name: my-endpoint\n", "\nname: MY-endpoint\n"], "1.yml:2: name: the OnlineEndpoint `my-endpoint` is already that of 0.yml:1"),
    (["name: ghi\nendpoint_name: abc-def\n", "name: def-ghi\nendpoint_name: abc\n"],
     "1.yml:1: name: the OnlineDeployment `abc-def-ghi` is already that of 0.yml:1"),
    (["auth_mode: key\n"], "0.yml:1: name: is missing"),
    (["name: my-endpoint\nname: other\n"], "0.yml:2: name: this key is given twice"),
    (["name: my-endpoint\nrouter: {keys: {secretName: a}, service: {}}\n"], "0.yml:2: router.service: unknown key"),
    (["name: [\n"], "0.yml:1: is not valid YAML"),
    (["name: my-endpoint\ntags:\n  a: &a " + "x" * 1000 + "\n" + "".join(f"  a{i}: *a\n" for i in range(2000))],
     "0.yml:1: name: is more than 1 MB when its aliases are written out"),
])
def test_what_cannot_be_converted_is_told(tmp_path, texts, mistake):
    done = convert(tmp_path, *texts)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(mistake), done.stderr


@pytest.mark.parametrize("arguments", [(), ("a.yml",), ("--namespace", "team-a"), ("a.yml", "--namespace"),
                                       ("a.yml", "--namespace", "Team"), ("a.yml", "--namespace", "a\nb"),
                                       ("a.yml", "--namespace", "team-a", "--wrong"),
                                       ("a.yml", "--namespace", "team-a", "--endpoint-name"),
                                       ("a.yml", "--namespace", "team-a", "--endpoint-name", "a_b")])
def test_a_wrong_command_line_is_explained(tmp_path, arguments):
    (tmp_path / "a.yml").write_text(ENDPOINT)
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("inference-router: ") and "--help" in done.stderr


def test_a_file_that_is_not_there_is_told(tmp_path):
    done = run("nowhere.yml", "--namespace", "team-a", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("nowhere.yml: cannot be read")


def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    (tmp_path / "a.yml").write_text(ENDPOINT)
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "convert", "a.yml", "--namespace", "team-a"], cwd=tmp_path, stdout=full, check=False, timeout=20)
    assert done.returncode == 1


# What `az ml` takes from its command line, and other things that Azure does: a comment reports each.

BLUE = "name: blue\nendpoint_name: my-endpoint\nenvironment: {image: registry.example/model:1}\n"


def comments(text):
    return [line[2:] for line in text.splitlines() if line.startswith("# ")]


def test_help_tells_the_exit_statuses():
    shown = " ".join(subprocess.run([BINARY, "--help"], capture_output=True, text=True, check=True, timeout=20).stdout.split())
    assert "--endpoint-name" in shown
    assert "Exit status of --check and convert: 0 nothing is wrong, 1 a mistake in the files" in shown
    assert "2 a mistake on the command line, 3 (only --check --probe)" in shown


def test_a_mistake_in_a_file_ends_convert_with_the_status_of_check(tmp_path):
    (tmp_path / "a.yml").write_text("name: my-endpoint\nrubbish: 1\n")
    (tmp_path / "router.yaml").write_text("listeners: [{port: 8080}]\nendpoints: [a.yml]\n")
    converting = run("a.yml", "--namespace", "team-a", cwd=tmp_path)
    checking = subprocess.run([BINARY, "--config", tmp_path / "router.yaml", "--check"], capture_output=True, check=False, timeout=20)
    assert (converting.returncode, checking.returncode) == (1, 1)


def test_files_without_the_name_of_an_endpoint_get_it_from_the_command_line(tmp_path):
    (tmp_path / "endpoint.yml").write_text("auth_mode: key\ntraffic: {blue: 100}\n")
    (tmp_path / "blue.yml").write_text("name: blue\nmodel: {path: m}\n")
    without = run("endpoint.yml", "blue.yml", "--namespace", "team-a", cwd=tmp_path)
    assert without.returncode == 1
    assert "endpoint.yml:1: name: is missing" in without.stderr and "blue.yml:1: endpoint_name: is missing" in without.stderr
    assert without.stderr.count("--endpoint-name") == 2  # the messages say what to do
    done = run("endpoint.yml", "blue.yml", "--namespace", "team-a", "--endpoint-name", "credit", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  name: credit-blue\n" in done.stdout and "  endpoint_name: credit\n" in done.stdout
    assert "  name: credit\n  namespace: team-a\n" in done.stdout


def test_the_name_on_the_command_line_wins_over_those_in_the_files(tmp_path):
    (tmp_path / "all.yml").write_text("name: my-endpoint\ntraffic: {blue: 100}\n---\n" + BLUE)
    done = run("all.yml", "--namespace", "team-a", "--endpoint-name", "other", cwd=tmp_path)
    assert done.returncode == 0 and "my-endpoint" not in done.stdout
    (tmp_path / "all.yml").write_text("name: one\ntraffic: {blue: 100}\n---\nname: two\ntraffic: {blue: 100}\n")
    done = run("all.yml", "--namespace", "team-a", "--endpoint-name", "other", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("all.yml:4: name: the OnlineEndpoint `other` is already that of all.yml:1")


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


def test_scale_settings_are_told_to_have_no_effect(tmp_path):
    scaled = "scale_settings: {type: target_utilization, min_instances: 2, max_instances: 5, target_utilization_percentage: 70}\n"
    text = converted(tmp_path, BLUE + scaled)
    line = [each for each in comments(text) if each.startswith("scale_settings")]
    assert len(line) == 1 and "no effect" in line[0]
    assert "kubectl autoscale deployment my-endpoint-blue --namespace team-a --min 2 --max 5" in line[0]
    assert "  replicas: 2\n" in text  # the lowest number that Azure would run
    assert "  replicas: 4\n" in converted(tmp_path, BLUE + scaled + "instance_count: 4\n")
    # `default` means a fixed number of instances, which the Deployment states already.
    assert "scale_settings:" not in " ".join(comments(converted(tmp_path, BLUE + "scale_settings: {type: default}\n")))


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


def test_a_folder_is_converted_whole_in_alphabetical_order(tmp_path):
    folder = tmp_path / "endpoints"
    folder.mkdir()
    (folder / "b.yaml").write_text(BLUE)
    (folder / "a.yml").write_text("name: my-endpoint\ntraffic: {blue: 100}\n")
    (folder / "notes.txt").write_text("no YAML")
    (folder / "router.yaml").write_text("listeners: [{port: 8080}]\nendpoints: ['*.yml']\n")  # the router's own configuration
    done = run("endpoints", "--namespace", "team-a", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    kinds = [line for line in done.stdout.splitlines() if line.startswith("kind: ")]
    assert kinds == ["kind: OnlineEndpoint", "kind: OnlineDeployment", "kind: Deployment", "kind: Service"]
    (tmp_path / "empty").mkdir()
    done = run("empty", "--namespace", "team-a", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("empty: holds no *.yml or *.yaml")


# Overlays: `convert` applies them with the same code as the router.

AZURES = {"endpoint.yml": "name: iris\nauth_mode: key\n", "blue.yml": "name: blue\nmodel: {path: m}\n",
          "iris.overlay.yml": "endpoints:\n  iris:\n    keys: {primary_file: ../iris.key}\n    hostnames: [iris.example]\n    deployments:\n"
                              "      blue: {replicas: ['127.0.0.1:5001'], max_queue_length: 7}\n"
                              "files:\n  blue.yml: {endpoint_name: iris, all_traffic: true}\n"}


def folder_of(folder, files):
    (folder / "endpoints").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "endpoints" / name).write_text(text)
    return folder


def test_what_overlays_say_is_in_the_resources(tmp_path):
    done = run("endpoints", "--namespace", "team-a", cwd=folder_of(tmp_path, AZURES))
    assert (done.returncode, done.stderr) == (0, "")
    assert "  traffic:\n    blue: 100\n" in done.stdout and "  router:\n    hostnames:\n      - iris.example\n" in done.stdout
    assert "  endpoint_name: iris\n" in done.stdout and "  router:\n    max_queue_length: 7\n" in done.stdout
    told = comments(done.stdout)
    assert [each for each in told if each.startswith("router.keys.primary_file, `../iris.key`, does not move over")]
    assert [each for each in told if each.startswith("router.replicas, `127.0.0.1:5001`, does not move over")]
    assert not [each for each in told if each.startswith("traffic")]


def test_overlays_can_be_given_among_the_files_and_in_any_order(tmp_path):
    folder = folder_of(tmp_path, AZURES) / "endpoints"
    whole = run("endpoints", "--namespace", "team-a", cwd=tmp_path)
    given = run("iris.overlay.yml", "blue.yml", "endpoint.yml", "--namespace", "team-a", cwd=folder)
    assert given.returncode == 0 and given.stderr == ""
    assert sorted(given.stdout.split("---\n")) == sorted(whole.stdout.split("---\n"))


def test_an_overlay_that_was_forgotten_is_told(tmp_path):
    folder = folder_of(tmp_path, AZURES) / "endpoints"
    done = run("endpoint.yml", "--namespace", "team-a", cwd=folder)
    assert done.returncode == 0 and "iris.overlay.yml: lies beside the files and is not read" in done.stderr


def test_a_mistake_in_an_overlay_is_told_with_its_place(tmp_path):
    wrong = AZURES["iris.overlay.yml"].replace("max_queue_length: 7", "max_queue_length: many").replace("  iris:\n", "  iris:\n    rubbish: 1\n")
    done = run("endpoints", "--namespace", "team-a", cwd=folder_of(tmp_path, {**AZURES, "iris.overlay.yml": wrong}))
    assert (done.returncode, done.stdout) == (1, "")
    assert "endpoints/iris.overlay.yml:3: endpoints.iris.rubbish: unknown key" in done.stderr
    assert "endpoints/iris.overlay.yml:7: endpoints.iris.deployments.blue.max_queue_length: `many` is not a whole number" in done.stderr
    done = run("endpoints", "--namespace", "team-a", cwd=folder_of(tmp_path, {"other.overlay.yml": "endpoints: {nobody: {}}\n"}))
    assert done.returncode == 1 and "other.overlay.yml:1: endpoints.nobody: no file describes an endpoint of this name" in done.stderr


def test_overlays_speak_of_the_endpoint_by_its_name_of_the_command_line(tmp_path):
    nameless = {"endpoint.yml": "auth_mode: key\n", "blue.yml": "name: blue\nmodel: {path: m}\n",
                "credit.overlay.yml": "endpoints: {credit: {traffic: {blue: 100}, deployments: {blue: {max_queue_length: 7}}}}\n"}
    folder_of(tmp_path, nameless)
    done = run("endpoints", "--namespace", "team-a", "--endpoint-name", "credit", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  traffic:\n    blue: 100\n" in done.stdout and "    max_queue_length: 7\n" in done.stdout
    assert run("endpoints", "--namespace", "team-a", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_folder_of_untouched_files_and_its_overlays_is_converted(scene):
    done = run(scene, "--namespace", "team-a")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    kinds = [line for line in done.stdout.splitlines() if line.startswith("kind: ")]
    files = [each for each in FILES if each.parent == scene]
    deployments = len(files) - kinds.count("kind: OnlineEndpoint")
    assert deployments >= 1 and len(kinds) == 1 + 3 * deployments
    # Each endpoint gets its traffic from its overlay. A comment reports that an endpoint with tokens stays closed.
    told = comments(done.stdout)
    assert not [each for each in told if each.startswith("traffic: ")]
    assert bool([each for each in told if each.startswith("auth_mode")]) == ("token" in scene.name)
    if scene.name == "managed-no-code":
        assert [each for each in told if each.startswith("model, triton_model")] and [each for each in told if each.startswith("model, mlflow_model")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_untouched_file_is_converted_alone_when_its_endpoint_is_named(file, tmp_path):
    text = file.read_text()
    if "onlineendpoint" not in text.lower() and not any(line.startswith("name:") for line in text.splitlines()):
        text += "\nname: blue\n"  # `--name` of az ml, which the overlay sets
    (tmp_path / file.name).write_text(text)
    done = run(file.name, "--namespace", "team-a", "--endpoint-name", "my-endpoint", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
