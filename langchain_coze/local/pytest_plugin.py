"""A pytest fixture with a local Coze server.

Load it with ``pytest_plugins = ["langchain_coze.local.pytest_plugin"]`` in ``conftest.py``, or
import the fixture: ``from langchain_coze.local import local_coze``.
"""

from collections.abc import Iterator

import pytest

from langchain_coze.local.server import LocalCoze


@pytest.fixture
def local_coze() -> Iterator[LocalCoze]:
    """A running `LocalCoze` with the sample bot, stopped after the test.

    Example:
        >>> def test_answer(local_coze):
        ...     assert local_coze.bots[0].knowledge
    """
    with LocalCoze() as coze:
        yield coze
