"""pytest fixtures with a local server.

Load them with `pytest_plugins = ["langchain_coze.local.pytest_plugin"]` in `conftest.py`, or
with `pytest -p langchain_coze.local.pytest_plugin`. They are not loaded automatically, so that
other test suites in the same environment do not pay for an unused server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from langchain_coze.local.server import LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_coze.local.site import LocalSite


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for name, fields in (("LocalCoze", "bots=…"), ("LocalSite", "agent=…")):
        marker = f"local_{name.removeprefix('Local').lower()}({fields}, **fields)"
        config.addinivalue_line("markers", f"{marker}: keyword arguments for {name}")


@pytest.fixture
def local_coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    """Return a running `LocalCoze`, which is stopped after the test.

    It serves the sample bot by default. A marker `local_coze` on a test, a class or a module passes
    keyword arguments to `LocalCoze`.

    Raises:
        TypeError: The marker has a positional argument.

    Example:
        >>> # With @pytest.mark.local_coze(bots=str.upper, faults="idle=1") another bot is served.
        >>> def test_answer(local_coze):
        ...     assert local_coze.bots[0].knowledge
    """
    with LocalCoze(**_read_marker(request, "local_coze", "bots")) as coze:
        yield coze


def _read_marker(request: pytest.FixtureRequest, name: str, field: str) -> dict[str, Any]:
    marker = request.node.get_closest_marker(name)
    if marker and marker.args:
        # A single function as argument is never seen here: pytest marks that function instead.
        raise TypeError(f"{name} accepts only keyword arguments: @pytest.mark.{name}({field}=…)")
    return dict(marker.kwargs) if marker else {}


@pytest.fixture
def local_coze_env(local_coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> LocalCoze:
    """Return the same server; set environment variables to it during the test.

    Code that creates a `ChatCoze()` without arguments can then be tested unchanged.

    Example:
        >>> def test_address(local_coze_env):
        ...     assert os.environ["COZE_API_BASE"] == local_coze_env.base_url
    """
    for name, value in local_coze.environment.items():
        monkeypatch.setenv(name, value)
    return local_coze


@pytest.fixture
def local_site(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalSite]:
    """Return a running `LocalSite`, which is stopped after the test.

    It serves the sample agent by default. A marker `local_site` passes keyword arguments to
    `LocalSite`. During the test, `COZE_SITE_BASE` and `COZE_SITE_TOKEN` are set to it.

    Raises:
        TypeError: The marker has a positional argument.

    Example:
        >>> # With @pytest.mark.local_site(agent=str.upper, faults="cut") it serves another agent.
        >>> def test_address(local_site):
        ...     assert os.environ["COZE_SITE_BASE"] == local_site.base_url
    """
    from langchain_coze.local.site import LocalSite  # noqa: PLC0415 - imports langgraph

    with LocalSite(**_read_marker(request, "local_site", "agent")) as site:
        for name, value in site.environment.items():
            monkeypatch.setenv(name, value)
        yield site
