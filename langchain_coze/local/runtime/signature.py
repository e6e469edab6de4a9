"""The parameters and the output of a workflow, read from the signature of its function."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from langchain_coze.local.runtime.workflow_stepping import RunContext
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from langchain_coze.local.wire.files import StoredFile

_ARGUMENT = re.compile(r"(\w+)(?: \([^)]*\))?:(.*)", re.DOTALL)
_REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a workflow's start node.

    Attributes:
        name: Its name.
        adapter: Checks and converts its values; None takes any.
        default: Its value when none is given.
        description: What it is for.
    """

    name: str
    adapter: TypeAdapter[Any] | None
    default: Any = _REQUIRED
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether a client must give a value."""
        return self.default is _REQUIRED

    def as_json(self) -> dict[str, Any]:
        """The parameter in the schema of `GET /v1/workflows/{workflow_id}` (wire 4.7)."""
        shape: dict[str, Any] = {"type": "string"}
        if self.adapter is not None:
            shape = _shape_of(self.adapter)
        shape["required"] = self.required
        if self.description:
            shape["description"] = self.description
        if not self.required and (default := _default_text(self.default)) is not None:
            shape["default_value"] = default
        return shape

    def read_from(self, given: Mapping[str, Any], uploads: Mapping[str, StoredFile]) -> Any:
        """Check the value that stands among others.

        Raises:
            Problem: 4000, it is missing, or not of the parameter's type.
        """
        value = given.get(self.name, _REQUIRED)
        if value is _REQUIRED or (value is None and not self.required):
            if self.required:
                raise Problem(4000, f"parameters.{self.name} is required")
            return self.default
        if self.adapter is None:
            return value
        try:
            return self.adapter.validate_json(json.dumps(value), strict=True, context=uploads)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
            text = first["msg"].removeprefix("Value error, ")
            raise Problem(4000, f"parameters.{self.name}{where}: {text}") from None


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function; a return type may be known to type checkers alone."""
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:
        signature = inspect.signature(function)
        names = {**getattr(inspect.unwrap(function), "__globals__", {})}
        parameters = [
            found.replace(annotation=eval(found.annotation, names))  # noqa: S307 - as inspect does
            if isinstance(found.annotation, str)
            else found
            for found in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters, return_annotation=Any)


class Signature:
    """What a workflow's function takes and gives.

    Types are those that pydantic knows. A parameter without an annotation takes any value and is
    shown as a string. Descriptions come from `Annotated[type, "description"]`, or from the
    `Args` section of the docstring.

    Args:
        function: The function.

    Raises:
        TypeError: It is no function, or has an annotation that no value can be checked by.

    Example:
        >>> def order(cups: int, tea: str = "green") -> str: ...
        >>> [(p.name, p.as_json()["type"], p.required) for p in Signature(order).parameters]
        [('cups', 'integer', True), ('tea', 'string', False)]
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read it."""
        if not callable(function):
            raise TypeError(f"a workflow is a function, not {type(function).__name__}")
        self._function = function
        try:
            signature = _signature(function)
        except (NameError, ValueError) as error:
            raise TypeError(f"the signature of {function!r} cannot be read: {error}") from None
        self._context: list[str] = []
        self._takes_all = False
        self._positional: list[str] = []
        told = dict(_argument_descriptions(inspect.getdoc(function) or ""))
        self.parameters = [
            _parameter(found, told.get(found.name, ""))
            for found in signature.parameters.values()
            if self._is_input(found)
        ]
        self._returns = signature.return_annotation

    def _is_input(self, found: inspect.Parameter) -> bool:
        """Sort a parameter in; whether clients see it."""
        if found.kind is found.VAR_POSITIONAL:
            raise TypeError(f"*{found.name}: the parameters of a workflow have names")
        if found.kind is found.VAR_KEYWORD:
            self._takes_all = True
            return False
        if found.kind is found.POSITIONAL_ONLY:
            self._positional.append(found.name)
        if found.annotation is RunContext:
            self._context.append(found.name)
            return False
        return True

    def read(self, given: Mapping[str, Any], uploads: Mapping[str, StoredFile]) -> dict[str, Any]:
        """Check the parameters of a request.

        Args:
            given: As they came. Names that the workflow does not have are passed over, unless the
                function takes `**names`.
            uploads: The files that the caller has uploaded, by id.

        Raises:
            Problem: 4000, with a sentence that names the parameter.
        """
        known = {p.name: p.read_from(given, uploads) for p in self.parameters}
        return {**given, **known} if self._takes_all else known

    def call(self, inputs: Mapping[str, Any], context: RunContext) -> Any:
        """Call the function with checked parameters."""
        values = {**inputs, **dict.fromkeys(self._context, context)}
        first = [values.pop(name) for name in self._positional]
        return self._function(*first, **values)

    def inputs_as_json(self) -> dict[str, Any]:
        """The start node's parameters by name (wire 4.7)."""
        return {parameter.name: parameter.as_json() for parameter in self.parameters}

    def outputs_as_json(self) -> dict[str, Any]:
        """The End node's variables by name; empty when the annotation does not tell them."""
        returns = _result_type(self._returns)
        if returns in (_REQUIRED, None, Any):
            return {}
        try:
            shape = _shape_of(TypeAdapter(returns), mode="serialization")
        except PydanticUserError:
            return {}
        if shape["type"] != "object":
            return {"output": shape}
        properties: dict[str, Any] = shape.get("properties", {})
        return {name: {"type": p["type"]} for name, p in properties.items()}


