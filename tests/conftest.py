"""What tests share: local servers, chat models that use them, and waiting for a condition."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from langchain_coze import ChatCoze, _runtime
from langchain_coze.local import LocalBot, LocalCoze
from tests.integration_tests.local.local_client import LocalClient

# A busy machine is not a failure.
settings.register_profile(
    "no time limit", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no time limit")

WITHOUT_AIOHTTP = "import sys; sys.modules['httpx_aiohttp'] = None"
"""For a script that looks at imports: langsmith imports httpx where httpx-aiohttp is installed."""

T = TypeVar("T")
_running: list[LocalCoze] = []


def serve(
    bots: Any = None,
    *,
    profiles: Sequence[str] = ("cloud",),
    scope: Any = "module",
    **options: Any,
) -> Any:
    """Make a fixture that runs one `LocalCoze` for all tests of a module.

    Every test starts with an empty request log and without faults. With several profiles, the
    tests run once for each.

    Args:
        bots: The bots to serve.
        profiles: The profiles of the server.
        scope: The scope of the fixture.
        options: Other arguments of `LocalCoze`.

    Example:
        ```python no-run
        coze = serve([WEATHER, NEWS])


        def test_a_bot_answers(coze: LocalCoze) -> None:
            assert make_chat(coze, NEWS).invoke("Hi").text == "Nothing new."
        ```
    """

    @pytest.fixture(scope=scope, params=profiles if len(profiles) > 1 else None)
    def coze(request: pytest.FixtureRequest) -> Iterator[LocalCoze]:
        profile = getattr(request, "param", profiles[0])
        with LocalCoze(bots, profile=profile, **options) as server:
            _running.append(server)
            yield server
            _running.remove(server)

    return coze


@pytest.fixture(autouse=True)
def _reset_servers() -> Iterator[None]:
    for server in _running:
        server.reset()
    _runtime.searched_bots.clear()
    yield
    for server in _running:
        server.faults = ()


@pytest.fixture
def client(coze: LocalCoze) -> Iterator[LocalClient]:
    """A bare HTTP client of the module's server."""
    with LocalClient(coze) as opened:
        yield opened


def make_chat(coze: LocalCoze, bot: LocalBot | None = None, **fields: Any) -> ChatCoze:
    """Return a model for a bot of a server: the first one unless another is given."""
    defaults = {
        "bot_id": (bot or coze.bots[0]).bot_id,
        "api_key": coze.token,
        "base_url": coze.base_url,
        "server": coze.profile,
        "timeout": 10,
        "poll_interval": 0.02,
    }
    return ChatCoze(**{**defaults, **fields})


def wait_until(condition: Callable[[], T], seconds: float = 10, *, interval: float = 0.005) -> T:
    """Wait until a condition returns a true value, and return that.

    Fails if the value is still false after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(interval)
    return value


def find_free_port() -> int:
    """Return a free port that the system does not give to others.

    Unlike a port that was free a moment ago, another test process cannot get it by chance: it is
    below the range from which Linux and macOS choose.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            return port


def finish_cancels() -> None:
    """Wait until all cancel requests that run in the background have been answered.

    After this, a test can assert that no turn was cancelled.
    """
    executor = _runtime.cancel_executor
    _runtime.cancel_executor = _runtime._create_cancel_executor()
    executor.shutdown(wait=True)


def forget_conversations() -> None:
    """Forget how the known conversations ended, as a new process would."""
    _runtime.last_turns.clear()
