"""The router's own settings are in overlays, beside Azure's files. The router applies a change of them like one of any other file: whole,
within a second, or not at all."""

import pytest
from support import yaml
from support.client import PRIMARY, SECONDARY
from support.router import write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually

PATH = "/api/v1/endpoint/{}/score"


class Folder:
    """The folder `endpoints` of a router. Its Azure files are those of the other tests without their key `router`."""

    def __init__(self, router):
        self.router = router
        self.path = router.folder / "endpoints"

    def write_azure(self, name="iris", names=("blue",), endpoint_name=True):
        described = endpoint(*(deployment(name=each) for each in names), name=name, traffic={})
        for document in (described["endpoint"], *described["deployments"]):
            del document["router"]
        del described["endpoint"]["traffic"]
        for document in described["deployments"]:
            if not endpoint_name:
                del document["endpoint_name"]
            write_at_once(self.path / f"{name}-{document['name']}.yml", yaml.dump(document))
        write_at_once(self.path / f"{name}.yml", yaml.dump(described["endpoint"]))

    def write_key(self, key=PRIMARY):
        write_at_once(self.path / "key", key + "\n")

    def write_overlay(self, text, name="iris.overlay.yml"):
        write_at_once(self.path / name, text)

    def refusals(self):
        return self.router.metrics().value("configuration_reloads_total", result="refused") or 0

    def whole_message(self, begin):
        """Returns the log from there on if it is complete; the mistakes are its last, indented lines."""
        text = self.router.log[begin:]
        return text if " stays:\n  " in text and text.endswith("\n") else None

    def refused(self, change):
        """Runs `change`, and waits until the log says why it is refused."""
        before, told = self.refusals(), len(self.router.log)
        change()
        eventually(lambda: self.refusals() > before, "the refusal", patience=5)
        return eventually(lambda: self.whole_message(told), "the reason in the log")


@pytest.fixture
def folder(start, tmp_path):
    (tmp_path / "router-0" / "endpoints").mkdir(parents=True)
    return Folder(start())


def test_a_folder_that_is_made_after_the_start_is_noticed(start, pod):
    router, one = start(), pod(name="one")
    (router.folder / "endpoints").mkdir()
    folder = Folder(router)
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).headers.get("x-pod") == "one", "an answer of the pod", patience=5)


def overlay(*pods, name="iris", deployment_name="blue", traffic="{blue: 100}"):
    replicas = ", ".join(f'"{each.address}"' for each in pods)
    return (f"endpoints:\n  {name}:\n    keys: {{primary_file: key}}\n    traffic: {traffic}\n    deployments:\n"
            f"      {deployment_name}:\n        replicas: [{replicas}]\n")


def scores(router, name="iris", **options):
    return router.score(b"x", path=PATH.format(name), **options)


def test_azures_files_without_a_key_of_ours_are_served(folder, pod):
    router, one = folder.router, pod(name="one")
    folder.write_key()
    folder.write_azure()
    eventually(lambda: router.status()["endpoints"], "the endpoint in /status", patience=5)
    assert scores(router).status == 401  # the endpoint has no keys yet
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).headers.get("x-pod") == "one", "an answer of the pod", patience=5)


def test_a_changed_overlay_is_taken_up_within_a_second(folder, pod):
    router, old, new = folder.router, pod(name="old"), pod(name="new")
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(old))
    eventually(lambda: scores(router).headers.get("x-pod") == "old", "an answer of the old replica", patience=5)
    router.reloaded(lambda: folder.write_overlay(overlay(new)))
    eventually(lambda: scores(router).headers.get("x-pod") == "new", "an answer of the new replica", patience=5)


def test_a_pipeline_may_write_overlay_and_files_in_any_order(folder, pod):
    """Until all files are complete, each change is refused and logged, and the old state stays."""
    router, one = folder.router, pod(name="one")
    folder.write_key()
    told = folder.refused(lambda: folder.write_overlay(
        overlay(one).replace("    traffic: {blue: 100}\n", "") + "files:\n  iris-blue.yml: {endpoint_name: iris, all_traffic: true}\n"))
    assert "iris.overlay.yml:2: endpoints.iris: no file describes an endpoint of this name; there is none" in told
    folder.write_azure(endpoint_name=False)
    eventually(lambda: scores(router).headers.get("x-pod") == "one", "an answer of the pod", patience=5)


def test_a_bad_overlay_refuses_the_change_and_tells_its_place(folder, pod):
    router, one = folder.router, pod(name="one")
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).status == 200, "an answer of the pod", patience=5)
    generation = router.generation()
    told = folder.refused(lambda: folder.write_overlay("endpoints: {iris: {replica: 1}}\n", "more.overlay.yaml"))
    assert "more.overlay.yaml:1: endpoints.iris.replica: unknown key" in told
    assert router.generation() == generation and scores(router).status == 200
    router.reloaded(lambda: (folder.path / "more.overlay.yaml").unlink())
    assert scores(router).status == 200


def test_a_key_file_that_an_overlay_names_revokes_also_while_the_yaml_is_refused(folder, pod):
    router, one = folder.router, pod(name="one")
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).status == 200, "an answer of the pod", patience=5)
    folder.refused(lambda: folder.write_overlay("endpoints: [\n", "more.overlay.yml"))
    folder.write_key(SECONDARY)
    eventually(lambda: scores(router, key=SECONDARY).status == 200, "the new key to be valid", patience=5)
    assert scores(router, key=PRIMARY).status == 401
    assert PRIMARY not in router.log and SECONDARY not in router.log


def test_a_removed_overlay_closes_the_endpoint(folder, pod):
    """Its contents do not apply any more, including its keys."""
    router, one = folder.router, pod(name="one")
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).status == 200, "an answer of the pod", patience=5)
    (folder.path / "iris.overlay.yml").unlink()
    eventually(lambda: scores(router).status == 401, "the endpoint to be closed", patience=5)


def test_one_overlay_for_each_model_without_touching_the_others(folder, pod):
    router, one, two = folder.router, pod(name="one"), pod(name="two")
    folder.write_key()
    folder.write_azure()
    folder.write_overlay(overlay(one))
    eventually(lambda: scores(router).status == 200, "the first endpoint to answer", patience=5)
    folder.write_azure("rose")
    folder.write_overlay(overlay(two, name="rose"), "rose.overlay.yml")
    eventually(lambda: scores(router, "rose").headers.get("x-pod") == "two", "the second endpoint to answer", patience=5)
    assert scores(router).headers.get("x-pod") == "one"
