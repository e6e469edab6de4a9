"""The state of a running server: settings, accounts, conversations, chats and runs."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary

from langchain_coze.local.routes.stream_responses import StreamConnections
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import derive_id

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from starlette.applications import Starlette

    from langchain_coze.local.bots import LocalBot, LocalChatflow
    from langchain_coze.local.faults.specs import FaultSet
    from langchain_coze.local.knowledge import LocalKnowledge
    from langchain_coze.local.oauth_apps import LocalOAuthApp
    from langchain_coze.local.runtime.chat_run import ChatRun
    from langchain_coze.local.runtime.conversation import Conversation
    from langchain_coze.local.runtime.workflow_run import ServedRun
    from langchain_coze.local.wire.cloud_profile import CloudProfile
    from langchain_coze.local.wire.files import StoredFile
    from langchain_coze.local.workflows import LocalWorkflow

OWNER_ID = derive_id("owner", "local")
WORKSPACE_ID = derive_id("workspace", "local")
_RUNNING = frozenset({"created", "in_progress"})

ServedT = TypeVar("ServedT", "LocalBot", "LocalChatflow", "LocalWorkflow")


class ServerSettings(Protocol):
    """The settings of a `LocalCoze`, which the routes read at each request.

    They add the knowledge bases that clients create.
    """

    bots: tuple[LocalBot, ...]
    chatflows: tuple[LocalChatflow, ...]
    workflows: tuple[LocalWorkflow, ...]
    knowledge: tuple[LocalKnowledge, ...]
    token: str
    more_tokens: Sequence[str]
    error_status: str
    quota: int | None
    faults: str | Sequence[str]
    oauth_apps: tuple[LocalOAuthApp, ...]
    clock_offset: float

    @property
    def accepts_any_host(self) -> bool:
        """Whether any host name is accepted."""
        ...


class IssuedToken(NamedTuple):
    """An access token issued to an OAuth app: its owner and its expiry as a Unix time."""

    owner: str
    expires_at: float


@dataclass(kw_only=True)
class AppState:
    """The connections, tasks and counters of a local server."""

    connections: StreamConnections = field(default_factory=StreamConnections)
    running_tasks: set[asyncio.Task[None]] = field(default_factory=set)
    # Uses of quotas and applications of faults.
    counters: Counter[str] = field(default_factory=Counter)

    def use_faults(self, source: str, faults: FaultSet, path: str) -> Mapping[Any, str]:
        """Return the faults that apply to a request for this path, and count the request.

        Args:
            source: Where the faults were set; each source has its own counter.
            faults: The faults.
            path: The path of the request.
        """
        if not (faults.values and faults.applies_to(path)):
            return {}
        key = f"{source} {faults.text}"
        self.counters[key] += 1
        return faults.values if faults.times is None or self.counters[key] <= faults.times else {}

    def start_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a chat or workflow to its end, even if the client disconnects."""
        task = asyncio.create_task(coroutine)
        self.running_tasks.add(task)
        task.add_done_callback(self.running_tasks.discard)
        return task


class BaseApp:
    """The application of a local server."""

    asgi: Starlette
    state: AppState


