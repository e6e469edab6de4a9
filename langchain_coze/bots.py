"""`CozeBots`: which bots a workspace has, and how they are set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from langchain_coze._api.accounts import fetch_bot, list_bots
from langchain_coze._api.ids import require_id
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow


@dataclass(frozen=True, kw_only=True)
class BotSummary:
    """A bot of a workspace.

    Attributes:
        id: Its id.
        name: Its name.
        description: What it is for.
        is_published: Whether it is published to the API.
        updated_at: When it was changed, a Unix time in seconds.
    """

    id: str
    name: str
    description: str
    is_published: bool
    updated_at: int


@dataclass(frozen=True, kw_only=True)
class BotPart:
    """A plugin, workflow, knowledge base or variable of a bot.

    Attributes:
        id: Its id; empty for a variable.
        name: Its name.
        description: What it is for.
        tools: The names of a plugin's tools.
        default: The default value of a variable.
    """

    id: str = ""
    name: str
    description: str = ""
    tools: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class BotDescription:
    """How a published bot is set up.

    Attributes:
        id: Its id.
        name: Its name.
        description: What it is for.
        prompt: Its prompt.
        model: The name of its model.
        plugins: Its plugins with their tools.
        workflows: Its workflows.
        knowledge: Its knowledge bases.
        variables: Its variables with their defaults.
    """

    id: str
    name: str
    description: str
    prompt: str
    model: str
    plugins: tuple[BotPart, ...]
    workflows: tuple[BotPart, ...]
    knowledge: tuple[BotPart, ...]
    variables: tuple[BotPart, ...]


BotSummaries: TypeAlias = list[BotSummary]  # the class below has a method `list`


class CozeBots(CozeConnectionFields):
    """The bots of a workspace.

    Example:
        ```python
        from langchain_coze import CozeBots
        from langchain_coze.local import LocalCoze

        with LocalCoze() as coze:
            bots = CozeBots(
                workspace_id=coze.workspace_id, api_key=coze.token, base_url=coze.base_url
            )
            for bot in bots.list():
                print(bot.name, bots.describe(bot.id).knowledge)
        ```

    Raises:
        CozeError: Coze reported an error or could not be reached.

    Source: Coze API, list bots and view bot configurations (wire section 5.4).
    """

    workspace_id: str = Field(coerce_numbers_to_str=True, min_length=1)
    """The workspace: the number after `/space/` in its address."""

    def list(
        self,
        *,
        publish_status: Literal["all", "published_online", "unpublished_draft"] | None = None,
    ) -> BotSummaries:
        """Return the bots, from all pages.

        Args:
            publish_status: Which bots; None for those that are published.

        Raises:
            CozeInvalidRequestError: The field `workspace_id` is no id.
            CozeNotFoundError: Coze Studio does not list bots.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._list(publish_status))

    async def alist(
        self,
        *,
        publish_status: Literal["all", "published_online", "unpublished_draft"] | None = None,
    ) -> BotSummaries:
        """Async version of `list`."""
        return await self._make_driver().arun(self._list(publish_status))

    def _list(self, publish_status: str | None) -> Flow[BotSummaries]:
        query = {"workspace_id": require_id("workspace_id", self.workspace_id)}
        if publish_status:
            query["publish_status"] = publish_status
        items = yield from list_bots(query, RetryPolicy(max_retries=self.max_retries))
        return [
            BotSummary(
                id=str(item["id"]),
                name=_to_text(item, "name"),
                description=_to_text(item, "description"),
                is_published=bool(item.get("is_published")),
                updated_at=int(item.get("updated_at") or 0),
            )
            for item in items
        ]

    def describe(self, bot_id: str) -> BotDescription:
        """Return how a published bot is set up.

        Args:
            bot_id: The bot.

        Raises:
            CozeInvalidRequestError: `bot_id` is no id.
            CozeNotFoundError: It does not exist, or is not published to the API.
            CozeError: Any other failure.
        """
        return self._make_driver().run(self._describe(bot_id))

    async def adescribe(self, bot_id: str) -> BotDescription:
        """Async version of `describe`."""
        return await self._make_driver().arun(self._describe(bot_id))

    def _describe(self, bot_id: str) -> Flow[BotDescription]:
        bot_id = require_id("bot_id", bot_id)
        bot = yield from fetch_bot(bot_id, RetryPolicy(max_retries=self.max_retries))
        prompt, knowledge, model = (
            _to_mapping(bot.get(key)) for key in ("prompt_info", "knowledge", "model_info")
        )
        return BotDescription(
            id=_to_text(bot, "bot_id") or bot_id,
            name=_to_text(bot, "name"),
            description=_to_text(bot, "description"),
            prompt=_to_text(prompt, "prompt"),
            model=_to_text(model, "model_name"),
            plugins=_read_parts(bot.get("plugin_info_list"), id_key="plugin_id"),
            workflows=_read_parts(bot.get("workflow_info_list")),
            knowledge=_read_parts(knowledge.get("knowledge_infos")),
            variables=_read_parts(bot.get("variables"), id_key="", name_key="keyword"),
        )


def _read_parts(items: Any, *, id_key: str = "id", name_key: str = "name") -> tuple[BotPart, ...]:
    return tuple(
        BotPart(
            id=_to_text(item, id_key),
            name=_to_text(item, name_key),
            description=_to_text(item, "description"),
            tools=tuple(part.name for part in _read_parts(item.get("api_info_list"))),
            default=_to_text(item, "default_value"),
        )
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, Mapping)
    )


def _to_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _to_text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return "" if value is None else str(value)
