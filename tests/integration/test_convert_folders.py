"""`inference-router convert` with folders and overlays. The router's own code applies the overlays to the files."""

import pytest
from support.azureml import FILES, SCENES
from support.converting import BLUE, comments, run


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