@dataclass
class ServerState(AppState):
    """The state of a running `LocalCoze`."""

    settings: ServerSettings
    profile: CloudProfile
    files: dict[str, StoredFile] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    chats: dict[str, ChatRun] = field(default_factory=dict)
    # Ids and owners of chats that were not saved.
    unsaved: set[tuple[str, str]] = field(default_factory=set)
    running_unsaved: WeakValueDictionary[str, ChatRun] = field(default_factory=WeakValueDictionary)
    issued_tokens: dict[str, IssuedToken] = field(default_factory=dict, repr=False)
    workflow_runs: dict[str, ServedRun] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """The Unix time by the server's clock, including `clock_offset`."""
        return time.time() + self.settings.clock_offset

    def authenticate(self, token: str) -> str | None:
        """Return the account of a token, or None if the token is invalid.

        Conversations, chats, files and runs belong to an account.
        """
        for number, known in enumerate((self.settings.token, *self.settings.more_tokens)):
            if is_same_token(token, known):
                return derive_id("owner", "local", str(number)) if number else OWNER_ID
        issued = self.issued_tokens.get(token)
        return issued.owner if issued and issued.expires_at > self.now else None

    def get_bot(self, bot_id: str) -> LocalBot:
        """Return the bot with this id.

        An id that is not a number raises 4006 (invalid bot), an unknown number 4200 (resource does
        not exist). The behaviour of the hosted service is not documented.
        """
        bot = find_by_id(self.settings.bots, bot_id)
        if bot is None:
            raise ApiError(
                4200 if bot_id.isdecimal() else 4006,
                f"Requested resource bot_id={bot_id} does not exist. "
                "Ensure you are the correct resource identifier.",
                resource_id=bot_id,
            )
        return bot

    def list_datasets(self) -> list[LocalKnowledge]:
        """Return all knowledge bases: those of bots first."""
        bases = [base for bot in self.settings.bots for base in bot.bases]
        return list({base.dataset_id: base for base in (*bases, *self.settings.knowledge)}.values())

    def find_target(self, path: str, body: Any) -> LocalBot | LocalChatflow | LocalWorkflow | None:
        """Return the bot, chatflow or workflow that a request is for."""
        if not isinstance(body, dict):
            return None
        # The bot that a chatflow or workflow runs in is not the target.
        if path == "/v1/workflows/chat":
            return find_by_id(self.settings.chatflows, body.get("workflow_id"))
        if path.startswith(("/v1/workflow/", "/v1/workflows/")):
            return find_by_id(self.settings.workflows, body.get("workflow_id"))
        return find_by_id(self.settings.bots, body.get("bot_id"))

    def consume_quota(self, target_id: str, target_quota: int | None) -> bool:
        """Count a chat or run of a target; return whether all quotas allow it."""
        limits = (("chats", self.settings.quota), (f"chats {target_id}", target_quota))
        if any(quota is not None and self.counters[key] >= quota for key, quota in limits):
            return False
        self.counters.update(key for key, _ in limits)
        return True

    # Conversations, chats and files ----------------------------------------------------------

    def get_files(self, owner: str) -> dict[str, StoredFile]:
        """Return the uploaded files of a user, by id (wire 5.3)."""
        return {file_id: file for file_id, file in self.files.items() if file.owner == owner}

    def add_conversation(self, conversation: Conversation) -> Conversation:
        """Store a new conversation."""
        self.conversations[conversation.id] = conversation
        return conversation

    def get_conversation(self, conversation_id: str, owner: str) -> Conversation:
        """Return a conversation; error 4002 if the owner has none with this id."""
        conversation = self.conversations.get(conversation_id)
        if conversation is None or conversation.owner != owner:
            text = f"Invalid conversation: {conversation_id!r} does not exist"
            raise ApiError(4002, text, of_other_user=conversation is not None)
        return conversation

    def list_conversations(self, owner: str) -> list[Conversation]:
        """Return all conversations of an owner, oldest first."""
        return [c for c in self.conversations.values() if c.owner == owner]

    def delete_conversation(self, conversation: Conversation) -> None:
        """Delete a conversation and its chats."""
        del self.conversations[conversation.id]
        for chat_id, run in list(self.chats.items()):
            if run.conversation is conversation:
                del self.chats[chat_id]

    def add_chat(self, run: ChatRun) -> None:
        """Store a chat if its history is saved; otherwise store only its ids."""
        if run.request.auto_save_history:
            self.chats[run.ids.chat_id] = run
        else:
            self.unsaved.add((run.ids.chat_id, run.conversation.owner))
            self.running_unsaved[run.ids.chat_id] = run

    def get_chat(self, conversation_id: str, chat_id: str, owner: str) -> ChatRun:
        """Return a saved chat; error 4001 if the owner's conversation has none with this id."""
        run = self.chats.get(chat_id)
        if run and (run.conversation.id, run.conversation.owner) == (conversation_id, owner):
            return run
        raise ApiError(4001)

    def get_running_chat(self, conversation_id: str, chat_id: str, owner: str) -> ChatRun:
        """Return a chat to cancel, saved or not; 4104 if it has ended.

        Whether Coze can cancel a chat that is not saved is not documented (wire 2.8).
        """
        run = self.running_unsaved.get(chat_id)
        ids = run and (run.conversation.id, run.conversation.owner)
        if run is None or ids != (conversation_id, owner) or run.status not in _RUNNING:
            run = self.get_chat(conversation_id, chat_id, owner)
        if run.status not in _RUNNING:
            raise ApiError(4104)
        return run


def find_by_id(served: Iterable[ServedT], wire_id: Any) -> ServedT | None:
    """Return the bot, chatflow or workflow with this id, or None."""
    return next((item for item in served if item.wire_id == wire_id), None)


def is_same_token(token: str, known: str) -> bool:
    """Return whether two tokens are equal, in constant time."""
    first, second = (text.encode("utf-8", "surrogatepass") for text in (token, known))
    return hmac.compare_digest(first, second)


def check_workspace(workspace_id: str) -> None:
    """Raise error 4101 unless the workspace belongs to the server."""
    if workspace_id != WORKSPACE_ID:
        raise ApiError(4101)
