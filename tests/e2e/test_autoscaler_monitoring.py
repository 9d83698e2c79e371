"""What tells of the autoscaler. Its reasons, in the alerts and in the page for operators. The dashboard's row, with a real Prometheus that
scrapes two pages: what a router that decides and another one expose about one deployment that is scaled and one that is not. And the example
of a HorizontalPodAutoscaler, which asks for the same figures."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from support.dashboard import CHART, OF_THE_AUTOSCALER, RULES, Dashboard
from support.prometheus import Prometheus
from support.router import ROOT
from support.wait import eventually

BLUE = 'endpoint="iris",deployment="blue"'
OTHER = 'endpoint="plain",deployment="green"'  # it has no scale_settings

# Two slots a replica: two replicas are ready, one of which is ejected, and a third one starts. `{writes}` grows with each scrape.
DECIDES = """
demand_slots{%(blue)s} 3.5
scaling_demand_slots{%(blue)s,part="busy"} 2.5
scaling_demand_slots{%(blue)s,part="waiting"} 1.5
scaling_demand_slots{%(blue)s,part="held"} 0
scaling_demand_slots{%(blue)s,part="offered"} 7
scaling_wanted_replicas{%(blue)s} 5
scaling_current_replicas{%(blue)s} 3
scaling_pod_start_seconds{%(blue)s} 42
scaling_limited{%(blue)s,by="Observe"} 1
scaling_writes_total{result="written"} {writes}
held_requests{%(blue)s} 2
held_bytes 3000
slots{%(blue)s} 0
slots{%(other)s} 0
"""
HOME = """
demand_slots{%(blue)s} 3.5
held_requests{%(blue)s} 1
held_bytes 1000
slots{%(blue)s} 6
slots{%(other)s} 100
"""
BOTH = """
replicas{%(blue)s,state="ready"} 1
replicas{%(blue)s,state="ejected"} 1
replicas{%(blue)s,state="not_ready"} 1
replicas{%(blue)s,state="terminating"} 4
replicas{%(other)s,state="ready"} 50
"""


class Page:
    """Serves one text, as a router's /metrics."""

    def __init__(self, text):
        lines = (text + BOTH).replace("%(blue)s", BLUE).replace("%(other)s", OTHER).strip().splitlines()
        scrapes = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                scrapes.append(self.path)
                body = "".join(f"inference_router_{line}\n" for line in lines if line).replace("{writes}", str(len(scrapes)))
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    pages = [Page(DECIDES), Page(HOME)]
    scraping = Prometheus(tmp_path_factory.mktemp("prometheus"),
                          {one.address: {"instance": name} for one, name in zip(pages, ["decides", "home"])})
    yield scraping
    scraping.stop()
    for one in pages:
        one.close()


def panels():
    return [panel for panel in Dashboard().panels if any(query.needs_autoscaler for query in panel.queries)]


def shown(prometheus, panel):
    """The value of each line of the panel, by the name in its legend."""
    found = {}
    for query in panel.queries:
        for labels, value in prometheus.now(query.expression):
            found[re.sub(r"\{\{(\w+)\}\}", lambda match, labels=labels: labels[match[1]], query.legend)] = value
    return found


def reasons():
    """The reasons of the condition Autoscaled, in their order; and those of them for which it is not True."""
    header, source = ((ROOT / "router" / "scaling" / f"decide.{kind}").read_text() for kind in ("h", "cpp"))
    names = dict(re.findall(r'case Reason::(k\w+): return "(\w+)";', source))
    enum = header[header.index("enum class Reason"):header.index("std::string_view name_of(Reason")]
    true, _, false = enum.partition("// Autoscaled is False")
    listed = [[names[one] for one in re.findall(r"^  (k\w+),", part, re.M)] for part in (true, false)]
    return listed[0] + listed[1], listed[1]


def test_the_page_explains_every_reason_of_the_condition():
    page = (ROOT / "docs" / "autoscaling.md").read_text()
    page = page[page.index("## What the condition says"):page.index("## Where else it tells")]
    explained = {name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in re.findall(r"`(\w+)`", row)}
    told = re.findall(r'kN\w+ = "(\w+)";', (ROOT / "router" / "discovery" / "resource_status.h").read_text())
    own = {"NotYet", "NotConfigured"}  # of nobody's decision
    assert own <= set(told)
    assert explained == set(reasons()[0]) | own


