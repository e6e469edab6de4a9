"""What the route groups of a server share: one request, the state behind it, and its reply.

A group is a class that takes the `Site` and whose `routes()` lists its `RouteEntry` items; the
groups are collected in `langchain_coze.local.app`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from starlette.responses import Response

from langchain_coze.local.routes.responses import Connections
from langchain_coze.local.runtime.store import Store
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.ids import stable_id

if TYPE_CHECKING:
    from starlette.requests import Request

    from langchain_coze.local.bots import LocalBot
    from langchain_coze.local.chatflows import LocalChatflow
    from langchain_coze.local.faults.specs import FaultPlan
    from langchain_coze.local.oauth_apps import LocalOAuthApp
    from langchain_coze.local.runtime.workflow_run import WorkflowRun
    from langchain_coze.local.wire.cloud import CloudProfile
    from langchain_coze.local.workflows import LocalWorkflow

OWNER_ID = stable_id("owner", "local")
WORKSPACE_ID = stable_id("workspace", "local")
_LARGEST_PAGE = 50


class Settings(Protocol):
    """What the routes read from their `LocalCoze`, at each request anew."""

    bots: tuple[LocalBot, ...]
    chatflows: tuple[LocalChatflow, ...]
    workflows: tuple[LocalWorkflow, ...]
    token: str
    error_status: str
    quota: int | None
    faults: str | Sequence[str]
    oauth_apps: tuple[LocalOAuthApp, ...]
    clock_offset: float

    @property
    def more_tokens(self) -> Sequence[str]:
        """The tokens of other users."""
        ...


class Issued(NamedTuple):
    """An access token that an OAuth app got: who uses it, and until when (unix time)."""

    owner: str
    until: float


@dataclass
class Site:
    """The state of one running server."""

    settings: Settings
    profile: CloudProfile
    store: Store = field(default_factory=Store)
    connections: Connections = field(default_factory=Connections)
    runs: set[asyncio.Task[None]] = field(default_factory=set)
    used: Counter[str] = field(default_factory=Counter)
    issued: dict[bytes, Issued] = field(default_factory=dict)
    workflow_runs: dict[str, WorkflowRun] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The time by the server's clock, which may be set off on purpose."""
        return time.time() + self.settings.clock_offset

    def owner(self, token: str) -> str:
        """Who sends a token: an id that conversations, chats and files are kept apart by.

        Raises:
            Problem: 4100, nobody does; 700012006, it has expired.
        """
        # Digests are compared, and looked up: how long it takes tells nothing of a known token.
        given = digest(token)
        for number, known in enumerate((self.settings.token, *self.settings.more_tokens)):
            if hmac.compare_digest(given, digest(known)):
                return stable_id("owner", "local", str(number)) if number else OWNER_ID
        issued = self.issued.get(given)
        if issued is None:
            raise Problem(4100)
        if issued.until <= self.now:
            raise Problem(700012006)
        return issued.owner

    def find_bot(self, bot_id: Any) -> LocalBot | None:
        """The bot with this id, if there is one."""
        return next((bot for bot in self.settings.bots if bot.bot_id == bot_id), None)

    def bot(self, bot_id: str) -> LocalBot:
        """Find a bot.

        An id of the wrong form is an invalid bot (4006); one of the right form that nobody has is a
        resource that was not found (4200). The hosted service's own choice is not documented.

        Raises:
            Problem: 4006 or 4200.
        """
        bot = self.find_bot(bot_id)
        if bot is None:
            known = 4200 if bot_id.isdecimal() else 4006
            raise Problem(known, f"bot_id {bot_id!r} does not exist")
        return bot

    def chatflow(self, workflow_id: str) -> LocalChatflow:
        """Find a chatflow.

        Raises:
            Problem: 4200, there is none with this id, or it is not published.
        """
        flow = self.find_chatflow(workflow_id)
        if flow is None or not flow.published:
            raise Problem(4200, f"workflow_id {workflow_id!r} does not exist or is not published")
        return flow

    def find_chatflow(self, workflow_id: Any) -> LocalChatflow | None:
        """The chatflow with this id, if there is one."""
        flows = self.settings.chatflows
        return next((flow for flow in flows if flow.workflow_id == workflow_id), None)

    def find_workflow(self, workflow_id: Any) -> LocalWorkflow | None:
        """The workflow with this id, if there is one."""
        flows = self.settings.workflows
        return next((flow for flow in flows if flow.workflow_id == workflow_id), None)

    def workflow_run(self, execute_id: str, owner: str) -> WorkflowRun:
        """Find a run.

        Raises:
            Problem: 4314, its owner has none with this id.
        """
        run = self.workflow_runs.get(execute_id)
        if run is None or run.facts.owner != owner:
            raise Problem(4314)
        return run

    def asked(self, path: str, body: Any) -> LocalBot | LocalChatflow | LocalWorkflow | None:
        """The bot, chatflow or workflow that a request is for."""
        if not isinstance(body, dict):
            return None
        # A chatflow or workflow may be run in a bot, which is not asked itself.
        if path == "/v1/workflows/chat":
            return self.find_chatflow(body.get("workflow_id"))
        if path.startswith(("/v1/workflow/", "/v1/workflows/")):
            return self.find_workflow(body.get("workflow_id"))
        return self.find_bot(body.get("bot_id"))

    def count_chat(self, served_id: str, own_quota: int | None) -> None:
        """Count a chat.

        Raises:
            Problem: 4028, the quota of the server or of the bot is used up.
        """
        limits = (("chats", self.settings.quota), (f"chats {served_id}", own_quota))
        for key, quota in limits:
            if quota is not None and self.used[key] >= quota:
                raise Problem(4028)
        self.used.update(key for key, _ in limits)

    def start(self, run: Coroutine[Any, Any, None]) -> None:
        """Let a chat run, whether or not its client stays."""
        task = asyncio.create_task(run)
        self.runs.add(task)
        task.add_done_callback(self.runs.discard)


