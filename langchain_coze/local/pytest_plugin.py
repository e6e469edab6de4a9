"""pytest fixtures with a local Coze server.

Load them with `pytest_plugins = ["langchain_coze.local.pytest_plugin"]` in `conftest.py`, or
with `pytest -p langchain_coze.local.pytest_plugin`. They are not loaded by themselves: other test
suites of the same environment should not pay for a server that they do not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from langchain_coze.local.server import LocalCoze

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker.

    Args:
        config: pytest's own.
    """
    config.addinivalue_line(
        "markers", "local_coze(bots=…, **fields): arguments of the fixture's LocalCoze, by name"
    )


@pytest.fixture
def local_coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    """A running `LocalCoze`, stopped after the test.

    It serves the sample bot, or what the marker `local_coze` says; the marker takes the arguments
    of `LocalCoze` by name, and may stand on a test, a class, or a module.

    Args:
        request: The test that asks for it.

    Raises:
        TypeError: The marker was given something without a name.

    Example:
        >>> # With @pytest.mark.local_coze(bots=str.upper, faults="crlf") the bot is another one.
        >>> def test_answer(local_coze):
        ...     assert local_coze.bots[0].knowledge
    """
    marker = request.node.get_closest_marker("local_coze")
    if marker and marker.args:
        # Of a lone function pytest makes no marker at all, but marks it: so not even here.
        raise TypeError("local_coze takes its arguments by name: @pytest.mark.local_coze(bots=…)")
    with LocalCoze(**(marker.kwargs if marker else {})) as coze:
        yield coze


@pytest.fixture
def local_coze_env(local_coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> LocalCoze:
    """The same server; the variables of the environment lead to it during the test.

    So code that makes a `ChatCoze()` without arguments is tested as it is.

    Args:
        local_coze: The server.
        monkeypatch: pytest's own.

    Example:
        >>> def test_address(local_coze_env):
        ...     assert os.environ["COZE_API_BASE"] == local_coze_env.base_url
    """
    for name, value in local_coze.environment.items():
        monkeypatch.setenv(name, value)
    return local_coze
