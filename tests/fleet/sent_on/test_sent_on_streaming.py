"""tests/integration/test_streaming.py, with every request sent on."""

import pytest
from support.settings import deployment, endpoint
from test_streaming import *  # noqa: F401,F403
from test_streaming import Lockstep

del test_each_event_reaches_the_client_at_once  # noqa: F821: 8,000 events; fewer here


@pytest.mark.parametrize("size", [50, 65536])
def test_each_event_reaches_the_client_at_once_through_the_home(pod, start, size):
    lockstep = Lockstep(size, chunked=True, events=100)
    router = start(endpoint(deployment([pod(lockstep)])))
    with router.start_request(b'{"stream": true}') as client:
        assert client.head().status == 200
        for number in range(100):
            pending = b""
            while len(pending) < size:
                pending += client.chunk()
            assert pending == lockstep.event(number)
            lockstep.confirm()
        assert client.chunk() == b""
