"""Real model servers behind the router, each with its recipe in docs/servers.md, which has the table that this run writes."""

import socket
import threading
import time
from collections import Counter

import pytest
from recipes import RECIPES, Server, start_router
from servers_table import FILE
from support.client import request
from support.router import ROOT
from support.wait import eventually

JSON = {"Content-Type": "application/json"}


class Scene:
    """A recipe's server, and a router in front of it."""

    def __init__(self, recipe, folder):
        self.recipe, self.folder = recipe, folder
        self.server = Server(recipe, folder)
        try:
            self.server.wait_ready()
            self.router = start_router(recipe, self.server, folder / "router")
        except BaseException:
            self.server.close()  # nothing else would end it
            raise

    def score(self, **asked):
        return self.router.score(self.recipe.encode(**asked), headers=JSON)

    def close(self):
        try:
            self.router.stop()
        finally:
            self.router.kill()
            self.server.close()


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def scene(request, tmp_path_factory):
    scene = Scene(request.param, tmp_path_factory.mktemp(request.param.name))
    yield scene
    scene.close()


def test_it_is_ready_by_its_own_route(scene, table):
    recipe = scene.recipe
    one = scene.router.deployments()[0]
    assert one["name"] == recipe.name and one["replicas_ready"] == 1 and one["slots"] == recipe.slots
    table.add(recipe, "scoring route", f"`{recipe.route('scoring')}`")
    table.add(recipe, "readiness route", f"`{recipe.route('readiness')}`")
    table.add(recipe, "slots", recipe.slots)
    table.add(recipe, "`drain_on_abort`", f"`{str(recipe.drains).lower()}`")


def test_it_scores(scene):
    answer = scene.score()
    assert answer.status == 200 and answer.why is None
    assert '"sum": 6' in answer.body.decode().replace('\\"', '"').replace('":6', '": 6')


def test_it_streams(scene, table):
    recipe = scene.recipe
    if not recipe.streams:
        table.add(recipe, "a stream", "no")
        return
    asked = recipe.encode(stream=True, sleep=0.4)
    path = f"/api/v1/endpoint/my-endpoint/score{recipe.stream_path}"
    host = "router.test"
    if recipe.by_host:
        path, host = recipe.stream_path, "models.test"
    with scene.router.connect() as client:
        client.send(request(asked, path=path, host=host, headers=JSON))
        head = client.head()
        assert head.status == 200, head
        assert head.headers.get("transfer-encoding") == "chunked"
        came = []
        while piece := client.chunk():
            came.append((time.monotonic(), piece))
    assert came[-1][0] - came[0][0] > 0.6, "the pieces arrived all at once"
    kind = head.headers.get("content-type").split(";")[0]
    table.add(recipe, "a stream", f"chunked, `{kind}`, each piece as it is made")


def test_an_exception_of_the_model_reaches_the_client_as_the_servers_own_answer(scene, table):
    answer = scene.score(**{"raise": True})
    assert answer.why is None and answer.status >= 400, (answer.status, answer.why)
    for _ in range(20):  # no other request fails because of it
        assert scene.score(**{"raise": True}).status == answer.status
        assert scene.score().status == 200
    table.add(scene.recipe, "the model raises", answer.status)


