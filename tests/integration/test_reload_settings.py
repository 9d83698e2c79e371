"""Changes of router.yaml: ticket keys, logs, and settings that cannot change while the router runs."""

import json
import os

from support.client import PRIMARY
from support.pod import Held
from support.reload import line_of, plain, refusal, take_up
from support.router import write_at_once
from support.settings import deployment, endpoint
from support.wait import eventually


def ticket_of(router, context):
    with router.connect(tls=context, server_name="router.test") as client:
        assert client.exchange(b"x").status == 200
        return client.socket.session


def resumes(router, context, session):
    with router.connect(tls=context, server_name="router.test", session=session) as client:
        assert client.exchange(b"x").status == 200
        return client.socket.session_reused


def test_changed_ticket_keys_are_in_force_and_old_tickets_last_as_long_as_their_key(pod, start, authority, tmp_path):
    files = [tmp_path / "first.key", tmp_path / "second.key"]
    old, new, third = (os.urandom(80) for _ in range(3))
    files[0].write_bytes(old)
    files[1].write_bytes(old)
    tls = {"certificates": [authority.issue("router.test").as_dict()], "ticket_key_files": [str(file) for file in files]}
    router = start(endpoint(deployment([pod()], slots=0)), tls=tls)
    context = authority.client_context()
    with router.connect(tls=context, server_name="router.test") as running:
        assert running.exchange(b"x").status == 200
        session = ticket_of(router, context)
        assert resumes(router, context, session)

        def exchange(file, key):
            fresh = file.with_suffix(".new")
            fresh.write_bytes(key)
            fresh.replace(file)

        router.reloaded(lambda: exchange(files[0], new))
        assert all(resumes(router, context, session) for _ in range(4)), "the ticket should be valid: its key is still in the second file"
        newest = ticket_of(router, context)
        router.reloaded(lambda: exchange(files[1], third))
        assert not any(resumes(router, context, session) for _ in range(4)), "the ticket should be invalid on every shard: its key is gone"
        assert all(resumes(router, context, newest) for _ in range(4)), "the ticket should be valid: the first file has its key"
        assert running.exchange(b"y").status == 200


def test_a_broken_ticket_key_is_refused_with_its_place_and_the_old_one_stays(pod, start, authority, tmp_path):
    file = tmp_path / "ticket.key"
    file.write_bytes(os.urandom(80))
    tls = {"certificates": [authority.issue("router.test").as_dict()], "ticket_key_files": [str(file)]}
    router = start(endpoint(deployment([pod()])), tls=tls)
    context = authority.client_context()
    session = ticket_of(router, context)
    generation = router.generation()
    line = line_of(router.config_file.read_text().splitlines(), str(file))
    write_at_once(file, "short")
    eventually(lambda: router.metrics().value("configuration_reloads_total", result="refused") >= 1, "the refusal", patience=4)
    place = f"{router.config_file}:{line}: listeners[0].tls.ticket_key_files[0]: {file}: "
    eventually(lambda: place + "a ticket key is 80 random bytes" in router.log, "the location in the log")
    assert router.generation() == generation
    assert resumes(router, context, session)


def test_level_and_file_of_the_log_change_while_the_router_runs(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    take_up(router, log={"file": str(first)})
    router.reloaded(lambda: router.admin("/reload", "POST"))
    assert "generation" in eventually(lambda: first.read_text(), "a line in the log file")
    take_up(router, log={"file": str(second), "level": "error"})
    router.reloaded(lambda: router.admin("/reload", "POST"))
    refusal(router, threads="many")
    told = eventually(lambda: second.read_text(), "the error in the log file")
    assert "threads" in told and " info " not in told
    assert "threads" not in first.read_text()


def test_a_log_file_that_cannot_be_opened_is_refused_with_its_place(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    told, lines = refusal(router, 409, log={"file": str(tmp_path)}, access_log="/nowhere/at/all")
    assert len(told) == 2
    place = f"{router.config_file}:{line_of(lines, 'file:')}: log.file: "
    assert any(one.startswith(place) and str(tmp_path) in one for one in told), told
    place = f"{router.config_file}:{line_of(lines, 'access_log')}: access_log: "
    assert any(one.startswith(place) and "/nowhere/at/all" in one for one in told), told
    router.score(b"x")
    assert len(router.access_lines(1)) == 1, "the access log should stay"


def test_the_access_log_goes_elsewhere_and_off_and_on_again(pod, start, tmp_path):
    router = start(endpoint(deployment([pod()])))
    with router.connect() as client:
        def log_of_next_request(file, **settings):
            take_up(router, **settings)
            router.access_log_file = file

            def arrives():
                assert client.exchange(b"x").status == 200
                return file is None or file.exists() and file.read_text()
            eventually(arrives, f"a line in {file}", pause=0.05)

        client.exchange(b"x")
        first = router.access_log_file
        router.access_lines(1)
        log_of_next_request(tmp_path / "second.log", access_log=str(tmp_path / "second.log"))
        router.settings.pop("access_log")
        log_of_next_request(None)
        lines = [file.read_text().count("\n") for file in (first, tmp_path / "second.log")]
        log_of_next_request(tmp_path / "third.log", access_log=str(tmp_path / "third.log"))
        take_up(router, access_log="stdout")
        eventually(lambda: client.exchange(b"x").status == 200 and router.output, "a line on standard output", pause=0.05)
    assert json.loads(router.output.splitlines()[0])["ResponseCode"] == 200
    assert first.read_text().count("\n") == lines[0]
    assert router.metrics().value("access_log_dropped_total") == 0


def test_an_exchange_is_logged_where_it_was_begun(pod, start, tmp_path):
    hold = Held()
    blue = pod(hold)
    router = start(endpoint(deployment([blue], request_timeout_ms=60000)))
    running = router.start_request(b"x")
    eventually(lambda: blue.concurrent == 1, "the request to run")
    take_up(router, access_log=str(tmp_path / "second.log"))
    hold.release.set()
    assert running.response().status == 200
    running.close()
    assert router.access_lines(1)[0]["ResponseCode"] == 200
    assert (tmp_path / "second.log").read_text() == ""


def test_the_buckets_cannot_change_and_are_refused_by_name(pod, start):
    router = start(endpoint(deployment([pod()])), metrics={"buckets": [1, 2]})
    told, lines = refusal(router, 409, metrics={"buckets": [1, 3]})
    assert told == [f"{router.config_file}:{line_of(lines, 'buckets:')}: metrics.buckets: cannot change while the router runs, since "
                    "what was counted cannot be divided anew: restart it"]
    assert router.score(b"x", key=PRIMARY).status == 200


def test_the_number_of_threads_cannot_change_and_is_refused_by_name(pod, start, ports):
    router = start(endpoint(deployment([pod()])))
    told, lines = refusal(router, 409, threads=1, listeners=[plain(ports())])
    assert told == [f"{router.config_file}:{line_of(lines, 'threads')}: threads: cannot change while the router runs; it has 2: "
                    "restart it"]
    assert router.score(b"x", key=PRIMARY).status == 200
