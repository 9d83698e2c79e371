"""Whatever fails or changes while the autoscaler scales: nothing is written twice or lost, what serves stays, and the condition says why.

Most tests use the same two routers; each has a deployment of its own."""

import itertools
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from fleet.harness.scenes import Asked
from harness import resources
from harness.api import ApiError
from harness.objects import deployment, service
from harness.scaling_fixtures import MANAGER, READ, SCALED_FOR, assert_explained, running_scene, wait_leader
from support.load import Load, Plan
from support.reload import take_up
from support.wait import eventually, stays

POLLING = 1.0  # seconds: polling_interval
LOOK = 5.0  # seconds between two looks at a target
AT_ONCE = POLLING + 0.2  # seconds until a decision is written
NEVER_READY = {"test/ready-delay": "never"}
CASES = {
    "steps": {}, "policy": {}, "meanwhile": {}, "deleted": {}, "unmarked": {}, "forgotten": {}, "modes": {}, "silent": {},
    "hpa": {}, "rollout": {"replicas": 2},
    "pending": {"replicas": 2, "least": 2, "most": 20, "sleep": 0.02, "target_utilization_percentage": 60, "pods": NEVER_READY},
    "foreign": {}, "no writes": {"rights": READ}, "blind": {"rights": ()},
    "hpa at zero": {"replicas": 0, "least": 0, "requests": {"max_queue_wait_ms": 500}, "scaling": {"hold_ms": 3000}},
    "mirrored": {"replicas": 0, "least": 0, "target_utilization_percentage": 100,
                 "traffic": {"traffic": {"green": 100}, "mirror_traffic": {"blue": 50}}},
}


@pytest.fixture(scope="module")
def shared(cluster, kinds, tmp_path_factory):
    """Two routers, and a deployment for each case."""
    with running_scene(tmp_path_factory.mktemp("scaling"), cluster, "scaling-failures") as scene:
        cases = {name: scene.scale(wait=False, **{"most": 6, **case}) for name, case in CASES.items()}
        for each in cases.values():
            each.wait_pods()
        scene.may_be_forbidden = {cases[name].namespace for name in ("no writes", "blind")}
        for pod in cluster.pods.all(cases["pending"].namespace):
            pod.set_ready(True)
        fleet = scene.routers(2)
        wait_leader(fleet, cases["steps"])
        yield SimpleNamespace(fleet=fleet, cases=cases, cluster=cluster, scene=scene)


@pytest.fixture
def case(shared, request):
    """The deployment that the test is about, its changes from now on, and the leader."""
    one = shared.cases[request.param]
    one.watch()
    return one, wait_leader(shared.fleet, one)


def about(name):
    return pytest.mark.parametrize("case", [name], indirect=True, ids=[name.replace(" ", "-")])


def wait_replicas(one, count, patience=15):
    eventually(lambda: one.replicas() == count, f"{count} replicas", patience, 0.05)


def wait_reason(one, *reasons, patience=15):
    eventually(lambda: one.reason() in reasons, f"{reasons}: {one.condition()}", patience, 0.05)


@about("steps")
def test_what_is_wanted_is_written_within_a_polling_interval(shared, case):
    """The time begins before the resource is changed, so it includes the watch that brings the change."""
    one, _ = case
    took = []
    for least in (2, 3, 4, 5):
        begun = time.monotonic()
        one.want(least)
        eventually(lambda: one.changes() and one.changes()[-1][1] == least, f"{least} replicas", pause=0.005)  # noqa: B023
        took.append(next(at for at, seen in one._watched.seen if seen["spec"]["replicas"] == least) - begun)
    print(f"written after {', '.join(f'{1000 * each:.0f}' for each in took)} ms")
    assert max(took) <= AT_ONCE
    assert assert_explained(shared.fleet, one) == [(1, 2), (2, 3), (3, 4), (4, 5)]


@contextmanager
def policy(cluster, one, most):
    """The API server admits at most so many replicas of the deployment's namespace."""
    name, admission = f"at-most-{most}", "/apis/admissionregistration.k8s.io/v1"
    rules = {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"]}],
             "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": one.namespace}}}
    cluster.api.post(f"{admission}/validatingadmissionpolicies", {"metadata": {"name": name}, "spec": {
        "matchConstraints": rules, "validations": [{"expression": f"object.spec.replicas <= {most}", "message": "the budget is used up"}]}})
    cluster.api.post(f"{admission}/validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": {
        "policyName": name, "validationActions": ["Deny"]}})

    def acts():
        try:
            cluster.api.send("PATCH", f"{one.path}/scale", {"spec": {"replicas": most + 1}}, "application/merge-patch+json", dryRun="All")
            return False
        except ApiError as error:
            return "the budget is used up" in error.message
    try:
        eventually(acts, "the policy to act", 30, 0.1)
        yield
    finally:
        cluster.api.delete(f"{admission}/validatingadmissionpolicybindings/{name}")
        cluster.api.delete(f"{admission}/validatingadmissionpolicies/{name}")


