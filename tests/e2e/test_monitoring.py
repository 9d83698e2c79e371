"""The chart's alerts and its dashboard, with a real Prometheus that scrapes a real router under load."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.dashboard import CHART, OF_A_CLUSTER, OF_THE_AUTOSCALER, RULES, Dashboard
from support.router import ROOT
from support.wait import eventually

sys.path.insert(0, str(ROOT / "tests" / "support" / "dashboard"))

from plot import draw  # noqa: E402
from scene import Scene  # noqa: E402

RULES_TEST = Path(__file__).parent / "monitoring" / "rules_test.yaml"
OPERATIONS = ROOT / "docs" / "operations.md"
PATIENCE = 40  # seconds until every query has data


def promtool(*arguments):
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


def alerts():
    """The text of each alert in rules.yaml, by its name."""
    _, *blocks = re.split(r"^ {6}- alert: ", RULES.read_text(), flags=re.MULTILINE)
    return {block.split("\n", 1)[0]: block for block in blocks}


def metrics_of_the_router():
    return set(re.findall(r'"(inference_router_\w+)"', (ROOT / "router" / "metrics" / "names.h").read_text()))


def headings(document):
    """The anchors of its headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in found}


# --- the alerts, without a router

def test_promtool_accepts_the_rules():
    done = promtool("check", "rules", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_must_and_only_then():
    done = promtool("test", "rules", RULES_TEST)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_expected_by_a_test(tmp_path):
    """With rules that have none of the alerts, promtool reports each expected alert as missing."""
    (tmp_path / "rules.yaml").write_text("groups: []\n")
    changed = re.sub(r"^rule_files: .*", "rule_files: [rules.yaml]", RULES_TEST.read_text(), flags=re.MULTILINE)
    (tmp_path / "rules_test.yaml").write_text(changed)
    done = promtool("test", "rules", tmp_path / "rules_test.yaml")
    assert done.returncode != 0
    assert set(re.findall(r'alertname="(\w+)"', done.stdout + done.stderr)) == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_every_alert_tells_what_it_is_and_what_to_do(name):
    block = alerts()[name]
    assert re.search(r"severity: (warning|critical)\n", block)
    assert re.search(r"\n          summary: \S", block) and re.search(r"\n          description: \S", block)
    assert f"runbook: docs/operations.md#{name.lower()}\n" in block
    assert name.lower() in headings(OPERATIONS)
    # An annotation may use only labels that the expression keeps.
    kept = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", block) for label in labels.split(",")}
    assert set(re.findall(r"\$labels\.(\w+)", block)) <= kept


def test_operations_explains_every_reason():
    reasons = set(re.findall(r'return "(\w+)";', (ROOT / "router" / "base" / "failure.h").read_text()))
    explained = set(re.findall(r"^\| `(\w+)` [\d, ]+\|", OPERATIONS.read_text(), flags=re.MULTILINE))
    assert reasons and explained >= reasons, reasons - explained


def test_links_of_operations_lead_somewhere():
    for file, anchor in re.findall(r"\]\(([\w./]*)#?([\w-]*)\)", OPERATIONS.read_text()):
        document = (OPERATIONS.parent / file).resolve() if file else OPERATIONS
        assert document.exists(), file
        assert not anchor or anchor in headings(document), f"{file}#{anchor}"


# --- the dashboard

def test_the_dashboard_shows_every_metric_of_the_router_and_no_other():
    shown = set().union(*(query.metrics for query in Dashboard().queries))
    assert shown == metrics_of_the_router()


def test_the_alerts_use_metrics_of_the_router_alone():
    used = set(re.findall(r"inference_router_\w+?(?=_sum\b|_count\b|\b)", RULES.read_text()))
    assert used and used <= metrics_of_the_router()


def test_panels_do_not_overlap_and_are_told_apart():
    panels = [panel.described for panel in Dashboard().panels]
    assert len({one["id"] for one in panels}) == len(panels)
    taken = [(x, y) for one in panels for place in [one["gridPos"]]
             for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
    assert len(set(taken)) == len(taken)
    assert all(0 <= x < 24 for x, _ in taken)


def test_every_query_of_the_dashboard_has_data_and_every_alert_is_evaluated(tmp_path):
    with Scene(tmp_path) as scene:
        prometheus, dashboard = scene.prometheus, Dashboard(scene.prometheus.interval)
        scene.start_load()
        scene.overload()
        waiting = [query for query in dashboard.queries if not query.needs_cluster and not query.needs_autoscaler]
        assert len(waiting) > 40

        def all_have_data():
            waiting[:] = [one for one in waiting if not prometheus.has_data(one.expression, scene.begun, one.instant)]
            return not waiting
        try:
            eventually(all_have_data, "data for each query", patience=PATIENCE, pause=0.5)
        except AssertionError as error:
            raise AssertionError("no data: " + "\n".join(f"{one.panel}: {one.expression}" for one in waiting)) from error

        # The metrics of a cluster do not exist here; tests/kubernetes/test_monitoring.py tests them. Those of the autoscaler: the test below.
        assert not [one for one in OF_A_CLUSTER | OF_THE_AUTOSCALER if prometheus.now(one)]
        for name, metric, label in dashboard.variable_queries():
            assert prometheus.label_values(metric, label), name
        # The name of the Service's port has not replaced the label of the scoring endpoint.
        assert set(prometheus.label_values("inference_router_slots", "endpoint")) == {"my-endpoint", "vision"}

        evaluated = prometheus.rules()
        assert {one["name"] for one in evaluated} == set(alerts())
        eventually(lambda: all(one["health"] != "unknown" for one in prometheus.rules()), "the rules to be evaluated")
        evaluated = prometheus.rules()
        assert not [one for one in evaluated if one["health"] != "ok" or one.get("lastError")]
        # Each condition is evaluated alone, so that one that never holds is tested too.
        for one in evaluated:
            prometheus.now(one["query"])
        picture = draw(dashboard, prometheus, scene.begun)
        (ROOT / "build").mkdir(exist_ok=True)
        (ROOT / "build" / "dashboard.svg").write_text(picture)
