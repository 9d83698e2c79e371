"""What a fleet with a Lease survives: killed routers, an API server that is away, a Lease that is deleted or older, lost packets."""

import statistics
import time

import pytest
from fleet.harness.fleet import seen_by
from fleet.harness.load import sort, told
from fleet.harness.scenes import Asked
from harness.fleet_fixtures import score_path
from harness.following import deployment_of
from harness.lease_fleet import COVERAGE, GRACE_S as GRACE, W
from harness.resources import endpoint_slice, online_deployment, online_endpoint, secret
from support.load import Plan
from support.wait import eventually, stays

SERVICE = 0.02  # seconds of an exchange
SLOTS = 2  # pods with one slot each, of every endpoint
SOON = 0.4  # seconds after a SIGKILL until the slots are usable again
SOON_WITHOUT_API = 0.5
TAKE_AFTER = 30  # seconds, the least that router.yaml allows
GET = 0.5  # seconds between two looks at the Lease, of a router that reaches nobody
LOST_MAX = 30  # requests that may be lost with a router that is cut off: every client may have one at it, or on its way through it
NOTICED = 0.5  # seconds until the load balancer has noticed


class Loaded:
    """`count` namespaces with one endpoint each, and load on all of them that uses 80 % of the slots."""

    def __init__(self, scene, fleet_load, count=3, size=3, **options):
        self.pods = [scene.serve(SLOTS, sleep=SERVICE) for _ in range(count)]
        self.fleet = scene.fleet(size, **options)
        self._load, self.rate, self.count = fleet_load, 0.8 * count * SLOTS / SERVICE, count
        self.running = None

    def begin(self, routers=None):
        self.running = self._load(routers or self.fleet, self.rate, clients=30, plan=self._plan)
        self.go_on()

    def _plan(self, number):
        return Plan(body=b"%d" % number, path=score_path(f"model-{number % self.count}"))

    def go_on(self, seconds=0.5):
        """Waits until so many seconds of load more are answered."""
        before, more = len(self.running.outcomes), seconds * self.rate
        eventually(lambda: len(self.running.outcomes) >= before + more, "load", patience=2 * seconds + 30)

    def namespaces_of(self, router):
        return [number for number, name in enumerate(self.fleet.namespaces) if self.fleet.home(name) is router]

    def next_begun(self, number, after):
        """When the next exchange has begun at a pod of that endpoint."""
        return min((at for pod in self.pods[number] for _, at in pod.begun() if at > after), default=None)

    def end(self):
        return sort(self.running.stop())


@pytest.fixture
def loaded(scene, fleet_load):
    return lambda **options: Loaded(scene, fleet_load, **options)


def unexplained(result, *losses):
    """The failures that no loss explains: (router, time). A request was under way at that time, or was sent to that router before the load
    balancer had noticed."""
    def met(one, router, at):
        return one.begun <= at + 0.05 and at <= one.ended or one.client == router.port and at <= one.begun <= at + NOTICED
    return [one for one in result.failed if not any(met(one, *loss) for loss in losses)]


def assert_explained(result, *losses):
    assert not unexplained(result, *losses), told(unexplained(result, *losses))


def partition(some, others):
    """No packet passes between these routers, in either direction."""
    for one in some:
        one.block(*others)
    for one in others:
        one.block(*some)


def heal(fleet):
    for one in fleet.running():
        one.unblock()
        one.heal_api()


def when(condition, what, patience=20.0):
    """Seconds until it is true."""
    begun = time.monotonic()
    eventually(condition, what, patience)
    return time.monotonic() - begun


@pytest.mark.parametrize("rounds", [3, pytest.param(7, marks=pytest.mark.long)])
def test_slots_of_a_home_that_is_killed_are_usable_soon(loaded, rounds):
    """Then it starts again in the same Pod."""
    scene = loaded(count=4)
    fleet = scene.fleet
    scene.begin()
    kills, back = [], []
    for _ in range(rounds):
        victim = fleet.home()
        numbers = scene.namespaces_of(victim)
        at = time.monotonic()
        kills.append((victim, at))
        victim.end_at_once()
        # Less than 50 ms after the kill, a pod may still notice what the dead router had sent.
        begun = [eventually(lambda: scene.next_begun(number, at + 0.05), "the next home", 20) for number in numbers]  # noqa: B023
        back.append(max(begun) - at)
        victim.restart()
        fleet.wait_agreed()
    result = scene.end()
    print(f"usable again after {[round(1000 * one) for one in back]} ms; {len(result.served)} served, {len(result.failed)} failed")
    assert_explained(result, *kills)
    assert statistics.median(back) <= SOON, back


