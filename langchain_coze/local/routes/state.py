"""The state of one running server: what it serves, who uses it, and what runs."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from langchain_coze.local.routes.stream_responses import StreamConnections
from langchain_coze.local.runtime.store import Store
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from langchain_coze.local.bots import LocalBot
    from langchain_coze.local.chatflows import LocalChatflow
    from langchain_coze.local.oauth_apps import LocalOAuthApp
    from langchain_coze.local.runtime.workflow_run import ServedRun
    from langchain_coze.local.wire.cloud_profile import CloudProfile
    from langchain_coze.local.workflows import LocalWorkflow

OWNER_ID = derive_id("owner", "local")
WORKSPACE_ID = derive_id("workspace", "local")


class ServerSettings(Protocol):
    """What the routes read from their `LocalCoze`, again at each request."""

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

    @property
    def accepts_any_host(self) -> bool:
        """Whether requests may name any host."""
        ...


class IssuedToken(NamedTuple):
    """An access token that an OAuth app got: whose it is, and when it expires (Unix time)."""

    owner: str
    expires_at: float


@dataclass
class ServerState:
    """The state of one running server.

    Attributes:
        settings: The settings of its `LocalCoze`.
        profile: The profile of its replies.
        store: Conversations, chats and files.
        connections: The open connections.
        running_tasks: The chats and runs that are not finished.
        counters: How often quotas were used and faults were applied.
        issued_tokens: Access tokens of OAuth apps, by hash.
        workflow_runs: The runs of workflows, by id.
    """

    settings: ServerSettings
    profile: CloudProfile
    store: Store = field(default_factory=Store)
    connections: StreamConnections = field(default_factory=StreamConnections)
    running_tasks: set[asyncio.Task[None]] = field(default_factory=set)
    counters: Counter[str] = field(default_factory=Counter)
    issued_tokens: dict[bytes, IssuedToken] = field(default_factory=dict)
    workflow_runs: dict[str, ServedRun] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The time by the server's clock, which `clock_offset` shifts."""
        return time.time() + self.settings.clock_offset

    def authenticate(self, token: str) -> str | None:
        """Return the account that a token belongs to; None when it is not valid.

        Conversations, chats, files and runs belong to an account.
        """
        # Hashes are compared and looked up, so the time this takes reveals nothing about a token.
        token_hash = hash_token(token)
        for number, known in enumerate((self.settings.token, *self.settings.more_tokens)):
            if hmac.compare_digest(token_hash, hash_token(known)):
                return derive_id("owner", "local", str(number)) if number else OWNER_ID
        issued = self.issued_tokens.get(token_hash)
        return issued.owner if issued and issued.expires_at > self.now else None

    def find_bot(self, bot_id: Any) -> LocalBot | None:
        """Return the bot with this id, if there is one."""
        return next((bot for bot in self.settings.bots if bot.bot_id == bot_id), None)

    def get_bot(self, bot_id: str) -> LocalBot:
        """Return the bot with this id.

        An id that is not a number is an invalid bot (4006); a number that no bot has is a resource
        that does not exist (4200). The hosted service's behaviour is not documented.

        Raises:
            ApiError: 4006 or 4200.
        """
        bot = self.find_bot(bot_id)
        if bot is None:
            code = 4200 if bot_id.isdecimal() else 4006
            raise ApiError(
                code,
                f"Requested resource bot_id={bot_id} does not exist. "
                "Ensure you are the correct resource identifier.",
                resource_id=bot_id,
            )
        return bot

    def find_chatflow(self, workflow_id: Any) -> LocalChatflow | None:
        """Return the chatflow with this id, if there is one."""
        chatflows = self.settings.chatflows
        return next(
            (chatflow for chatflow in chatflows if chatflow.workflow_id == workflow_id), None
        )

    def find_workflow(self, workflow_id: Any) -> LocalWorkflow | None:
        """Return the workflow with this id, if there is one."""
        workflows = self.settings.workflows
        return next(
            (workflow for workflow in workflows if workflow.workflow_id == workflow_id), None
        )

    def get_workflow_run(self, execute_id: str, owner: str) -> ServedRun:
        """Return a run of a workflow.

        Raises:
            ApiError: 4314, its owner has no run with this id.
        """
        run = self.workflow_runs.get(execute_id)
        if run is None or run.origin.owner != owner:
            raise ApiError(4314)
        return run

    def find_target(self, path: str, body: Any) -> LocalBot | LocalChatflow | LocalWorkflow | None:
        """Return the bot, chatflow or workflow that a request is for."""
        if not isinstance(body, dict):
            return None
        # The bot that a chatflow or workflow runs in is not the target.
        if path == "/v1/workflows/chat":
            return self.find_chatflow(body.get("workflow_id"))
        if path.startswith(("/v1/workflow/", "/v1/workflows/")):
            return self.find_workflow(body.get("workflow_id"))
        return self.find_bot(body.get("bot_id"))

    def consume_quota(self, target_id: str, target_quota: int | None) -> bool:
        """Count a chat or run; return whether no quota was used up before.

        Args:
            target_id: The id of the bot, chatflow or workflow.
            target_quota: Its quota.
        """
        limits = (("chats", self.settings.quota), (f"chats {target_id}", target_quota))
        for key, quota in limits:
            if quota is not None and self.counters[key] >= quota:
                return False
        self.counters.update(key for key, _ in limits)
        return True

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a chat or workflow to its end, whether or not its client stays."""
        task = asyncio.create_task(coroutine)
        self.running_tasks.add(task)
        task.add_done_callback(self.running_tasks.discard)


def hash_token(token: str) -> bytes:
    """Return the hash of a token; a server keeps only this of those it has issued."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def check_workspace(workspace_id: str) -> None:
    """Check that a workspace is the server's.

    Raises:
        ApiError: 4101.
    """
    if workspace_id != WORKSPACE_ID:
        raise ApiError(4101)
