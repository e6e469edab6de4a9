"""The parameters and the output of a workflow, from the signature of its function."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from langchain_coze.local.wire.parameters import REQUIRED, build_parameter, build_schema
from langchain_coze.local.workflow_parts import RunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from langchain_coze.local.wire.files import StoredFile

_ARGUMENT = re.compile(r"(\w+)(?: \([^)]*\))?:(.*)", re.DOTALL)


class Signature:
    """The inputs and the output of a workflow's function.

    All types that pydantic supports are allowed. A parameter without an annotation accepts any
    value; its schema is that of a string. Descriptions come from `Annotated[type, "description"]`,
    or from the `Args` section of the docstring.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read the signature."""
        if not callable(function):
            raise TypeError(f"a workflow must be a function, not {type(function).__name__}")
        self._function = function
        try:
            signature = inspect_signature(function)
        except (NameError, ValueError) as error:
            raise TypeError(f"the signature of {function!r} cannot be read: {error}") from None
        self._context_names: list[str] = []
        self._accepts_any_name = False
        self._positional_names: list[str] = []
        descriptions = dict(parse_argument_docs(inspect.getdoc(function) or ""))
        self.parameters = [
            build_parameter(parameter, descriptions.get(parameter.name, ""))
            for parameter in signature.parameters.values()
            if self._classify(parameter)
        ]
        self._return_type = signature.return_annotation

    def _classify(self, parameter: inspect.Parameter) -> bool:
        """Record how a parameter is passed; return whether requests contain it."""
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise TypeError(f"*{parameter.name}: the parameters of a workflow need names")
        if parameter.kind is parameter.VAR_KEYWORD:
            self._accepts_any_name = True
            return False
        if parameter.kind is parameter.POSITIONAL_ONLY:
            self._positional_names.append(parameter.name)
        if parameter.annotation is RunContext:
            self._context_names.append(parameter.name)
            return False
        return True

    def read_inputs(
        self, values: Mapping[str, Any], uploads: Mapping[str, StoredFile]
    ) -> dict[str, Any]:
        """Return the validated parameters of a request.

        Unknown names are ignored unless the function has a `**` parameter.
        """
        inputs = {p.name: p.read_value(values, uploads) for p in self.parameters}
        return {**values, **inputs} if self._accepts_any_name else inputs

    def call(self, inputs: Mapping[str, Any], context: RunContext) -> Any:
        """Call the function with validated parameters."""
        keywords = {**inputs, **dict.fromkeys(self._context_names, context)}
        positional = [keywords.pop(name) for name in self._positional_names]
        return self._function(*positional, **keywords)

    def inputs_as_json(self) -> dict[str, Any]:
        """Return the schemas of the start node's parameters, by name (wire 4.7)."""
        return {parameter.name: parameter.as_json() for parameter in self.parameters}

    def outputs_as_json(self) -> dict[str, Any]:
        """Return the schemas of the End node's variables; empty without a return annotation."""
        result_type = _get_result_type(self._return_type)
        if result_type in (REQUIRED, None, Any):
            return {}
        try:
            schema = build_schema(TypeAdapter(result_type), mode="serialization")
        except PydanticUserError:
            return {}
        if schema["type"] != "object":
            return {"output": schema}
        properties: dict[str, Any] = schema.get("properties", {})
        return {name: {"type": p["type"]} for name, p in properties.items()}


def read_first_paragraph(function: Any) -> str:
    """Return the first paragraph of a function's docstring, on one line."""
    has_docstring = inspect.isroutine(function) or inspect.isclass(function)
    text = (inspect.getdoc(function) if has_docstring else "") or ""
    return " ".join(text.partition("\n\n")[0].split())


def inspect_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function; its return type may exist only for type checkers."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        signature = inspect.signature(function)
        names = {**getattr(inspect.unwrap(function), "__globals__", {})}
        parameters = [
            parameter.replace(annotation=eval(parameter.annotation, names))  # noqa: S307 - inspect does the same
            if isinstance(parameter.annotation, str)
            else parameter
            for parameter in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters, return_annotation=Any)


def parse_argument_docs(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the names and descriptions of the `Args` section of a docstring."""
    _, _, rest = docstring.partition("\nArgs:\n")
    section = textwrap.dedent(re.split(r"\n(?=\S)", rest, maxsplit=1)[0])
    for entry in re.split(r"\n+(?=\S)", section):
        if match := _ARGUMENT.match(entry):
            yield match[1], " ".join(match[2].split())


def _get_result_type(return_type: Any) -> Any:
    """Return the type of a function's result; for a generator, that of its `return`."""
    origin = get_origin(return_type)
    if origin is Generator:
        arguments = get_args(return_type)
        return arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004 - yield, send, return
    is_iterator = origin is not None and (
        hasattr(origin, "__next__") or hasattr(origin, "__anext__")
    )
    return None if is_iterator else return_type
