"""The tests of tests/integration that this folder imports get, in place of a router, a router that sends every request on to its home."""

import pytest
from harness.sent_on import SentOnStage


@pytest.fixture
def stage(tmp_path):
    stage = SentOnStage(tmp_path)
    yield stage
    stage.end()


@pytest.fixture(scope="module")
def shared_stage(tmp_path_factory):
    stage = SentOnStage(tmp_path_factory.mktemp("shared"))
    yield stage
    stage.end()
