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
    """Register the marker.

    Args:
        config: pytest's own.
    """
    config.addinivalue_line(
        "markers", "local_coze(bots=…, **fields): arguments of the fixture's LocalCoze, by name"
    )


@pytest.fixture
def local_coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
    """Return a running `LocalCoze`, stopped after the test.

    It serves the sample bot, unless there is a marker `local_coze`. The marker takes the arguments
    of `LocalCoze` by name; put it on a test, a class, or a module.

    Args:
        request: The test that uses it.

    Raises:
        TypeError: The marker has a positional argument.

    Example:
        >>> # With @pytest.mark.local_coze(bots=str.upper, faults="idle=1") it serves another bot.
        >>> def test_answer(local_coze):
        ...     assert local_coze.bots[0].knowledge
    """
    marker = request.node.get_closest_marker("local_coze")
    if marker and marker.args:
        # A single function as argument never arrives here: pytest marks the function instead.
        raise TypeError("local_coze takes its arguments by name: @pytest.mark.local_coze(bots=…)")
    with LocalCoze(**(marker.kwargs if marker else {})) as coze:
        yield coze


@pytest.fixture
def local_coze_env(local_coze: LocalCoze, monkeypatch: pytest.MonkeyPatch) -> LocalCoze:
    """Return the same server; environment variables point to it during the test.

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