@pytest.mark.parametrize("way, seconds", [("pause", 4), pytest.param("kill", 60, marks=pytest.mark.long)])
def test_nobody_notices_that_the_api_server_is_away(loaded, cluster, way, seconds):
    """Also not when a home is killed meanwhile."""
    scene = loaded()
    fleet = scene.fleet
    scene.begin()
    epoch = fleet.roster()["epoch"]["number"]
    cluster.pause_api_server() if way == "pause" else cluster.kill_api_server()
    scene.go_on(seconds)
    assert all(one.is_ready() for one in fleet)
    victim = fleet.home()
    numbers = scene.namespaces_of(victim)
    at = time.monotonic()
    victim.end_at_once()
    begun = [eventually(lambda: scene.next_begun(number, at + 0.05), "the next home", 20) for number in numbers]
    scene.go_on(1)
    cluster.start_api_server()
    victim.restart()
    fleet.wait_agreed()
    result = scene.end()
    print(f"usable again after {round(1000 * (max(begun) - at))} ms")
    assert_explained(result, (victim, at))
    assert max(begun) - at <= SOON_WITHOUT_API
    assert fleet.roster()["epoch"]["number"] > epoch


def test_a_lease_that_is_deleted_or_restored_old_is_mended_and_no_request_fails(loaded):
    scene = loaded()
    fleet = scene.fleet
    scene.begin()
    for harm in (fleet.delete_lease, fleet.restore_old_lease):
        before = fleet.roster()
        harm()
        eventually(lambda: fleet.lease() and fleet.roster()["epoch"]["number"] > before["epoch"]["number"], "a newer roster")  # noqa: B023
        assert fleet.roster()["members"] == before["members"]
        fleet.wait_agreed()
        scene.go_on()
    assert_explained(scene.end())


def test_routers_that_do_not_reach_each_other_go_on_by_the_lease_alone(scene):
    """Each serves its own namespaces; without the API server nobody does. Beside a Lease that is old or made again an operator helps."""
    count = 4
    for _ in range(count):
        scene.serve(1)
    fleet = scene.fleet(3)
    for one in fleet:
        one.block(*fleet.others(one))
    stays(lambda: all(one.is_ready() for one in fleet), COVERAGE + 1, "ready by the Lease alone")
    homes = [fleet.home(name) for name in fleet.namespaces]
    assert [home.score(b"x", path=score_path(f"model-{number}")).status for number, home in enumerate(homes)] == [200] * count
    for one in fleet:
        assert sorted(one.fleet()["unreachable"]) == sorted(other.address for other in fleet.others(one))

    for one in fleet:
        one.cut_api()
    alone = when(lambda: not any(one.is_ready() for one in fleet), "nobody to be ready")
    said = [one.ready()[1] for one in fleet]
    for one in fleet:
        one.heal_api()
    again = when(lambda: all(one.is_ready() for one in fleet), "all to be ready")
    print(f"not ready {alone:.2f} s after the API server was cut off, ready {again:.2f} s after that")
    assert all("no majority of the fleet answers, nor does the API server; does not reach " in one for one in said), said
    assert alone <= 3.5 + GET

    fleet.make_lease_again()
    eventually(lambda: all("the Lease of the fleet was made again, and no majority of the fleet answers" in one.ready()[1]
                           for one in fleet), "the reason", patience=COVERAGE + 3)
    fleet.restore_old_lease()
    eventually(lambda: all("the Lease of the fleet is older than its roster; POST /fleet/forget is the way out" in one.ready()[1]
                           for one in fleet), "the reason", patience=COVERAGE + 3)
    first, *lost = fleet
    assert [first.forget(one.id)[0] for one in lost] == [202, 202]
    eventually(first.is_ready, "the one that may go on", patience=W + 3)
    eventually(lambda: {one["id"] for one in fleet.roster()["members"]} == {first.id}, "the Lease to be mended")
    assert [first.score(b"x", path=score_path(f"model-{number}")).status for number in range(count)] == [200] * count
    assert not any(one.is_ready() for one in lost)
    heal(fleet)
    fleet.wait_agreed()
    assert all(one.id.endswith("~1") for one in lost), "they come back as other members"