@dataclass
class Call:
    """One request on its way through a route.

    Attributes:
        request: The request itself; its body has been read, unless it is multipart.
        path: Without query.
        query: Query parameters and the parameters in the path.
        body: The decoded JSON; None when there was none, or it was not JSON.
        logid: The log id of the reply.
        plan: What goes wrong with the reply.
        owner: Who sent it; empty on routes that need no token.
        profile: The wire shapes of the reply.
    """

    request: Request
    path: str
    query: Mapping[str, str]
    body: Any
    logid: str
    plan: FaultPlan
    owner: str
    profile: CloudProfile

    @property
    def json_object(self) -> Mapping[str, Any]:
        """The body, which must be a JSON object."""
        if not isinstance(self.body, dict):
            raise Problem(4000, "the request body must be a JSON object")
        return self.body

    def required(self, name: str) -> str:
        """A query parameter that must be there."""
        value = self.query.get(name)
        if not value:
            raise Problem(4000, f"query parameter {name} is required")
        return value

    def number(self, name: str, default: int) -> int:
        """A query parameter that counts from 1."""
        value = self.query.get(name, str(default))
        if not value.isdecimal() or int(value) < 1:
            raise Problem(4000, f"query parameter {name} must be a whole number from 1")
        return int(value)


Handler: TypeAlias = Callable[[Call], Awaitable[Response]]


class RouteEntry(NamedTuple):
    """One route; `open` routes are answered without a token of the server."""

    path: str
    verbs: list[str]
    handler: Handler
    open: bool = False


class RouteGroup(Protocol):
    """Routes that belong together."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        ...


def digest(token: str) -> bytes:
    """What a server keeps of a token that it has given out."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def check_workspace(workspace_id: str) -> None:
    """Refuse a workspace that is not the server's.

    Raises:
        Problem: 4101.
    """
    if workspace_id != WORKSPACE_ID:
        raise Problem(4101)


def page(items: list[Any], call: Call, size: int, number: str = "page_num") -> list[Any]:
    """The items of the page that a request asks for; `size` when it does not say how many."""
    size = min(call.number("page_size", size), _LARGEST_PAGE)
    start = (call.number(number, 1) - 1) * size
    return items[start : start + size]


def as_json(value: Any, status: int = 200) -> Response:
    """A JSON reply in Go's style."""
    body = go_json.dumps(value).encode("utf-8", "replace")
    return Response(body, status, media_type="application/json; charset=utf-8")


def ok(data: Any, call: Call) -> Response:
    """The usual envelope (wire 1.4)."""
    return as_json(call.profile.envelope(data, call.path, call.logid))
