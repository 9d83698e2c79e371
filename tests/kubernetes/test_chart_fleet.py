"""What the chart renders for several routers that share the slots of the pods (`inferenceRouterHA`). test_chart.py installs it."""

import os
import subprocess

import pytest
import yaml

from harness.helm import CHART, older_chart, rendered_notes
from harness.variants import HTTP, ONE, VARIANTS
from support.router import BINARY

NAME = "models-inference-router"
OWN = {"app.kubernetes.io/name": "inference-router", "app.kubernetes.io/instance": "models"}
OF_A_FLEET = {"Secret", "NetworkPolicy", "PodDisruptionBudget"}  # kinds that one router does not have


class Rendered:
    """The objects of one rendering, by kind."""

    def __init__(self, helm, values, *options):
        self.text = helm("template", "models", CHART, "--namespace", "a", *options, values=values)
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(self.text) if one}
        self.kinds = {kind for kind, _ in self.objects}
        self.deployment = self["Deployment"]["spec"]
        self.pod = self.deployment["template"]["spec"]
        [self.container] = self.pod["containers"]
        self.router_yaml = yaml.safe_load(self["ConfigMap"]["data"]["router.yaml"])
        self.annotations = self.deployment["template"]["metadata"]["annotations"]

    def __getitem__(self, kind):
        return self.objects[kind, NAME]

    def rules(self):
        return self.objects["Role", f"a.{NAME}-own"]["rules"]


@pytest.fixture
def rendered(helm):
    """`rendered(fleet={…})`: the chart with this value and HTTP, and three routers by default."""
    return lambda **values: Rendered(helm, {**HTTP, **values})


def test_three_routers_are_the_default_and_an_explicit_false_is_one_without_a_fleet(rendered):
    three, one = rendered(), rendered(inferenceRouterHA=False)
    assert three.deployment["replicas"] == 3 and three.kinds >= OF_A_FLEET
    assert three.router_yaml["fleet"] == {
        "listen": "0.0.0.0:9903", "advertise": "${POD_IP}:9903", "pod_uid": "${POD_UID}", "lease": f"{NAME}-fleet", "secret": f"{NAME}-fleet",
        "running_grace_s": 5, "take_after_s": 60}
    assert one.deployment["replicas"] == 1 and not one.kinds & OF_A_FLEET
    assert "fleet" not in one.text and "9903" not in one.text and "env" not in one.container and "checksum/fleet" not in one.annotations