@about("policy")
def test_a_refusal_of_the_api_server_is_told_and_tried_again_until_it_is_gone(shared, case):
    one, _ = case
    with policy(shared.cluster, one, most=1):
        one.want(3)
        wait_reason(one, "TargetRefuses")
        status, _, message = one.condition()
        assert status == "False" and "1 -> 3: " in message and "the budget is used up" in message
        eventually(lambda: len(one.writes()) >= 2, "another try", 15, 0.2)
        assert one.replicas() == 1
        assert "ScaleRefused" in {reason for reason, _ in one.events()}
    wait_replicas(one, 3, patience=70)
    eventually(lambda: one.condition()[0] == "True", "the condition", 15, 0.05)
    assert [code for _, code in one.writes()].count(200) == 1
    assert assert_explained(shared.fleet, one) == [(1, 3)]


@about("meanwhile")
def test_an_object_that_changes_all_the_time_is_scaled_once(shared, case):
    """Each PUT has the resourceVersion that was seen, so many of them are answered 409."""
    one, _ = case
    ended = threading.Event()

    def change():
        for number in itertools.count():
            if ended.wait(0.005):
                return
            one.patch({"metadata": {"annotations": {"test/changed": str(number)}}})
    changing = threading.Thread(target=change)
    changing.start()
    try:
        for least in (2, 4, 5):
            one.want(least)
            wait_replicas(one, least, patience=30)
    finally:
        ended.set()
        changing.join()
    assert 409 in {code for _, code in one.writes()}
    assert assert_explained(shared.fleet, one) == [(1, 2), (2, 4), (4, 5)]


@about("deleted")
def test_a_target_that_is_deleted_and_made_again(shared, case):
    one, _ = case
    shared.cluster.api.delete(one.path)
    wait_reason(one, "TargetNotFound")
    target = deployment(one.target, 1)
    target["metadata"]["annotations"] = {SCALED_FOR: f"{one.endpoint}/blue"}
    shared.cluster.apply([target], one.namespace)
    one.want(2)
    wait_replicas(one, 2)
    eventually(lambda: one.condition()[0] == "True", "the condition", 15, 0.05)


@about("unmarked")
def test_a_target_without_the_mark_is_not_written_even_before_that_was_seen(shared, case):
    """The router reads the target each 5 s, so it wants to write before it knows."""
    one, _ = case
    one.mark(False)
    one.want(3)
    wait_reason(one, "TargetNotMarked")
    stays(lambda: one.changes() == [], 2, "nothing is written")
    one.mark()
    wait_replicas(one, 3)
    assert assert_explained(shared.fleet, one) == [(1, 3)]