@pytest.mark.parametrize("ways", [["all", "one-way"], pytest.param(["routers"], marks=pytest.mark.long)])
def test_a_router_that_is_cut_off_is_replaced(loaded, ways):
    """From everything, from the other routers, or only its packets to the others are lost. It still reaches the pods."""
    scene = loaded(count=4)
    scene.begin()
    for way in ways:
        cut_off(scene, way)
    result = scene.end()
    print(f"{len(result.served)} served, {len(result.failed)} failed")
    assert len(result.failed) <= len(ways) * LOST_MAX, told(result.failed)


def cut_off(scene, way):
    fleet = scene.fleet
    victim = fleet.home()
    others, numbers = fleet.others(victim), scene.namespaces_of(victim)
    at = time.monotonic()
    if way == "one-way":
        victim.block(*others)
    else:
        partition([victim], others)
    if way == "all":
        victim.cut_api()
    silent = when(lambda: not victim.is_ready(), "it to be not ready")
    assert all(one.is_ready() for one in others)
    begun = [eventually(lambda: scene.next_begun(number, at + COVERAGE + GRACE), "the next home", 30) for number in numbers]  # noqa: B023
    taken = max(begun) - at
    assert all(victim.address not in seen_by(one)["unreachable"] for one in others), "it is no member any more"
    heal(fleet)
    healed = time.monotonic()
    again = when(lambda: seen_by(victim).get("state") == "joining", "it to be a member again")
    fleet.wait_agreed()
    ready = time.monotonic() - healed
    print(f"{way}: not ready after {silent:.2f} s, slots used after {taken:.2f} s (W {W:.2f}), a member again {again:.2f} s after the end, "
          f"ready {ready:.2f} s")
    assert silent <= 3.5
    assert taken <= W + 3
    assert again <= 1


def test_one_router_that_does_not_reach_the_api_server_changes_nothing(loaded, scene, cluster):
    """It does not know an endpoint of which it is home, either: requests for it wait until it does."""
    loaded = loaded(count=3)
    fleet = loaded.fleet
    home = fleet.home()
    before = fleet.roster()["epoch"]
    loaded.begin()
    home.cut_api()
    pods = scene.counting(1)
    objects = [secret("new-keys"), online_endpoint("new"), online_deployment(endpoint="new", slots=1),
               endpoint_slice("new-blue", "new-blue", [pods[0].host], port=pods[0].port)]
    cluster.apply(objects, fleet.namespaces[0])
    away = fleet.others(home)[0]
    eventually(lambda: deployment_of(away, endpoint="new"), "it to be known at another router")
    waiting = Asked(away, path=score_path("new"))
    loaded.go_on(COVERAGE + 1)
    assert not waiting.is_answered()
    assert all(one.is_ready() for one in fleet)
    home.heal_api()
    assert waiting.answer().status == 200
    assert_explained(loaded.end())
    assert fleet.roster()["epoch"] == before


@pytest.mark.long
def test_a_new_router_takes_a_lease_whose_routers_are_lost(scene):
    """All serving routers were on nodes that are lost: nothing proves their end but the time."""
    scene.serve(1)
    fleet = scene.fleet(2, fleet={"take_after_s": TAKE_AFTER})
    lost = list(fleet)
    for one in lost:
        one.lose_node()
    [new] = fleet.add(1, wait=False)
    eventually(lambda: "does not reach " in new.ready()[1], "the reason")
    assert stays(lambda: not new.is_ready(), TAKE_AFTER - 5, "not ready") is None
    fleet.wait_agreed([new], patience=2 * W + 20)
    assert new.score(b"x", path=score_path("model-0")).status == 200
    assert {one["id"] for one in fleet.roster()["members"]} == {new.id}


@pytest.mark.long
def test_eight_routers_that_join_at_once_agree(scene):
    """Their writes meet at the Lease, where one of them wins each time."""
    scene.serve(1)
    fleet = scene.fleet(8, wait=False)
    took = fleet.wait_agreed(patience=W + 15)
    print(f"{took:.1f} s, roster {fleet.roster()['epoch']['number']}")
    assert "was taken out" not in "".join(one.log for one in fleet)
    assert [one.score(b"x", path=score_path("model-0")).status for one in fleet] == [200] * 8
