"""`inference-router convert`: Azure ML's files as resources of Kubernetes. tests/kubernetes gives them to an API server."""

import json
import re

import pytest
from support.converting import ENDPOINT, convert, converted

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
  annotations:
    inference-router.dev/scaled-for: my-endpoint/blue
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
