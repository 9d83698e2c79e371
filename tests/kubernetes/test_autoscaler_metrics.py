"""What routers that scale tell Prometheus, the dashboard, the alerts and KEDA."""

import json
from urllib.parse import urlsplit

import pytest
import yaml
from fleet.harness.scenes import Asked
from support.dashboard import OF_THE_AUTOSCALER, RULES, Dashboard
from support.load import Plan
from support.prometheus import Prometheus
from support.wait import eventually

from harness.helm import CHART
from harness.scaling_fixtures import READ, wait_leader

SLEEP = 0.05  # seconds of a request


@pytest.fixture
def scrape(tmp_path):
    """`scrape(fleet)`: a Prometheus that scrapes all its routers."""
    started = []

    def make(fleet):
        targets = {f"{one.host}:{one.observe_port}": {"instance": one.host} for one in fleet.running()}
        started.append(Prometheus(tmp_path / "prometheus", targets, rules=[RULES]))
        return started[-1]

    yield make
    for one in started:
        one.stop()


def by_reason(prometheus):
    return {labels["by"]: value for labels, value in prometheus.now("inference_router_scaling_limited")}


def conditions_that_hold(prometheus, *names):
    """The alerts of these whose condition holds now, whatever their `for`."""
    rules = {rule["name"]: rule["query"] for rule in prometheus.rules()}
    return {name for name in names if prometheus.now(rules[name])}


def test_every_panel_of_the_autoscaler_has_data_and_keda_gets_the_demand(scaling, fleet_load, scrape):
    one = scaling.scale(replicas=1, most=3, sleep=SLEEP)
    fleet = scaling.routers(2)
    head = wait_leader(fleet, one)
    prometheus = scrape(fleet)
    fleet_load(fleet, 3 / SLEEP, 30, plan=lambda number: Plan(body=b"%d" % number, path=one.score))
    queries = [query for query in Dashboard().queries if query.needs_autoscaler]
    assert OF_THE_AUTOSCALER <= set().union(*(query.metrics for query in queries))
    eventually(lambda: not [query.expression for query in queries if not prometheus.now(query.expression)], "data for each query",
               patience=60, pause=0.5)
    assert one.replicas() == 3
    eventually(lambda: by_reason(prometheus) == {"AtMaximum": 1}, "the maximum to be told", patience=30, pause=0.5)
    assert conditions_that_hold(prometheus, "InferenceRouterAtMaximum", "InferenceRouterMayNotScale") == {"InferenceRouterAtMaximum"}

    # The example for KEDA: its path, and where the value is in the answer.
    trigger = yaml.safe_load((CHART / "examples" / "demand-keda.yaml").read_text())["spec"]["triggers"][0]["metadata"]
    path = urlsplit(trigger["url"]).path.replace("/team-a/my-endpoint/blue", f"/{one.namespace}/{one.endpoint}/blue")
    for router in fleet.running():
        status, text = router.observe(path)
        assert status == 200
        answer = json.loads(text)
        assert answer[trigger["valueLocation"]] > 2 and answer["wanted_replicas"] == 3 and answer["active"] is True
    [(_, needed)] = prometheus.now("sum(inference_router_demand_slots)")
    assert needed == pytest.approx(json.loads(head.observe(path)[1])["demand_slots"], rel=0.5)
    assert head.observe(path.replace("/blue", "/green"))[0] == 404


def test_a_router_that_observes_raises_no_alarm(scaling, scrape):
    """An upgrade of a router whose resources have scale_settings: nobody has marked the target, and pods are missing."""
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, marked=False, rights=READ)
    fleet = scaling.routers(1, mode=None)
    wait_leader(fleet, one)
    prometheus = scrape(fleet)
    eventually(lambda: by_reason(prometheus) == {"Observe": 1}, "the mode to be told", patience=30, pause=0.5)
    alerts = [rule["name"] for rule in prometheus.rules()]
    own = [name for name in alerts if name.endswith(("HeldAtZero", "ReplicasDoNotStart", "AtMaximum", "MayNotScale", "ScaleWritesFail"))]
    assert len(own) == 5
    assert conditions_that_hold(prometheus, *own) == set()
    assert one.reason() == "TargetNotMarked"


def test_a_target_that_nobody_has_marked_raises_one_where_the_router_acts(scaling, scrape):
    one = scaling.scale(replicas=1, most=6, sleep=SLEEP, marked=False)
    fleet = scaling.routers(1)
    wait_leader(fleet, one)
    prometheus = scrape(fleet)
    eventually(lambda: by_reason(prometheus) == {"TargetNotMarked": 1}, "the reason to be told", patience=30, pause=0.5)
    assert conditions_that_hold(prometheus, "InferenceRouterMayNotScale") == {"InferenceRouterMayNotScale"}


def test_requests_that_nobody_may_start_a_pod_for_are_told(scaling, scrape):
    """The routers hold requests, and have no right to write."""
    one = scaling.scale(replicas=0, least=0, sleep=0.01, rights=READ, scaling={"hold_ms": 60000})
    scaling.may_be_forbidden.add(one.namespace)
    fleet = scaling.routers(1)
    head = wait_leader(fleet, one)
    eventually(lambda: one.reason() == "Idle", "it to be idle")
    prometheus = scrape(fleet)
    asked = Asked(head, path=one.score)
    eventually(lambda: prometheus.now("inference_router_held_requests > 0"), "the request to be held", patience=30, pause=0.5)
    assert conditions_that_hold(prometheus, "InferenceRouterHeldAtZero") == {"InferenceRouterHeldAtZero"}
    one.kubectl_scale(1)
    assert asked.answer().status == 200
