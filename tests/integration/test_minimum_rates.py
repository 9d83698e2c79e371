"""The router cuts a client that sends or reads below the minimum rate, and frees its slot. It serves any other, however long that takes."""

import threading
import time

import pytest
from support.client import request
from support.http import Gone
from support.settings import deployment, endpoint
from support.wait import eventually


def drip(client, data, pause, patience):
    """Sends the same bytes again and again until bytes arrive or the connection ends; returns how long that took."""
    begun = time.monotonic()
    client.socket.settimeout(pause)
    while time.monotonic() - begun < patience:
        try:
            client.send(data)
            client.reader.fill()
            break
        except TimeoutError:
            continue
        except (Gone, OSError):
            break
    client.socket.settimeout(10)
    return time.monotonic() - begun


@pytest.mark.long
def test_a_body_below_the_minimum_rate_is_a_408_and_frees_the_slot(pod, start):
    blue = pod()
    router = start(endpoint(deployment([blue])))
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "100000"}))
        eventually(lambda: router.slots_in_use() == 1, "the slot to be taken")
        took = drip(client, b"12345", 0.1, 20)  # 50 bytes a second
        answer = client.response()
        assert (answer.status, answer.why) == (408, "client_timeout")
        assert client.is_closed()
    assert 4.9 < took < 15
    assert router.access_lines(1)[0]["ResponseCode"] == 408
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert router.score(b"next").status == 200


@pytest.mark.long
def test_a_body_at_the_minimum_rate_is_served_however_long_it_takes(pod, start):
    router = start(endpoint(deployment([pod()])), limits={"min_body_rate": 20})
    with router.connect() as client:
        client.send(request(headers={"Content-Length": "400"}))
        for _ in range(40):
            time.sleep(0.2)  # 50 bytes a second, for longer than the grace: what this test is about
            client.send(b"0123456789")
        assert client.response().status == 200


@pytest.mark.long
def test_the_rate_is_not_measured_while_the_pod_is_slow_or_the_request_waits_in_the_queue(pod, start):
    """Body and answer are fast, but the router waits longer than the grace for other parties."""
    def sluggish(exchange):
        if exchange.request.method == "PUT":
            time.sleep(6)  # reads nothing for longer than the grace: what this test is about
        body = exchange.body()
        exchange.answer(200, b"%d" % len(body))

    blue = pod(sluggish)
    router = start(endpoint(deployment([blue], max_queue_wait_ms=30000, request_timeout_ms=30000)))
    size = 16 << 20  # more than all the buffers on the way
    first = router.connect()
    second = router.connect()

    def upload(client, method):
        client.send(request(b"u" * size, method=method))

    uploads = [threading.Thread(target=upload, args=(first, "PUT"), daemon=True)]
    uploads[0].start()
    eventually(lambda: router.slots_in_use() == 1, "the slot to be taken")
    uploads.append(threading.Thread(target=upload, args=(second, "POST"), daemon=True))
    uploads[1].start()
    for client, method in ((first, "PUT"), (second, "POST")):
        answer = client.response(method)
        assert (answer.status, answer.body) == (200, b"%d" % size)
        client.close()
    for one in uploads:
        one.join()


@pytest.mark.long
def test_a_client_that_reads_below_the_minimum_rate_gives_the_slot_back(pod, start):
    def flood(exchange):
        exchange.body()
        exchange.begin_chunks()
        while True:
            exchange.chunk(b"f" * 65536)

    blue = pod(flood)
    router = start(endpoint(deployment([blue])), limits={"min_send_rate": 100_000_000})
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        assert client.head().status == 200
        begun = time.monotonic()
        while not router.access_log_file.read_text() and time.monotonic() - begun < 30:
            client.reader.fill()  # steadily, far more than a byte a minute, and far less than the required rate
            client.reader.buffer = b""
            time.sleep(0.1)
        assert 4 < time.monotonic() - begun < 30
    line = router.access_lines(1)[0]
    assert (line["ResponseCode"], line["ResponseCodeReason"]) == (200, "client_timeout")
    eventually(lambda: router.slots_in_use() == 0, "the slot to be free")
    assert blue.aborts == 1


@pytest.mark.long
def test_a_client_that_reads_fast_enough_is_not_cut(pod, start):
    size = 3_000_000

    def flood(exchange):
        exchange.body()
        exchange.answer(200, b"f" * size)

    router = start(endpoint(deployment([pod(flood)])), limits={"min_send_rate": 100_000})
    with router.connect(receive_buffer=16384) as client:
        client.send(request(b"x"))
        head = client.head()
        assert head.status == 200
        got, begun = len(client.reader.buffer), time.monotonic()
        while got < size:  # about 400 KB/s
            client.reader.buffer = b""
            client.reader.fill()
            got += len(client.reader.buffer)
            ahead = got / 400_000 - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)
        assert got == size and time.monotonic() - begun > 5
