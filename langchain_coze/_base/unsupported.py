"""Handle arguments that Coze does not support: warn and ignore them, or reject them.

A forced tool call and structured output raise an error, because a bot cannot guarantee them.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.tools import StructuredTool
from pydantic import AliasChoices, BaseModel, ConfigDict, PrivateAttr

from langchain_coze import _hints as hints
from langchain_coze._warnings import warn_user
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# Arguments of other chat models that are settings of the bot in Coze.
_BOT_SETTINGS = frozenset(
    [
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "model_kwargs",
        "n",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
    ]
)
_SECRET_ARGUMENTS = frozenset({"api_key", "auth", "coze_api_key", "default_headers", "token"})
_OTHER_NAMES = {"top_k": "k", "search_kwargs": "k"}
"""Arguments of other integrations, with their names in this package."""

_SITE = {"project_id": "base_url=", "result_schema": "base_url="}
_REPLACEMENTS: Mapping[str, Mapping[str, str]] = {
    "additional_messages": {"streaming": "invoke([…])", "k": "invoke(query)"},
    "auth": {"api_key": "api_key="},
    "bot_id": {"tool_options": "tool_options={'bot_id': …}", **_SITE},
    "chat_id": {"conversation_id": "conversation_id=", "session_id": "session_id="},
    "conversation_id": {"session_id": "session_id="},
    "is_async": {"run_mode": "run_mode='async'", "project_id": "response_mode='async'"},
    "parameters": {"run_mode": "invoke({…})"},
    "session_name": {
        "session_id": "session_id=",
        "api_key": "api_key=auth.for_session(…)",
    },
    "space_id": {"workspace_id": "workspace_id="},
    "token": {"api_key": "api_key="},
    "user": {"ext": "ext={'user_id': …}"},
    "user_id": {
        "ext": "ext={'user_id': …}",
        "tool_options": "tool_options={'ext': {'user_id': …}}",
    },
    "workflow_id": _SITE,
}
"""Arguments of cozepy and of other classes that say who asks, whom, or what: by name, what replaces
them in a class that has a field. Without them a call would mean something else."""

_MISSPELT_CUTOFF = 0.85  # similarity of two names, from 0 to 1


@functools.cache
def get_argument_names(model: type[BaseModel]) -> Mapping[str, str]:
    """Return all names under which a model's constructor accepts its fields, and the fields."""
    names = {name: name for name in model.model_fields}
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            names |= {str(choice): name for choice in field.validation_alias.choices}
    return names


def handle_unknown_argument(
    name: str,
    accepted: Collection[str],
    *,
    init_only: Collection[str] = (),
    owner: str = "ChatCoze",
) -> None:
    """Warn that `owner` ignores an argument; arguments in `init_only` are for its constructor.

    Raises:
        CozeInvalidRequestError: The name nearly matches an accepted argument, or is that of another
            client for one. Ignoring it could call the wrong bot, or mix up users' data.
    """
    for field, replacement in _REPLACEMENTS.get(name, {}).items():
        if field in accepted or field in init_only:
            raise CozeInvalidRequestError(
                f"{owner} has no argument {name!r}.",
                hint=hints.REPLACED.format(replacement=replacement),
            )
    if name in init_only:
        text = hints.INIT_ONLY
    elif _OTHER_NAMES.get(name) in accepted:
        text = hints.OTHER_NAME
    elif name in _BOT_SETTINGS:
        text = hints.BOT_SETTING
    else:
        reject_misspelt(name, accepted, owner=owner)
        text = hints.NO_ARGUMENT
    warn_user(text.format(owner=owner, name=name, other=_OTHER_NAMES.get(name)))


def reject_misspelt(name: str, accepted: Collection[str], *, owner: str) -> None:
    """Raise if an unknown name nearly matches an argument that `owner` accepts."""
    close = difflib.get_close_matches(name, sorted(accepted), n=1, cutoff=_MISSPELT_CUTOFF)
    if close:
        raise CozeInvalidRequestError(
            f"{owner} has no argument {name!r}.",
            hint=hints.MISSPELT.format(name=close[0]),
        )


def drop_secrets(kwargs: dict[str, Any], *, owner: str = "ChatCoze") -> dict[str, Any]:
    """Return the arguments of a call without secrets: tracers record them."""
    secrets = _SECRET_ARGUMENTS & kwargs.keys()
    for name in sorted(secrets):
        handle_unknown_argument(name, (), init_only=_SECRET_ARGUMENTS, owner=owner)
    return {name: kwargs[name] for name in kwargs if name not in secrets} if secrets else kwargs


def reject_forced_tool_choice(tool_choice: Any, tools: Iterable[Any] = ()) -> None:
    """Raise for any `tool_choice` but None and `"auto"`: Coze cannot force a tool call.

    With `response_format`, LangChain's agents bind a schema as one of the `tools` and force a call
    to it.
    """
    if tool_choice is None or tool_choice == "auto":
        return
    if any(_is_schema(tool) for tool in tools):
        reject_structured_output()
    raise CozeInvalidRequestError(
        f"tool_choice={tool_choice!r} is not supported: the bot decides which tools it calls.",
        hint=hints.TOOL_CHOICE,
    )


def _is_schema(tool: Any) -> bool:
    """Return whether a tool only describes an output: it is a class, or has no code."""
    has_no_code = isinstance(tool, StructuredTool) and tool.func is None and tool.coroutine is None
    return has_no_code or isinstance(tool, type)


def reject_structured_output(hint: str = hints.STRUCTURED_OUTPUT) -> NoReturn:
    """Raise, because Coze cannot force an output format."""
    raise CozeInvalidRequestError(
        "Coze cannot return structured output from a bot or agent.", hint=hint
    )


class FieldSignature:
    """The signature of a class whose pydantic schema has not been built yet.

    Building it on import would cost time. Once it is built, pydantic replaces this descriptor.
    """

    def __get__(self, instance: object, owner: type[BaseModel]) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        owner.model_rebuild()
        return inspect.signature(owner)


class CallArguments(BaseModel):
    """Checks the arguments of calls and of `bind`, for any Runnable."""

    # pydantic's signature would hide the signatures of subclasses
    model_config = ConfigDict(defer_build=True)

    if not TYPE_CHECKING:
        __signature__ = FieldSignature()

    _warned: set[str] = PrivateAttr(default_factory=set)

    if not TYPE_CHECKING:  # type checkers use the method of Runnable

        def bind(self, **kwargs: Any) -> Any:
            """Bind arguments except secrets; see `Runnable.bind`."""
            return super().bind(**drop_secrets(kwargs, owner=type(self).__name__))

    def _warn_unknown_arguments(self, names: Iterable[str], accepted: Collection[str]) -> None:
        """Warn once about each unknown argument of a call."""
        for name in sorted(set(names) - set(accepted) - self._warned):
            self._warned.add(name)
            init_only = get_argument_names(type(self))
            handle_unknown_argument(name, accepted, init_only=init_only, owner=type(self).__name__)
