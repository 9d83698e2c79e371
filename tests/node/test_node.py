"""The router as an operator runs it: the image, installed by the chart on a real node, with real model Pods. The tests run in this
order."""

import time

from harness.resources import MODEL
from scene import MODELS, NAMESPACE, RELEASE, REPLICAS, ROUTER
from support.wait import eventually


def lost(outcomes):
    return [(one.id, one.status, one.why, one.broken, one.ended - one.begun) for one in outcomes if not one.served]


def test_the_router_runs_as_the_chart_says(scene):
    [pod] = scene.pods(ROUTER, NAMESPACE)
    [status] = pod["status"]["containerStatuses"]
    assert status["image"] == "localhost/inference-router:test"
    assert status["ready"] and status["restartCount"] == 0
    assert pod["spec"]["securityContext"]["runAsNonRoot"]


def test_it_scores_over_tls_through_the_service_and_the_nodes_port(scene):
    for connect in (scene.connect, scene.through_node_port):
        with connect() as client:
            for _ in range(3):
                answer = client.exchange(b"hello")
                assert (answer.status, answer.body) == (200, b"hello")
                assert answer.headers.get("x-pod").startswith(MODEL)


def test_a_wrong_key_is_refused(scene):
    with scene.connect() as client:
        answer = client.exchange(b"hello", key="wrong")
        assert (answer.status, answer.why) == (401, "unauthorized")


def test_a_restart_of_the_models_loses_no_request(scene, load):
    running = load(rate=60, clients=8)
    scene.restart(MODEL, MODELS)
    outcomes = running.stop()
    assert lost(outcomes) == []
    assert len({one.pod for one in outcomes}) == 2 * REPLICAS, "some Pods, old or new, got no request"
    print(f"\na restart of the models: {len(outcomes)} requests, none lost")


def test_a_restart_of_the_router_loses_no_request(scene, load):
    running = load(rate=60, clients=8)
    ended = scene.restart(ROUTER, NAMESPACE)
    outcomes = running.stop()
    assert lost(outcomes) == []
    assert [one["containerStatuses"][0]["state"]["terminated"]["exitCode"] for one in ended] == [0]
    print(f"\na restart of the router: {len(outcomes)} requests, none lost")


def test_a_killed_model_container_loses_only_what_it_had(scene, load):
    running = load(rate=1000, clients=4 * REPLICAS)  # more than there are slots, so a killed container always has requests
    kills = []
    for pod in scene.pods(MODEL, MODELS):
        kills.append(scene.kill_container(pod))
        scene.wait_restarted(pod)
    outcomes = running.stop()
    failed = [one for one in outcomes if not one.served]
    lines = scene.access_lines(failed)
    taken = [one for one in failed if any(kill.met(one, lines[one.id]) for kill in kills)]
    assert lost(one for one in failed if one not in taken) == []
    assert taken, "no killed container had a request"
    print(f"\n{len(kills)} killed model containers: {len(outcomes)} requests, {len(taken)} failed, all of them there")


def test_three_routers_fit_on_the_node_and_the_upgrade_to_them_loses_no_request(scene, load):
    running = load(rate=60, clients=8)
    # three Pods with a request of 900m need more than two cores
    scene.upgrade(inferenceRouterHA=True, resources={"requests": {"cpu": "100m"}})
    scene.wait_three_routers()
    outcomes = running.stop()
    assert lost(outcomes) == []
    print(f"\nan upgrade to three routers: {len(outcomes)} requests, none lost")


def test_a_restart_of_three_routers_loses_no_request_and_no_model_gets_two_at_once(scene, load):
    scene.set_slots(1)
    since = time.monotonic()
    running = load(rate=15 * REPLICAS, clients=4 * REPLICAS)  # a slot serves 20 a second
    ended = scene.restart(ROUTER, NAMESPACE)
    scene.wait_three_routers()
    outcomes = running.stop()
    assert lost(outcomes) == []
    assert [one["containerStatuses"][0]["state"]["terminated"]["exitCode"] for one in ended] == [0, 0, 0]
    assert scene.most_at_once(since) == [1] * REPLICAS
    print(f"\na restart of three routers: {len(outcomes)} requests, none lost")


def test_a_killed_home_loses_only_what_it_had_and_its_slots_are_used_soon(scene, load):
    """No router could help a client that connects before kube-proxy has noticed the death (the Pod's kernel refuses), or whose kept connection
    has ended with the home."""
    since = time.monotonic()
    running = load(rate=15 * REPLICAS, clients=4 * REPLICAS)
    eventually(lambda: len(running.outcomes) > 60, "load")
    home = scene.home()
    kill = scene.kill_container(home)
    scene.wait_container_restarted(home, ROUTER, NAMESPACE)
    scene.wait_three_routers()
    outcomes = running.stop()
    failed = [one for one in outcomes if not one.served]
    refused = [one for one in failed if one.broken.startswith("ConnectionRefusedError")]
    taken = [one for one in failed if one.begun <= kill.ended and one.ended >= kill.begun]
    next_of = {}
    for one in sorted(outcomes, key=lambda one: one.begun):
        if one.begun > kill.ended:
            next_of.setdefault(one.client, one)
    ended = [one for one in failed if one.broken and next_of.get(one.client) is one]
    assert lost(one for one in failed if not any(one in excused for excused in (refused, taken, ended))) == []
    assert scene.most_at_once(since) == [1] * REPLICAS
    served = sorted(one.ended for one in outcomes if one.served)
    gap = max(after - before for before, after in zip(served, served[1:]) if after >= kill.begun)
    # Without a proof of its death the others would wait for more than 8 s.
    assert gap < 4, "the slots of the home were not used soon enough"
    print(f"\na killed home: {len(outcomes)} requests, {len(taken)} failed at it, {len(refused) + len(ended)} came to it too late; "
          f"none was served for {gap:.1f} s")


def test_uninstalled_it_is_gone(scene):
    scene.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "180s")
    eventually(lambda: not scene.release_pods(), "the drained router to end", patience=60, pause=0.2)
    kinds = ("deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,"
             "networkpolicies,poddisruptionbudgets")
    left = scene.cluster.kubectl("get", kinds, "-A", "-l", f"app.kubernetes.io/instance={RELEASE}", "-o", "name")
    assert left == ""
