"""The servers that the tests of the workflow tool share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langchain_coze.local import LocalCoze
from tests.integration_tests.workflow_tools import serving


@pytest.fixture(scope="module", params=["cloud", "studio"])
def coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    with serving(request.param) as server:
        yield server


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCoze]:
    with serving("cloud") as server:
        yield server


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    names = {"coze", "cloud"} & set(request.fixturenames)
    servers = [request.getfixturevalue(name) for name in names]
    for server in servers:
        server.reset()
    yield
    for server in servers:
        server.faults = ()