@about("forgotten")
def test_a_resource_that_is_deleted_leaves_the_replicas_as_they_are(shared, case):
    one, head = case
    path = resources.path("onlinedeployments", one.namespace, one.target)
    described = shared.cluster.api.get(path)
    one.want(4)
    wait_replicas(one, 4)
    shared.cluster.api.delete(path)
    eventually(lambda: one.shown(head) is None, "it to be forgotten", 15, 0.05)
    one.kubectl_scale(2)
    stays(lambda: one.replicas() == 2, 2, "what was set stays")
    shared.cluster.apply([{key: described[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": one.target}}], one.namespace)
    one.want(3)
    wait_replicas(one, 3)
    assert [(before, after) for before, after, who in one.changes() if who == MANAGER] == [(1, 4), (2, 3)]


@about("hpa")
def test_an_hpa_that_appears_is_told_within_two_seconds(shared, case):
    one, _ = case
    one.want(2)
    wait_replicas(one, 2)
    path = one.conflict()
    begun = time.monotonic()
    wait_reason(one, "ConflictingAutoscaler")
    took = time.monotonic() - begun
    print(f"told {1000 * took:.0f} ms after the HPA was made")
    assert took <= 2
    status, _, message = one.condition()
    assert status == "False" and message.startswith(f"HorizontalPodAutoscaler {one.namespace}/by-cpu"), message
    one.want(4)
    stays(lambda: one.replicas() == 2, 2, "nothing is written")
    assert "ScaleRefused" in {reason for reason, _ in one.events()}
    assert assert_explained(shared.fleet, one) == [(1, 2)]
    shared.cluster.api.delete(path)


@about("foreign")
def test_who_sets_the_replicas_is_left_in_peace_and_named_the_third_time(shared, case):
    """Four replicas are wanted all the time."""
    one, _ = case
    one.want(4)
    wait_replicas(one, 4)
    for replicas, reason in ((3, "FrozenForeignChange"), (2, "FrozenForeignChange"), (1, "Contested")):
        one.kubectl_scale(replicas)
        eventually(lambda: one.reason() == reason and f"kubectl (Update) set {replicas}; " in one.condition()[2],  # noqa: B023
                   f"{reason}: {one.condition()}", 20, 0.05)
        assert one.replicas() == replicas
    assert one.condition()[0] == "False"
    stays(lambda: one.replicas() == 1, 3, "what was set stays")
    assert assert_explained(shared.fleet, one) == [(1, 4)]


@about("no writes")
def test_a_missing_right_to_write_is_named(shared, case):
    one, _ = case
    one.want(2)
    wait_reason(one, "TargetForbidden")
    assert one.changes() == []


@about("blind")
def test_a_missing_right_to_read_is_named(shared, case):
    one, _ = case
    wait_reason(one, "TargetForbidden", "HPAsUnreadable")
    one.want(2)
    stays(lambda: one.changes() == [], 2, "nothing is written")


@about("hpa at zero")
def test_with_an_hpa_a_target_without_replicas_is_not_woken_and_holds_nothing(shared, case):
    one, head = case
    path = one.conflict()
    wait_reason(one, "ConflictingAutoscaler")
    asked = [Asked(router, path=one.score) for router in shared.fleet]
    answers = [each.answer(10) for each in asked]
    assert [(each.status, each.why) for each in answers] == [(503, "no_ready_replica")] * 2
    assert one.changes() == []
    shared.cluster.api.delete(path)


@about("mirrored")
def test_copies_do_not_wake_a_deployment_and_a_request_does(shared, case):
    one, head = case
    green = f"{one.endpoint}-green"
    shared.cluster.apply([resources.online_deployment("green", one.endpoint), service(green), deployment(green)], one.namespace)
    router = shared.fleet[0]
    eventually(lambda: Asked(router, path=one.score).answer().status == 200, "the other deployment to serve", 30)
    wait_reason(one, "Idle")
    assert [Asked(router, path=one.score).answer().status for router in shared.fleet for _ in range(20)] == [200] * 40
    stays(lambda: one.changes() == [], 2, "nothing is woken")
    assert one.reason() == "Idle"
    direct = Asked(router, path=one.score, headers={"azureml-model-deployment": "blue"}).answer()
    assert direct.status == 200
    assert [(before, after) for before, after, _ in one.changes()] == [(0, 1)]


@about("rollout")
def test_during_a_rollout_nothing_is_given_up(shared, case):
    """Two replicas, of which one is wanted. The rollout does not end, since the new pod does not get ready."""
    one, head = case
    one.patch({"spec": {"template": {"metadata": {"annotations": NEVER_READY}}}})
    eventually(lambda: one.decided(head)[-1] == "FrozenRolloutInProgress", "the rollout to be seen", 15, 0.05)
    stays(lambda: one.changes() == [] and one.decided(head)[-1] == "FrozenRolloutInProgress", 2, "nothing is given up")
    one.want(3)
    wait_replicas(one, 3)
    one.patch({"spec": {"template": {"metadata": {"annotations": {"test/ready-delay": None}}}}})
    eventually(lambda: one.decided(head)[-1] != "FrozenRolloutInProgress", "the end of the rollout", 30, 0.05)
    assert assert_explained(shared.fleet, one) == [(2, 3)]


@about("pending")
def test_pods_that_never_start_make_the_number_no_larger(shared, case, background):
    """Two clients that send one request after the other are a demand of two slots. It is measured as somewhat more while the time that
    a request takes becomes shorter: four replicas at 60 %, or a few more."""
    one, head = case
    running = Load(background, [head.port], 1000, 2, host=head.host, plan=lambda number: Plan(body=b"%d" % number, path=one.score))
    eventually(lambda: one.replicas() >= 3, "more replicas", 20, 0.05)
    stays(lambda: one.replicas() <= 6, 6, "no more are asked for")
    outcomes = running.stop()
    assert all(each.served for each in outcomes)
    assert len({each.pod for each in outcomes}) == 2
    print(f"written: {assert_explained(shared.fleet, one)}")


@about("modes")
def test_the_mode_changes_by_a_reload(shared, case):
    one, head = case
    try:
        for router in shared.fleet:
            take_up(router, autoscaler="observe")
        one.want(3)
        eventually(lambda: one.shown(head)["mode"] == "observe" and one.shown(head)["decisions"][-1]["to"] == 3, "three to be wanted", 15, 0.05)
        eventually(lambda: one.condition()[2].startswith("observed only: "), "the condition", 15, 0.05)
        stays(lambda: one.changes() == [], 2, "nothing is written")
    finally:
        for router in shared.fleet:
            take_up(router, autoscaler="act")
    wait_replicas(one, 3)
    assert assert_explained(shared.fleet, one) == [(1, 3)]


@about("silent")
def test_while_a_router_is_silent_replicas_are_added_and_none_is_given_up(shared, case):
    """The process is stopped. The Lease soon lists it no more, so that its figures are missing only for a short time."""
    one, head = case
    one.want(3)
    wait_replicas(one, 3)
    [other] = shared.fleet.others(head)
    other.freeze()
    try:
        one.want(1)
        stays(lambda: one.replicas() == 3, 6, "nothing is given up")
        one.want(5)
        wait_replicas(one, 5)
    finally:
        other.thaw()
    shared.fleet.wait_agreed()
    assert assert_explained(shared.fleet, one) == [(1, 3), (3, 5)]