def test_the_slots_are_what_the_server_runs_at_once(scene, table):
    """Measured without a router, with sixteen requests at a time."""
    recipe, count = scene.recipe, 16
    asking = [threading.Thread(target=scene.server.ask, args=("POST", recipe.route("scoring"), recipe.encode(id=f"slots-{number}", sleep=0.5), 60))
              for number in range(count)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    spans = [(scene.server.notes(f"slots-{number}", "begun")[0], scene.server.notes(f"slots-{number}", "done")[0]) for number in range(count)]
    at_once = max(sum(begun <= at < done for begun, done in spans) for at, _ in spans)
    assert at_once >= recipe.slots, f"{recipe.slots} slots, but {at_once} at once: the others would wait in the pod"
    table.add(recipe, "runs at once", "16 or more" if at_once == count else at_once)


def leaves_early(scene, router, id):
    """A client that disconnects 0.3 s after the model has begun."""
    with router.connect() as client:
        client.send(request(scene.recipe.encode(id=id, sleep=2), headers=JSON))
        eventually(lambda: scene.server.notes(id, "begun"), "the model to begin", patience=10)
        time.sleep(0.3)


def test_a_client_that_leaves_is_what_drain_on_abort_is_for(scene, table, tmp_path):
    """Without drain_on_abort: does the server close its connection, and does the model stop?"""
    recipe = scene.recipe
    router = start_router(recipe, scene.server, tmp_path / "router", lambda text: text.replace("drain_on_abort: true", "drain_on_abort: false"))
    try:
        leaves_early(scene, router, "left")
        begun = scene.server.notes("left", "begun")[0]
        eventually(lambda: router.slots_in_use() == 0, "the slot to be free", patience=5)
        unnoticed = router.metrics().value("aborts_unnoticed_total") > 0
        time.sleep(max(0.0, begun + 3 - time.monotonic()))
        works_on = bool(scene.server.notes("left", "done"))
    finally:
        router.stop()
    assert recipe.drains == works_on, f"drain_on_abort is {recipe.drains}, the model continues: {works_on}"
    connection = "its connection stays" if unnoticed else "its connection is closed at once"
    table.add(recipe, "a client leaves", f"{connection}, the model {'works on' if works_on else 'stops'}")


def test_with_the_recipe_as_it_is_aborts_never_overfill_the_server(scene):
    """As many clients as slots disconnect. The next request begins when the model has finished one of their requests, or has stopped it."""
    ids = [f"overfull-{number}" for number in range(scene.recipe.slots)]
    for id in ids:
        leaves_early(scene, scene.router, id)
    assert scene.score(id="after").status == 200
    if scene.recipe.drains:
        eventually(lambda: all(scene.server.notes(id, "done") for id in ids), "the model to finish")
        begun = scene.server.notes("after", "begun")[0]
        assert sum(scene.server.notes(id, "done")[0] > begun for id in ids) < scene.recipe.slots


IDLE_MAX = 8.0


def idle_time(scene):
    """Returns the seconds until the server closes a connection on which it has answered; None if it stays open for IDLE_MAX."""
    with socket.create_connection(("127.0.0.1", scene.server.port), timeout=IDLE_MAX) as connection:
        connection.sendall(request(scene.recipe.encode(), path=scene.recipe.route("scoring"), headers=JSON))
        first, seen = None, b""
        try:
            while piece := connection.recv(65536):
                seen += piece
                first = time.monotonic()
        except TimeoutError:
            return None
        except ConnectionResetError:
            pass
        return time.monotonic() - first


def test_a_connection_that_the_server_is_about_to_close_costs_no_request(scene, table):
    idle = idle_time(scene)
    if idle is not None and idle > 0.3:
        with scene.router.connect(timeout=30) as client:
            for offset in (-0.003, -0.001, 0.0, 0.001, 0.003):
                time.sleep(idle + offset)
                answer = client.exchange(scene.recipe.encode(), headers=JSON)
                assert answer.status == 200, (offset, answer.status, answer.why, answer.body)
    said = "not within 8 s" if idle is None else "at once" if idle < 0.3 else "within 4 s" if idle < 4 else "within 8 s"
    table.add(scene.recipe, "closes an idle connection", said)


def test_a_restart_under_load_loses_at_most_what_the_server_had_taken(scene, table):
    """Four clients more than slots, until the server is back; SIGTERM, as from Kubernetes or systemd. Two requests for each slot may fail:
    the one that the server processes, and the next, which its kernel accepts although the server does not. All others wait in the queue."""
    recipe = scene.recipe
    outcomes, lock, over = Counter(), threading.Lock(), threading.Event()

    def ask():
        with scene.router.connect(timeout=90) as client:
            while not over.is_set():
                answer = client.exchange(recipe.encode(sleep=0.02), headers=JSON)
                with lock:
                    outcomes[answer.status, answer.why] += 1

    clients = [threading.Thread(target=ask) for _ in range(recipe.slots + 4)]
    for one in clients:
        one.start()
    try:
        eventually(lambda: outcomes[200, None] > 20, "answers before the restart")
        before, begun = scene.router.metrics().value("retries_total"), time.monotonic()
        scene.server.terminate()
        scene.server.wait_ended()
        scene.server.start()
        scene.server.wait_ready()
        down, served = time.monotonic() - begun, outcomes[200, None]
        eventually(lambda: outcomes[200, None] > served + 10, "answers after the restart", patience=40)
    finally:
        over.set()
        for one in clients:
            one.join()
    by_router = {why: count for (_, why), count in outcomes.items() if why}
    by_server = {status: count for (status, why), count in outcomes.items() if why is None and status != 200}
    assert set(by_router) <= {"upstream_reset"} and sum(by_router.values()) <= 2 * recipe.slots, outcomes
    assert not by_server or recipe.fails_while_ending, outcomes
    told = [f"{count} × 502 `{why}`" for why, count in by_router.items()] + [f"{count} × {status} of its own" for status, count in by_server.items()]
    table.add(recipe, "restarted under load", f"{', '.join(told) or 'none lost'}, of {outcomes.total()}; down for {down:.0f} s, "
                                              f"second attempts: {scene.router.metrics().value('retries_total') - before:.0f}")


def test_the_page_has_this_runs_table(table):
    """The last test of this file: docs/servers.md has measured values. How a restart went differs from run to run."""
    table.write()
    print(table.text())
    if table.is_whole():  # otherwise only a part of the tests was selected
        page = (ROOT / "docs" / "servers.md").read_text().splitlines()
        missing = [row for row in table.text().splitlines() if without_restart(row) not in map(without_restart, page)]
        assert not missing, f"docs/servers.md differs from the results of this run; its tables are in {FILE}"


def without_restart(row):
    return row.rpartition(" | ")[0] if "second attempts" in row else row