def test_links_of_the_page_lead_somewhere():
    page = ROOT / "docs" / "autoscaling.md"
    for file, anchor in re.findall(r"\]\((?!https:)([\w./-]*)#?([\w-]*)\)", page.read_text()):
        document = (page.parent / file).resolve() if file else page
        assert document.exists(), file
        titles = re.findall(r"^#+ (.*)$", document.read_text(), re.M) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in titles}, f"{file}#{anchor}"


def test_alerts_name_reasons_that_exist_and_each_one_for_which_nothing_may_be_written():
    every, not_true = reasons()
    rules = RULES.read_text()
    used = [one for one in re.findall(r'by(?:=~|!~|!=|=)"([^"]+)"', rules)]
    spelt = {name for one in used for name in re.sub(r"Frozen\(([^)]*)\)", lambda found: "|".join(
        f"Frozen{name}" for name in found[1].split("|")), one).split("|")}
    assert spelt and spelt <= {*every, "Observe"}
    alert = rules[rules.index("InferenceRouterMayNotScale"):]
    [told] = re.findall(r'by=~"([^"]+)"', alert[:alert.index("for: ")])
    assert set(told.split("|")) == set(not_true) - {"ManagedByAzureML"}  # nobody expects these to be scaled here


def test_the_pages_have_every_metric_of_the_autoscaler_as_the_router_names_them():
    names = set(re.findall(r'"(inference_router_\w+)"', (ROOT / "router" / "metrics" / "names.h").read_text()))
    assert OF_THE_AUTOSCALER <= names
    assert OF_THE_AUTOSCALER <= {f"inference_router_{name}" for name in re.findall(r"^\w+", DECIDES, re.M)}
    assert OF_THE_AUTOSCALER == {one for one in names if re.search("_scaling_|_held_|_demand_slots", one)}


@pytest.mark.parametrize("title, expected", [
    ("Demand and slots", {"needed": 7, "busy": 2.5, "waiting": 1.5, "held": 0, "offered": 7, "there": 6, "wanted": 10}),
    ("Replicas: wanted, asked for, ready", {"iris/blue wanted": 5, "iris/blue asked for": 3, "iris/blue ready": 2}),
    ("What decides in place of the demand", {"Observe": 1}),
    ("Held requests", {"iris/blue": 3}),
    ("Memory of held requests", {"decides": 3000, "home": 1000}),
    ("Start of a pod", {"iris/blue": 42}),
])
def test_each_panel_of_the_autoscaler_shows_the_fleet(prometheus, title, expected):
    [panel] = [one for one in panels() if one.title == title]
    eventually(lambda: shown(prometheus, panel) == expected, f"{title} to show {expected}",
               patience=20, pause=0.2)


def test_writes_are_shown_by_result(prometheus):
    [panel] = [one for one in panels() if one.title == "Writes of spec.replicas"]
    eventually(lambda: shown(prometheus, panel).get("written", 0) > 0, "writes to be shown", patience=20, pause=0.2)


def test_no_panel_of_the_autoscaler_is_left_out_above():
    assert len(panels()) == 7


def test_the_rule_for_prometheus_adapter_gives_the_autoscaler_the_demand_of_the_fleet(prometheus):
    text = (CHART / "examples" / "demand-hpa.yaml").read_text()
    commented = "\n".join(line[2:] for line in text[text.index("# rules:"):].splitlines() if line.startswith("#"))
    [rule] = yaml.safe_load(commented)["rules"]["external"]
    asked = yaml.safe_load(text)["spec"]["metrics"][0]["external"]["metric"]
    assert rule["resources"] == {"namespaced": False}
    # The adapter fills these in, from the HorizontalPodAutoscaler (docs/externalmetrics.md of prometheus-adapter).
    labels = asked["selector"]["matchLabels"] | {"namespace": "routers", "endpoint": "iris", "deployment": "blue"}
    assert labels.keys() == asked["selector"]["matchLabels"].keys()
    matchers = ",".join(f'{name}="{value}"' for name, value in labels.items())
    query = rule["metricsQuery"].replace("<<.Series>>", asked["name"]).replace("<<.LabelMatchers>>", matchers)
    eventually(lambda: [value for _, value in prometheus.now(query)] == [7], "the demand of both routers", patience=20, pause=0.2)
    series = {labels["__name__"] for labels, _ in prometheus.now(rule["seriesQuery"])}
    assert series == {asked["name"]}
