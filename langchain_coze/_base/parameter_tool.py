"""The base of tools that run a workflow with named parameters."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, Self

from langchain_core.tools import BaseTool
from pydantic import ConfigDict

from langchain_coze import _hints as hints
from langchain_coze._base.rate_limit import RateLimitField
from langchain_coze._base.unsupported import CallArguments, drop_secrets
from langchain_coze._workflows.parameters import to_plain_data
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_RUN_ARGUMENTS = frozenset(inspect.signature(BaseTool.run).parameters)


class ParameterTool(RateLimitField, CallArguments, BaseTool):
    """A tool whose `_run` gets the parameters of a call as one dict.

    Subclasses implement `_run(values, tool_call_id=…, config=…)` and its async twin.
    """

    model_config = ConfigDict(defer_build=True)  # as for `CallArguments`

    name: str = ""
    """The name of the tool for a model; derived from the workflow by default."""

    description: str = ""
    """When a model should call the tool."""

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    """Fixed; required by LangChain."""

    handle_tool_error: Any = True
    """How a `CozeWorkflowError` is reported: `True` returns its text to the model, `False` raises
    it. See `BaseTool` for other values."""

    def _set_defaults(self, name: str, description: str) -> Self:
        """Set a default for the name, the description and the schema (any parameters) if unset."""
        self.name = self.name or name
        self.description = self.description or description
        if self.args_schema is None:
            header = {"title": self.name, "description": self.description}
            self.args_schema = {**header, "type": "object", "properties": {}}
        return self

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Return the arguments of `_run`; a dict holds the parameters, which may have any name."""
        if isinstance(tool_input, str) and isinstance(self.args_schema, dict):
            tool_input = {_get_single_parameter_name(self.args_schema): tool_input}
        _, values = super()._to_args_and_kwargs(tool_input, tool_call_id)
        named = {_get_wire_name(self.args_schema, name): value for name, value in values.items()}
        return (), {"values": to_plain_data(named), "tool_call_id": tool_call_id}

    if not TYPE_CHECKING:  # type checkers use the methods of BaseTool

        def run(self, *args: Any, **kwargs: Any) -> Any:
            """Run the workflow; see `BaseTool.run`, which passes its arguments to tracers."""
            return super().run(*args, **self._check_run_arguments(kwargs))

        async def arun(self, *args: Any, **kwargs: Any) -> Any:
            """Async version of `run`."""
            return await super().arun(*args, **self._check_run_arguments(kwargs))

    def _check_run_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of `run` without secrets; `BaseTool` ignores unknown ones."""
        kwargs = drop_secrets(kwargs, owner=type(self).__name__)
        self._warn_unknown_arguments(kwargs, _RUN_ARGUMENTS)
        return kwargs


def _get_wire_name(schema: Any, name: str) -> str:
    """Return Coze's name of a parameter, which may be the alias of a pydantic field."""
    field = getattr(schema, "model_fields", {}).get(name)
    return (field.serialization_alias or field.alias or name) if field is not None else name


def _get_single_parameter_name(schema: Mapping[str, Any]) -> str:
    """Return the name of the only parameter, for an input that is a plain str."""
    names = schema.get("required") or list(schema.get("properties") or ())
    if len(names) == 1:
        return str(names[0])
    count = len(names) if names else "an unknown number of"
    raise CozeInvalidRequestError(
        f"The workflow has {count} parameters: pass a dict, not a string.",
        hint=hints.PARAMETER_DICT,
    )
