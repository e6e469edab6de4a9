"""The bots and chatflows of a local server."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_coze.local.knowledge import LocalKnowledge, as_knowledge_bases
from langchain_coze.local.runtime.extractive_reply import extract_reply
from langchain_coze.local.runtime.replying_bot import ReplyingBot, check_unique_ids, derive_name
from langchain_coze.local.wire.ids import derive_id
from langchain_coze.local.wire.recall import RecallMessage, sort_by_score

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(eq=False)
class LocalBot(ReplyingBot):
    """A bot of a `LocalCoze` server.

    Attributes:
        reply: The reply. A LangChain Runnable (chat model, chain, LangGraph graph) gets the
            messages of the conversation, and its output is streamed. A function gets the question,
            and a `Turn` if it has a second parameter. It may be `async`; it may return a string,
            or yield strings and parts such as `Reasoning` and `ClientTool`. None answers with
            sentences from the knowledge base, in the language of the question.
        bot_id: The id; by default 19 digits derived from the name.
        name: The name; by default the function's name.
        description: The description.
        prompt: The system prompt; `{{name}}` stands for a prompt variable of the request
            (`custom_variables`). Runnables get it as a system message, functions as
            `Turn.prompt`.
        knowledge: One `LocalKnowledge`, a list of several, or documents or texts for a new one.
            Every turn of a bot with knowledge starts with a recall of the best passages of all its
            knowledge bases; each passage has the id and name of its knowledge base.
        k: The maximum number of passages in a recall; None uses the largest `k` of the knowledge
            bases.
        recalls: `"one"` sends one message for all knowledge bases. `"each"` sends one for each of
            them in order, from different agents, as bots with several agents do.
        on_demand: Whether the model calls the search: a `function_call` and a `tool_response` of
            the knowledge plugin precede the recall, and nothing found means no recall. No recording
            shows such a call (wire 3.5); its names and output are our choice.
        follow_ups: Questions to suggest after each answer, or a function that returns them for a
            question.
        published: If False, requests fail with 4015, except those for the draft.
        delay: Seconds between two deltas.
        burst: The maximum number of deltas in one network write.
        quota: The number of chats after which requests fail with 4028; None for no limit.
        faults: Faults to inject into its replies; see `Fault`.

    Raises:
        TypeError: `reply` or `knowledge` has an unsupported type.
        ValueError: A fault or the value of `recalls` is unknown, `burst` or `k` is below 1, or two
            knowledge bases have the same id.

    Example:
        >>> def shout(question: str) -> str:
        ...     return question.upper()
        >>> LocalBot(shout).name
        'shout'
    """

    reply: Any = None
    _: KW_ONLY
    bot_id: str = ""
    prompt: str = ""
    knowledge: Any = None
    k: int | None = None
    recalls: Literal["one", "each"] = "one"
    on_demand: bool = False

    is_chatflow = False

    def __post_init__(self) -> None:
        """Set the name and id; reject invalid settings."""
        self.name = self.name or derive_name(self.reply)
        self.bot_id = self.bot_id or derive_id("bot", self.name)
        bases = as_knowledge_bases(self.knowledge)
        check_unique_ids("knowledge bases", [base.dataset_id for base in bases])
        self.knowledge = bases[0] if len(bases) == 1 else bases or None
        self.bases = bases
        if self.recalls not in {"one", "each"}:
            raise ValueError(f"recalls must be 'one' or 'each', not {self.recalls!r}")
        if self.k is not None and self.k < 1:
            raise ValueError("k must be at least 1")
        self._set_reply(extract_reply if self.reply is None else self.reply, self.bot_id)

    def bind(self, *knowledge: LocalKnowledge) -> None:
        """Give the bot further knowledge bases, also while a server runs it.

        Raises:
            ValueError: The bot has one with the same id.
        """
        bases = (*self.bases, *knowledge)
        check_unique_ids("knowledge bases", [base.dataset_id for base in bases])
        self.bases = bases

    def unbind(self, dataset_id: str) -> None:
        """Take a knowledge base from the bot; nothing happens if it does not have it."""
        self.bases = tuple(base for base in self.bases if base.dataset_id != dataset_id)

    async def search(self, question: str) -> AsyncIterator[RecallMessage]:
        """Search the knowledge bases, and yield the content of each recall message."""
        if self.recalls == "each":
            for base in self.bases:
                chunks = await base.asearch(question, self.k)
                yield RecallMessage(tuple(chunks), derive_id("agent", base.dataset_id))
        elif self.bases:
            results = await asyncio.gather(*(b.asearch(question, self.k) for b in self.bases))
            limit = self.k or max(base.k for base in self.bases)
            yield RecallMessage(sort_by_score(c for chunks in results for c in chunks)[:limit])

    def as_json(self) -> dict[str, Any]:
        """Return the bot object of `GET /v1/bots/{bot_id}` (wire 5.4)."""
        bases = [{"id": base.dataset_id, "name": base.name} for base in self.bases]
        return {
            "bot_id": self.bot_id,
            "name": self.name,
            "description": self.description,
            "icon_url": "",
            "create_time": self.created_at,
            "update_time": self.created_at,
            "version": str(self.created_at),
            "prompt_info": {"prompt": self.prompt},
            "onboarding_info": {"prologue": "", "suggested_questions": []},
            "bot_mode": 0,
            "plugin_info_list": [],
            "model_info": {"model_id": "0", "model_name": "local"},
            "knowledge": {"knowledge_infos": bases},
            "workflow_info_list": [],
            "shortcut_commands": [],
            "variables": [],
            "voice_info_list": [],
        }

    def as_list_item(self, owner_id: str) -> dict[str, Any]:
        """Return the bot object of `GET /v1/bots` (wire 5.4)."""
        return {
            "id": self.bot_id,
            "name": self.name,
            "icon_url": "",
            "folder_id": "0",
            "updated_at": self.created_at,
            "description": self.description,
            "is_published": self.published,
            "published_at": self.created_at if self.published else 0,
            "owner_user_id": owner_id,
        }

    def as_published_item(self) -> dict[str, Any]:
        """Return the bot object of the older `GET /v1/space/published_bots_list` (wire 5.4)."""
        return {
            "bot_id": self.bot_id,
            "bot_name": self.name,
            "description": self.description,
            "icon_url": "",
            "publish_time": str(self.created_at),
        }


@dataclass(eq=False)
class LocalChatflow(ReplyingBot):
    """A chatflow of a `LocalCoze` server (wire 4.6).

    Attributes:
        reply: The reply, as for a `LocalBot`. `Turn.parameters` has the values of the start node.
        workflow_id: The id; by default 19 digits derived from the name.
        name: The name; by default the function's name.
        app_id: The app of the chatflow, which requests must name. Without one, the chatflow is in
            the library, and requests name a bot of the server, or any app.
        description: The description.
        follow_ups: Questions to suggest after each answer, or a function that returns them for a
            question.
        published: If False, requests fail with 4200.
        delay: Seconds between two deltas.
        burst: The maximum number of deltas in one network write.
        quota: The number of runs after which requests fail with 4028; None for no limit.
        faults: Faults to inject into its replies; see `Fault`.

    Raises:
        TypeError: `reply` has an unsupported type.
        ValueError: A fault is unknown, or `burst` is below 1.

    Example:
        >>> def order(question: str) -> str:
        ...     return "Ordered: " + question
        >>> LocalChatflow(order).name
        'order'
    """

    reply: Any
    _: KW_ONLY
    workflow_id: str = ""
    app_id: str = ""

    def __post_init__(self) -> None:
        """Set the name and id; reject invalid settings."""
        self.name = self.name or derive_name(self.reply)
        self.workflow_id = self.workflow_id or derive_id("chatflow", self.name)
        self._set_reply(self.reply, self.workflow_id)
