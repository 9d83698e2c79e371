"""Three routers share slots by a Lease: who is a member, who is home, and what the pods count."""

from harness.fleet_fixtures import score_path


def test_three_routers_that_start_at_once_agree_on_homes(scene):
    pods = [scene.serve(2) for _ in range(3)]
    fleet = scene.fleet(3)
    roster = fleet.roster()
    assert {one["id"] for one in roster["members"]} == {one.id for one in fleet}
    for number, counting in enumerate(pods):
        for router in fleet:
            answer = router.score(b"x", path=score_path(f"model-{number}"))
            assert answer.status == 200, answer.why
        assert counting.total("begun") == 3
