"""The bots that a local server has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.runtime.naming import check_unique_ids, derive_name
from langchain_coze.local.runtime.recall import RecallPlan, knowledge_bases
from langchain_coze.local.runtime.replies import as_piece_source
from langchain_coze.local.runtime.tokenize import is_chinese
from langchain_coze.local.samples.knowledge import sample_knowledge
from langchain_coze.local.samples.reply import extractive_reply
from langchain_coze.local.wire.ids import stable_id


class Served:
    """What bots and chatflows have in common: a reply with a name, and how it is sent."""

    name: str
    follow_ups: Sequence[str] | Callable[[str], Sequence[str]]
    burst: int
    faults: str | Sequence[str]

    def _serve(self, reply: Any) -> None:
        """Take the reply; refuse early what could not be served."""
        if self.burst < 1:
            raise ValueError("burst must be at least 1")
        self.source = as_piece_source(reply)
        read_faults(self.faults)
        self.created_at = int(time.time())

    def suggestions(self, question: str) -> Sequence[str]:
        """The follow-up questions for a question."""
        return self.follow_ups(question) if callable(self.follow_ups) else self.follow_ups


@dataclass(eq=False)
class LocalBot(Served):
    """A bot of a `LocalCoze` server.

    Attributes:
        reply: What the bot says. A LangChain Runnable (chat model, chain, LangGraph graph) is
            called with the messages of the conversation and streamed. A function is called with the
            question; with a second parameter it also gets a `Turn`. It may be `async`; it may
            return a string, or yield strings and pieces such as `Reasoning` and `ClientTool`. None:
            the bot answers with sentences from its knowledge base, in the language of the question.
        bot_id: Its id; a decimal string of 19 digits made from the name when not given.
        name: Its name; the function's name when not given.
        description: What it is for.
        prompt: Its system prompt; `{{name}}` stands for a prompt variable of the request
            (`custom_variables`). Seen by Runnables and in `Turn.prompt`.
        knowledge: Its knowledge base, or several as a list of `LocalKnowledge`, or documents or
            texts to make one of. Every turn of a bot that has one begins with a recall: the best
            passages of all of them, each with the id and name of its own.
        k: How many passages a recall has at most; None: the largest `k` of the knowledge bases.
        recalls: `"one"` message for all knowledge bases, or one for `"each"`, in their order
            and each with an agent of its own: how bots of several agents tell their recalls.
        on_demand: The model calls for the search: a `function_call` and a `tool_response` of
            the knowledge plugin come before the recall, and no recall when nothing was found. How
            Coze shows such a call is not recorded (wire 3.5); names and output are our choice.
        follow_ups: Questions to suggest after each answer, or a function from the question to them.
        published: False: requests are refused with 4015 unless they ask for the draft.
        delay: Seconds between two deltas.
        burst: How many deltas may reach the client in one network write.
        quota: After this many chats the bot refuses with 4028; None means never.
        faults: What goes wrong, see `Fault`.

    Raises:
        TypeError: `reply` cannot be used as a reply, or `knowledge` as knowledge.
        ValueError: A fault is not known, `burst` or `k` is below 1, `recalls` is none of its
            words, or two knowledge bases have the same id.

    Example:
        >>> def shout(question: str) -> str:
        ...     return question.upper()
        >>> LocalBot(shout).name
        'shout'
    """

    reply: Any = None
    _: KW_ONLY
    bot_id: str = ""
    name: str = ""
    description: str = ""
    prompt: str = ""
    knowledge: Any = None
    k: int | None = None
    recalls: Literal["one", "each"] = "one"
    on_demand: bool = False
    follow_ups: Sequence[str] | Callable[[str], Sequence[str]] = ()
    published: bool = True
    delay: float = 0.0
    burst: int = 1
    quota: int | None = None
    faults: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        """Fill in the name and id; refuse early what could not be served."""
        self.name = self.name or derive_name(self.reply)
        self.bot_id = self.bot_id or stable_id("bot", self.name)
        bases = knowledge_bases(self.knowledge)
        check_unique_ids("knowledge bases", [base.dataset_id for base in bases])
        self.knowledge = bases[0] if len(bases) == 1 else bases or None
        self.recall_plan = RecallPlan(bases, self.k, self.recalls, on_demand=self.on_demand)
        self._serve(extractive_reply if self.reply is None else self.reply)

    @property
    def wire_id(self) -> str:
        """The id that its chats carry."""
        return self.bot_id

    def as_json(self) -> dict[str, Any]:
        """The bot object of `GET /v1/bots/{bot_id}` (wire 5.4)."""
        bases = self.recall_plan.bases
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
            "knowledge": {"knowledge_infos": [{"id": b.dataset_id, "name": b.name} for b in bases]},
            "workflow_info_list": [],
            "shortcut_commands": [],
            "variables": [],
            "voice_info_list": [],
        }

    def as_list_item(self, owner_id: str) -> dict[str, Any]:
        """The bot object of `GET /v1/bots` (wire 5.4)."""
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
        """The bot object of the older `GET /v1/space/published_bots_list` (wire 5.4)."""
        return {
            "bot_id": self.bot_id,
            "bot_name": self.name,
            "description": self.description,
            "icon_url": "",
            "publish_time": str(self.created_at),
        }


def sample_bot() -> LocalBot:
    """The bot that a server has when it is given none: it knows a little of Coze and LangChain."""
    return LocalBot(
        name="Local Coze bot",
        description="Answers from a few built-in documents, in English and Chinese",
        knowledge=sample_knowledge(),
        follow_ups=_sample_follow_ups,
    )


def _sample_follow_ups(question: str) -> Sequence[str]:
    if is_chinese(question):
        return ("扣子的知识库是怎么检索的？", "怎样把工作流当作工具使用？")
    return ("How is a knowledge base searched?", "How do I use a workflow as a tool?")


def as_bots(bots: Any) -> tuple[LocalBot, ...]:
    """Make bots of whatever a server may be given.

    Args:
        bots: None for the sample bot; a `LocalBot`; anything that may serve as a reply; or an
            iterable of these.

    Raises:
        TypeError: Something in it cannot be served.
        ValueError: Two bots have the same id.

    Example:
        >>> [bot.name for bot in as_bots([LocalBot(name="a"), LocalBot(name="b")])]
        ['a', 'b']
    """
    if bots is None:
        return (sample_bot(),)
    if isinstance(bots, Iterable) and not callable(bots) and not isinstance(bots, str):
        served = tuple(_as_bot(bot) for bot in bots)
    else:
        served = (_as_bot(bots),)
    check_unique_ids("bots", [bot.bot_id for bot in served])
    return served


def _as_bot(bot: Any) -> LocalBot:
    return bot if isinstance(bot, LocalBot) else LocalBot(bot)
