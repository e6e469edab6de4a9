"""A Coze-compatible server in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import threading
from collections import deque
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from langchain_coze.local.app import LocalApp, RecordedRequest
from langchain_coze.local.bots import LocalBot, as_bots
from langchain_coze.local.chatflows import LocalChatflow, as_chatflows
from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.oauth_apps import LocalOAuthApp, as_oauth_apps
from langchain_coze.local.routes.state import WORKSPACE_ID
from langchain_coze.local.samples.bot import create_sample_bot
from langchain_coze.local.samples.workflows import create_sample_workflows
from langchain_coze.local.wire.cloud import CloudProfile
from langchain_coze.local.wire.studio import StudioProfile
from langchain_coze.local.workflows import LocalWorkflow, as_workflows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_PROFILES: Mapping[str, type[CloudProfile]] = {"cloud": CloudProfile, "studio": StudioProfile}
_START_TIMEOUT, _CANCEL_TIMEOUT = 30.0, 1.0  # seconds
_BACKLOG = 2048
# Clients cannot connect to these addresses, only servers listen on them.
_LOOPBACK: Mapping[str, str] = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only compared


@dataclass(eq=False)
class LocalCoze:
    """A server on this machine that speaks the Coze API, for development, demos and tests.

    It runs in a thread; several can run at once. Conversations live as long as the server does.

    Attributes:
        bots: What it serves: None for one sample bot with a knowledge base, a `LocalBot`, a
            function or Runnable, or an iterable of these. A tuple of `LocalBot` afterwards.
        chatflows: A `LocalChatflow`, or several, or functions to make them of. A tuple afterwards.
        workflows: A `LocalWorkflow`, or several, or functions to make them of; None for those that
            go with the sample bot, where that is served, and else for none. A tuple afterwards.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one. The real one once started.
        token: The token that clients must send; made up when not given.
        more_tokens: Tokens of other users. Each has conversations, chats, files and runs of its
            own. A tuple afterwards.
        profile: `"cloud"`: the bytes of coze.cn and coze.com; `"studio"`: those of Coze Studio.
        error_status: HTTP status of errors: `"200"`, or `"real"` for the matching one. Studio
            has statuses of its own.
        quota: After this many chats and runs the server refuses with 4028; None means never.
        faults: What goes wrong, see `Fault`. May be changed while the server runs.
        request_log: How many requests `requests` remembers.
        stop_timeout: Seconds that `stop` waits for running chats before it ends them.
        oauth_apps: The `LocalOAuthApp` whose signed JWTs are taken, or several. A tuple afterwards.
        clock_offset: Seconds that the server's clock is ahead. May be changed while it runs.

    Raises:
        ValueError: The profile, the error status or a fault is not known, or two tokens are the
            same.
        TypeError: Something in `bots`, `chatflows`, `workflows` or `oauth_apps` cannot be
            served.

    Example:
        >>> with LocalCoze() as coze:
        ...     coze.base_url.startswith("http://127.0.0.1:"), coze.token.startswith("pat_")
        (True, True)
    """

    bots: Any = None
    _: KW_ONLY
    chatflows: Any = ()
    workflows: Any = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str = field(default="", repr=False)
    profile: str = "cloud"
    error_status: str = "200"
    quota: int | None = None
    faults: str | Sequence[str] = ()
    request_log: int = 1000
    stop_timeout: float = 0.5
    oauth_apps: Any = ()
    clock_offset: float = 0.0
    more_tokens: Sequence[str] = field(default=(), repr=False)
    _server: _UvicornThread | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse early what could not be served."""
        if self.profile not in _PROFILES:
            raise ValueError(f"profile must be one of {sorted(_PROFILES)}, not {self.profile!r}")
        if self.error_status not in {"200", "real"}:
            raise ValueError(f'error_status must be "200" or "real", not {self.error_status!r}')
        read_faults(self.faults)
        if self.workflows is None:
            self.workflows = create_sample_workflows() if self.bots is None else ()
        self.workflows: tuple[LocalWorkflow, ...] = as_workflows(self.workflows)
        self.bots: tuple[LocalBot, ...] = (
            (create_sample_bot(),) if self.bots is None else as_bots(self.bots)
        )
        self.chatflows: tuple[LocalChatflow, ...] = as_chatflows(self.chatflows)
        self.oauth_apps: tuple[LocalOAuthApp, ...] = as_oauth_apps(self.oauth_apps)
        self.token = self.token or f"pat_{secrets.token_urlsafe(32)}"
        self.more_tokens = tuple(self.more_tokens)
        tokens = {self.token, *self.more_tokens}
        if "" in tokens or len(tokens) <= len(self.more_tokens):
            raise ValueError("more_tokens: every user needs a token of their own")
        self._recorded_requests: deque[RecordedRequest] = deque(maxlen=self.request_log)

    @property
    def base_url(self) -> str:
        """Where clients on this machine reach it, without a slash at the end.

        Raises:
            RuntimeError: The server has not been started.
        """
        if self._server is None:
            raise RuntimeError(
                "the server is not running: use `with LocalCoze() as coze:` or start()"
            )
        host = _LOOPBACK.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}"

    @property
    def workspace_id(self) -> str:
        """The workspace that holds what it serves."""
        return WORKSPACE_ID

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the environment that lead a client to this server; one is its token.

        Raises:
            RuntimeError: The server has not been started.
        """
        variables = {"COZE_API_BASE": self.base_url, "COZE_API_TOKEN": self.token}
        variables["COZE_WORKSPACE_ID"] = self.workspace_id
        if self.bots:
            variables["COZE_BOT_ID"] = self.bots[0].bot_id
        return variables

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests received so far, oldest first."""
        return list(self._recorded_requests)

    def reset(self) -> None:
        """Forget recorded requests, used quotas, and how often faults were applied."""
        self._recorded_requests.clear()
        if self._server is not None:
            self._server.app.state.counters.clear()

    def start(self) -> Self:
        """Start the server; returns when it answers requests. Does nothing when it runs already.

        Raises:
            OSError: It cannot listen on the address, for example because the port is in use.
        """
        if self._server is None:
            listener = _listen(self.host, self.port)
            self.port = listener.getsockname()[1]
            app = LocalApp(self, self._recorded_requests, _PROFILES[self.profile]())
            self._server = _UvicornThread(app, listener, self.stop_timeout)
            self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening, end running chats, and wait until they have ended."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


