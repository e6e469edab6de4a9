"""Prepare the arguments and the input of a call before LangChain's tracers see them.

A model that is called on its own never sees the config of the call (inside a graph it does), and
LangChain's tracers see the input before the model does. So each public method has to be wrapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompt_values import ChatPromptValue

from langchain_coze._base.bot import CONFIG_KEY, USER_CONFIG_KEY, add_config_arguments
from langchain_coze._base.unsupported import drop_secrets
from langchain_coze._convert.attachments import make_traceable

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConfigAwareChatModel(BaseChatModel):
    """A chat model that reads the conversation id and the user id in the config of each call."""

    _CONFIG_ARGUMENTS: ClassVar[Mapping[str, str]] = {
        CONFIG_KEY: "conversation_id",
        USER_CONFIG_KEY: "user_id",
    }

    if not TYPE_CHECKING:  # type checkers use the overloads of BaseChatModel

        def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Call the bot; see `BaseChatModel.invoke`. The config may hold a conversation id."""
            return super().invoke(to_traceable(input), config, **self._prepare(config, kwargs))

        async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Async version of `invoke`."""
            return await super().ainvoke(
                to_traceable(input), config, **self._prepare(config, kwargs)
            )

        def stream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Call the bot; see `BaseChatModel.stream`. The config may hold a conversation id."""
            return super().stream(to_traceable(input), config, **self._prepare(config, kwargs))

        def astream(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Async version of `stream`."""
            return super().astream(to_traceable(input), config, **self._prepare(config, kwargs))

        def stream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Call the bot; see `BaseChatModel.stream_events`. For the config see `invoke`."""
            return super().stream_events(
                to_traceable(input), config, **self._prepare(config, kwargs)
            )

        def astream_events(self, input: Any, config: Any = None, **kwargs: Any) -> Any:  # noqa: A002 - named so in Runnable
            """Call the bot; see `BaseChatModel.astream_events`. For the config see `invoke`."""
            return super().astream_events(
                to_traceable(input), config, **self._prepare(config, kwargs)
            )

    def _prepare(self, config: Mapping[str, Any] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call: without secrets, with the ids from its config.

        Only a model that is called on its own needs them; inside a graph it finds the config
        itself.
        """
        kwargs = drop_secrets(kwargs, owner=type(self).__name__)
        return add_config_arguments(config, kwargs, self._CONFIG_ARGUMENTS)


def to_traceable(model_input: Any) -> Any:
    """Return the input of a chat model in a form for traces; see `traceable.make_traceable`."""
    messages = model_input.messages if isinstance(model_input, ChatPromptValue) else model_input
    if not isinstance(messages, (list, tuple)) or all(map(_has_plain_text, messages)):
        return model_input
    return make_traceable(convert_to_messages(messages))


def _has_plain_text(message: Any) -> bool:
    """Return whether a message in any form that a chat model accepts holds only text."""
    if isinstance(message, (str, BaseMessage)):
        return isinstance(getattr(message, "content", ""), str)
    return all(isinstance(value, str) for value in getattr(message, "values", lambda: message)())
