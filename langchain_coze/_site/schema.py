"""Convert the schemas of a coze.site workflow for tools. Pure.

`/graph_parameter` returns pydantic's schemas: with references, optional values as `anyOf`, and
files as objects with a `url` (wire section 9.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_coze import _site_hints as site_hints
from langchain_coze._workflows.parameters import COZE_TYPE, shorten_repr
from langchain_coze.errors import CozeWorkflowError

_FILE = "file-upload"
_FILE_DESCRIPTION = "(file: an http(s) URL)"
_MAX_DEPTH = 10  # levels of nested objects, because models may be recursive


def build_tool_schema(input_schema: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return the `args_schema` of a tool."""
    definitions = input_schema.get("$defs") or {}
    schema = _simplify({**input_schema, "type": "object"}, definitions, _MAX_DEPTH)
    description = str(input_schema.get("description") or "")
    return {**schema, "title": title, "description": description, "additionalProperties": False}


def _simplify(schema: Any, definitions: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Return a schema without references and optional types; a file is a str."""
    if not isinstance(schema, Mapping) or not depth:
        return {}
    schema = _resolve(schema, definitions)
    if schema.get("x-component") == _FILE:
        description = f"{schema.get('description') or ''} {_FILE_DESCRIPTION}".strip()
        return {"type": "string", COZE_TYPE: "file", "description": description}
    simple = {key: value for key, value in schema.items() if key not in {"$defs", "title"}}
    if "items" in simple:
        simple["items"] = _simplify(simple["items"], definitions, depth - 1)
    if isinstance(simple.get("properties"), Mapping):
        simple["properties"] = {
            name: _simplify(inner, definitions, depth - 1)
            for name, inner in simple["properties"].items()
        }
    return simple


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a schema with references resolved and optional values reduced to their type."""
    choices = [c for c in schema.get("anyOf") or () if c.get("type") != "null"]
    inner = choices[0] if len(choices) == 1 else schema.get("allOf", [{}])[0]
    reference = schema.get("$ref") or inner.get("$ref")
    if reference:
        inner = definitions.get(str(reference).rpartition("/")[2]) or {}
    replaced = {"$ref", "allOf", "anyOf"} if len(choices) == 1 else {"$ref", "allOf"}
    own = {key: value for key, value in schema.items() if key not in replaced}
    if own.get("default", ...) is None:
        del own["default"]
    return {**inner, **own}


def to_site_file(value: Any) -> Any:
    """Return a file parameter in the format of a workflow: an object with a `url`.

    Raises:
        CozeWorkflowError: The value is neither an http(s) URL nor an object with one.
    """
    file = dict(value) if isinstance(value, Mapping) else {"url": value}
    url = file.get("url")
    if not (isinstance(url, str) and url.lower().startswith(("http://", "https://"))):
        raise CozeWorkflowError(
            f"A file of a coze.site workflow must be a URL, not {shorten_repr(url)}.",
            hint=site_hints.FILE_URL,
        )
    return file