async def _finish_tasks(tasks: set[asyncio.Task[None]], timeout: float) -> None:  # noqa: ASYNC109 - they are cancelled afterwards
    """Wait for tasks to end, then cancel those that have not."""
    if tasks:
        await asyncio.wait(set(tasks), timeout=timeout)
    for task in (unfinished := set(tasks)):
        task.cancel()
    if unfinished:
        await asyncio.wait(unfinished, timeout=_CANCEL_TIMEOUT)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is required: asyncio switches Nagle's algorithm off only for sockets that declare
    # TCP, and with it every reply on a kept-alive connection takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


class _UvicornThread(uvicorn.Server):
    """uvicorn in a thread, stopped by an event instead of by polling."""

    def __init__(self, app: LocalApp, listener: socket.socket, stop_timeout: float) -> None:
        config = uvicorn.Config(
            app.asgi,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
        )
        super().__init__(config)
        self.app = app
        app.state.connections.find_transports = self._find_transports
        self._listener = listener
        self._stop_timeout = stop_timeout
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run_thread, name="local-coze", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._ready.wait(_START_TIMEOUT) or self._error is not None:
            self._listener.close()
            raise RuntimeError("the local server did not start") from self._error

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run_thread(self) -> None:
        try:
            asyncio.run(self.serve(sockets=[self._listener]))
        except BaseException as error:  # noqa: BLE001 - start() raises it in the caller's thread
            self._error = error
        finally:
            self._ready.set()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._ready.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening; wait for running chats; then cancel them and close all connections."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # A stream ends when its chat does, and a request when its stream does.
        for tasks in (
            self.app.state.running_tasks,
            self.app.state.connections.streams,
            self.server_state.tasks,
        ):
            await _finish_tasks(tasks, self._stop_timeout)
        for transport in self._find_transports().values():
            transport.abort()
        for server in self.servers:
            await server.wait_closed()

    def _find_transports(self) -> dict[tuple[Any, ...], asyncio.Transport]:
        """Return the transports of all connections, by the address of their client."""
        connections: set[Any] = set(self.server_state.connections)
        return {c.client: c.transport for c in connections if c.client is not None}