def parameters_of(fields: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Parameters by their types.

    Args:
        fields: A type by name, or a tuple of a type and a default.

    Raises:
        TypeError: No value can be checked by a type.

    Example:
        >>> [(p.name, p.required) for p in parameters_of({"city": str, "nights": (int, 1)})]
        [('city', True), ('nights', False)]
    """
    kind = inspect.Parameter
    found = []
    for name, field in fields.items():
        annotation, default = field if isinstance(field, tuple) else (field, _REQUIRED)
        found.append(kind(name, kind.KEYWORD_ONLY, annotation=annotation, default=default))
    return tuple(_parameter(parameter, "") for parameter in found)


def first_paragraph(function: Any) -> str:
    """The beginning of a function's docstring, on one line."""
    own = inspect.isroutine(function) or inspect.isclass(function)
    text = (inspect.getdoc(function) if own else "") or ""
    return " ".join(text.partition("\n\n")[0].split())


def _parameter(found: inspect.Parameter, told: str) -> Parameter:
    annotation = found.annotation
    if annotation is _REQUIRED and found.default is not _REQUIRED and found.default is not None:
        annotation = type(found.default)
    if annotation is _REQUIRED or annotation is Any:
        return Parameter(found.name, None, found.default, told)
    if get_origin(annotation) is Annotated:
        told = next((note for note in get_args(annotation)[1:] if isinstance(note, str)), told)
    try:
        adapter = TypeAdapter[Any](annotation)
        _shape_of(adapter)  # what has no schema is refused now, not when it is asked for
    except PydanticUserError as error:
        raise TypeError(f"{found.name}: {error.message}") from None
    return Parameter(found.name, adapter, found.default, told)


def _argument_descriptions(doc: str) -> Iterator[tuple[str, str]]:
    """Names and descriptions of the `Args` section of a docstring."""
    _, _, rest = doc.partition("\nArgs:\n")
    section = textwrap.dedent(re.split(r"\n(?=\S)", rest, maxsplit=1)[0])
    for entry in re.split(r"\n+(?=\S)", section):
        if found := _ARGUMENT.match(entry):
            yield found[1], " ".join(found[2].split())


def _default_text(default: Any) -> str | None:
    """A default as the schema tells it: always a string (wire 4.7)."""
    if default is None or isinstance(default, str):
        return default
    try:
        return go_json.dumps(default)
    except (TypeError, ValueError):
        return None


def _result_type(returns: Any) -> Any:
    """What a function gives at its end; of a generator, what it returns."""
    if get_origin(returns) is Generator:
        arguments = get_args(returns)
        return arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004 - yield, send, return
    is_stream = get_origin(returns) is not None and hasattr(get_origin(returns), "__next__")
    return None if is_stream or hasattr(get_origin(returns), "__anext__") else returns


# JSON schema to Coze's --------------------------------------------------------------------------


def _shape_of(adapter: TypeAdapter[Any], mode: Any = "validation") -> dict[str, Any]:
    schema = adapter.json_schema(mode=mode)
    return _shape(schema, schema.get("$defs", {}), frozenset())


def _shape(
    schema: Mapping[str, Any], known: Mapping[str, Any], inside: frozenset[str]
) -> dict[str, Any]:
    """A JSON schema in the form of wire 4.7."""
    schema, inside = _resolved(schema, known, inside)
    kind = schema.get("type", "string")
    shape: dict[str, Any] = {"type": kind}
    if kind == "array":
        shape["items"] = _shape(schema.get("items", {}), known, inside)
    if kind == "object" and schema.get("properties"):
        shape["properties"] = {
            name: _property(name, schema, _shape(inner, known, inside))
            for name, inner in schema["properties"].items()
        }
    return shape


def _property(name: str, schema: Mapping[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    told = schema["properties"][name]
    shape["required"] = name in schema.get("required", ())
    if told.get("description"):
        shape["description"] = told["description"]
    if told.get("default") is not None:
        shape["default_value"] = _default_text(told["default"])
    return shape


def _resolved(
    schema: Mapping[str, Any], known: Mapping[str, Any], inside: frozenset[str]
) -> tuple[Mapping[str, Any], frozenset[str]]:
    """Follow references and alternatives; Coze has neither, and no types within themselves."""
    while True:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name in inside:
                return {"type": "object"}, inside
            schema, inside = known[name], inside | {name}
        elif alternatives := schema.get("anyOf") or schema.get("allOf") or schema.get("oneOf"):
            schema = next((one for one in alternatives if one.get("type") != "null"), {})
        else:
            return schema, inside
