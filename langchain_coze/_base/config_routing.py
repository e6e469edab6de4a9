"""The doors of a chat model: every way to call it, so that what a call is told arrives.

A model that is called by itself never sees the config of the call (in a graph it does), and the
tracers of LangChain see the input before the model: both are put right here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.prompt_values import ChatPromptValue

from langchain_coze._base.bot import CONFIG_KEY
from langchain_coze._convert.attachments import make_traceable

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigAwareChatModel(BaseChatModel):
    """A chat model that takes the conversation of the config of each call."""

    if not TYPE_CHECKING:  # the signatures, with their overloads, are those of BaseChatModel

        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - LangChain's name
            """Ask the bot; see `BaseChatModel.invoke`. The config may name a conversation."""
            return super().invoke(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - the same
            """Ask the bot; see `BaseChatModel.ainvoke`. The config may name a conversation."""
            return await super().ainvoke(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )

        def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - the same
            """Ask the bot; see `BaseChatModel.stream`. The config may name a conversation."""
            return super().stream(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )

        def astream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - the same
            """Ask the bot; see `BaseChatModel.astream`. The config may name a conversation."""
            return super().astream(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )

        def stream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - the same
            """Ask the bot; see `BaseChatModel.stream_events`. The config as in `invoke`."""
            return super().stream_events(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )

        def astream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - the same
            """Ask the bot; see `BaseChatModel.astream_events`. The config as in `invoke`."""
            return super().astream_events(
                make_traceable_input(input), config, **with_config_conversation(config, kwargs)
            )


def with_config_conversation(
    config: Mapping[str, Any] | None, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call, with the conversation that its config names.

    Inside a graph the config is found anyway; a model that is called by itself sees only this one.

    Args:
        config: The config of the call.
        kwargs: Its arguments.
    """
    conversation_id = (config.get("configurable") or {}).get(CONFIG_KEY) if config else None
    return kwargs if conversation_id is None else {"conversation_id": conversation_id, **kwargs}


def make_traceable_input(model_input: Any) -> Any:
    """Return the input of a call as traces can show it: see `attachments.make_traceable`.

    Args:
        model_input: What a chat model takes: a str, messages, or a prompt value.
    """
    messages = model_input.messages if isinstance(model_input, ChatPromptValue) else model_input
    if not isinstance(messages, (list, tuple)) or all(
        isinstance(getattr(message, "content", ""), str) for message in messages
    ):
        return model_input

    return make_traceable(messages)