@pytest.mark.parametrize("name", VARIANTS)
def test_the_router_accepts_what_the_chart_writes(rendered, name, tmp_path):
    """With and without a fleet. The certificate is mounted in a Pod only."""
    shown = rendered(**VARIANTS[name])
    file = tmp_path / "router.yaml"
    for listener in shown.router_yaml["listeners"]:
        listener.pop("tls", None)
    file.write_text(yaml.safe_dump(shown.router_yaml))
    environment = {**os.environ, "POD_IP": "10.1.2.3", "POD_UID": "5f0b7b1c-0000-4000-8000-000000000000"}
    done = subprocess.run([BINARY, "--config", file, "--check"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pod_knows_its_address_and_its_uid_and_has_the_port(rendered):
    container = rendered(outboundProxy={"noProxy": "10.0.0.0/8"}).container
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"] if "valueFrom" in one}
    assert fields == {"POD_IP": "status.podIP", "POD_UID": "metadata.uid"}
    assert {"name": "NO_PROXY", "value": "10.0.0.0/8"} in container["env"]
    assert {"name": "fleet", "containerPort": 9903} in container["ports"]


def test_no_service_has_the_port_of_the_fleet(rendered):
    ports = {port["port"] for (kind, _), one in rendered().objects.items() if kind == "Service" for port in one["spec"]["ports"]}
    assert ports == {80, 9901}


def test_the_secret_has_no_data_so_two_renderings_are_the_same_text(rendered):
    first, second = rendered(), rendered()
    secret = first.objects["Secret", f"{NAME}-fleet"]
    assert secret["type"] == "Opaque" and not {"data", "stringData", "immutable"} & set(secret)
    assert first.text == second.text


def test_the_rights_are_those_on_one_lease_and_one_secret_by_name(rendered):
    def rights(shown):
        return {(rule["resources"][0], tuple(rule.get("resourceNames", [])), tuple(rule["verbs"])) for rule in shown.rules()}
    without = {("leases", (), ("create",)), ("leases", (NAME,), ("get", "update")), ("services", (NAME,), ("get",))}
    assert rights(rendered(inferenceRouterHA=False)) == without
    assert rights(rendered()) - without == {
        ("leases", (f"{NAME}-fleet",), ("get", "update", "list", "watch")), ("secrets", (f"{NAME}-fleet",), ("update", "list", "watch"))}


def test_only_the_routers_reach_the_port_of_the_fleet_and_the_others_stay_open(rendered):
    policy = rendered(sslSecret="router-tls")["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == {"matchLabels": OWN} and policy["policyTypes"] == ["Ingress"]
    others, fleet = policy["ingress"]
    assert others == {"ports": [{"port": "http"}, {"port": "https"}, {"port": "observe"}]}  # from everywhere
    assert fleet == {"ports": [{"port": "fleet"}], "from": [{"podSelector": {"matchLabels": OWN}}]}


def test_a_policy_that_was_asked_for_lets_the_routers_reach_each_other(rendered):
    peers = [{"namespaceSelector": {}}]
    for fleet in ({}, {"networkPolicy": False}):
        policy = rendered(networkPolicy={"enabled": True, "from": peers, "observeFrom": peers}, fleet=fleet)["NetworkPolicy"]["spec"]
        assert policy["ingress"] == [
            {"ports": [{"port": "http"}], "from": peers}, {"ports": [{"port": "observe"}], "from": peers},
            {"ports": [{"port": "fleet"}], "from": [{"podSelector": {"matchLabels": OWN}}]}]


def test_the_policy_can_be_left_to_others(rendered):
    assert "NetworkPolicy" not in rendered(fleet={"networkPolicy": False}).kinds


def test_a_rollout_needs_no_room_for_a_fourth_router_and_nodes_and_zones_are_wishes(rendered):
    three = rendered()
    assert three.deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 1
    assert three["PodDisruptionBudget"]["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": OWN}}
    [wish] = three.pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert list(three.pod["affinity"]["podAntiAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["podAffinityTerm"] == {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": OWN}}
    assert three.pod["topologySpreadConstraints"] == [{
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": OWN}}]
    own = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    assert [one["topologyKey"] for one in rendered(topologySpreadConstraints=[own]).pod["topologySpreadConstraints"]] == ["rack"]
    one = rendered(inferenceRouterHA=False)
    assert one.deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert not {"affinity", "topologySpreadConstraints"} & set(one.pod)


def test_the_pod_may_end_as_slowly_as_the_router_drains(rendered):
    three = rendered(drainDelaySeconds=7, drainGraceSeconds=60)
    drain = three.router_yaml["drain_delay_ms"] + three.router_yaml["drain_grace_ms"]
    assert three.pod["terminationGracePeriodSeconds"] * 1000 == drain + 10_000  # the process exits within 10 s after that
    assert "lifecycle" not in three.container


def test_settings_of_the_fleet_go_to_router_yaml_and_roll_the_pods(rendered):
    plain, other = rendered(), rendered(fleet={"runningGraceSeconds": 30, "takeAfterSeconds": 120, "trustRefused": False})
    told = other.router_yaml["fleet"]
    assert (told["running_grace_s"], told["take_after_s"], told["trust_refused"]) == (30, 120, False)
    assert plain.annotations["checksum/fleet"] != other.annotations["checksum/fleet"]
    assert plain.annotations == rendered(logLevel="debug", fleet={"networkPolicy": False}).annotations


@pytest.mark.parametrize("fleet", [{"runningGraceSeconds": 31}, {"takeAfterSeconds": 29}, {"trustRefused": "no"}, {"trust_refused": False}],
                         ids=str)
def test_settings_that_the_router_would_refuse_are_refused(helm, fleet):
    done = helm.run("template", "models", CHART, values={**HTTP, "fleet": fleet})
    assert done.returncode != 0 and next(iter(fleet)) in done.stderr


@pytest.mark.parametrize("ha", [False, True])
def test_with_reuse_values_the_number_of_routers_stays_and_missing_values_have_their_defaults(helm, rendered, ha, tmp_path):
    """Helm then takes the values of the chart before, its defaults too, in place of those of this chart."""
    before = older_chart(tmp_path)
    kept = yaml.safe_load((before / "values.yaml").read_text())
    assert "fleet" not in kept and kept["inferenceRouterHA"] is False
    shown = rendered(**{**kept, **HTTP, "inferenceRouterHA": ha, "fleet": None})  # null: the value does not exist
    assert shown.deployment["replicas"] == (3 if ha else 1)
    fleet = shown.router_yaml.get("fleet", {})
    assert ("lease" in fleet) == ha and not {"running_grace_s", "take_after_s", "trust_refused"} & set(fleet)
    assert ("NetworkPolicy" in shown.kinds) == ha


def test_the_notes_tell_it_before_anything_else(helm, tmp_path):
    def first_of(values, *options):
        return yaml.safe_load(rendered_notes(helm, values, tmp_path, *options))["data"]["told"].strip().split("\n\n")[0]
    new, upgraded = first_of(HTTP), first_of({**HTTP, "drainGraceSeconds": 60}, "--is-upgrade")
    assert new.startswith("NOTE: three routers run") and "twice" not in new
    assert upgraded.startswith("NOTE: three routers run") and "inferenceRouterHA=false" in upgraded and "upgrading.md" in upgraded
    assert "twice" in upgraded and "at most\n85 s" in upgraded
    assert first_of(ONE).startswith("NOTE: one router runs (inferenceRouterHA=false)")


def test_the_example_of_egress_lets_the_routers_reach_each_other():
    policy = yaml.safe_load((CHART / "examples" / "router-egress-networkpolicy.yaml").read_text())["spec"]
    own = policy["podSelector"]
    assert {"to": [{"podSelector": own}], "ports": [{"port": 9903}]} in policy["egress"]
