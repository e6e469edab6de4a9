"""File parameters of a workflow: convert paths, bytes, URLs and file ids for Coze."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Literal, NoReturn, TypeAlias

from langchain_coze._convert.attachments import Attachment, parse_block
from langchain_coze._workflows.input_schema import FILE_HINT
from langchain_coze._workflows.plain_data import shorten_repr
from langchain_coze._workflows.validation import COZE_TYPE
from langchain_coze.errors import CozeInvalidRequestError, CozeWorkflowError, convert_error

InputSource: TypeAlias = Literal["program", "network", "coercion"]
"""Where inputs come from, which decides whether a file may be a path. `program`: a str or a `Path`.
`network` (a model or a remote caller): only a `Path`, because text must not reach local files.
`coercion`: never, because a schema may turn a model's text into a `Path`."""

_FILE_TYPES = (bytes, bytearray, PurePath, Attachment)
_FILE_ID = re.compile(r"\d+|[A-Za-z0-9]+[_*-][A-Za-z0-9_*-]+")


def map_files(schema: Mapping[str, Any], values: Any, convert: Callable[[Any], Any]) -> Any:
    """Return plain data with each file in it converted.

    The schema of the data marks files. Bytes, `Path` objects and attachments are always files.
    """
    if values is None:
        return None
    if COZE_TYPE in schema or isinstance(values, _FILE_TYPES):
        return convert(values)
    if isinstance(values, Mapping):
        properties = schema.get("properties") or {}
        return {k: map_files(properties.get(k) or {}, v, convert) for k, v in values.items()}
    if isinstance(values, (list, tuple)):
        return [map_files(schema.get("items") or {}, value, convert) for value in values]
    return values


def parse_file(value: Any, source: InputSource = "program") -> Any:
    """Return a file in Coze's form, or an `Attachment` that must be uploaded first.

    A file is bytes, a path, a URL, the id of an uploaded file, a dict or content block with one of
    these, or a list of them.

    Raises:
        CozeWorkflowError: The value is not a file, is a path that is not allowed, or cannot be
            read.
    """
    if isinstance(value, (list, tuple)):
        return [parse_file(item, source) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return _parse_attachment({"type": "file", "base64": bytes(value)})
    if isinstance(value, PurePath):
        return _reject_path(str(value)) if source == "coercion" else _read_file(value)
    if isinstance(value, Mapping):
        return _parse_mapping(value, source)
    return _parse_text(value, source)


def to_file_reference(file_id: str) -> str:
    """Return the parameter value for an uploaded file: JSON in a str (wire section 4.2)."""
    return json.dumps({"file_id": file_id}, separators=(",", ":"))


def _parse_mapping(value: Mapping[str, Any], source: InputSource) -> Any:
    if value.get("file_id"):
        return to_file_reference(str(value["file_id"]))
    if "type" in value:
        return _parse_attachment(value)
    if value.get("url"):
        return _parse_text(value["url"], source)
    raise CozeWorkflowError(
        f"A file given as a dict needs a file_id or a url: {shorten_repr(value)} has neither."
    )


def _parse_text(value: Any, source: InputSource) -> Any:
    text, is_path_allowed = str(value).strip(), source == "program"
    if text.lower().startswith(("http://", "https://")) or text.startswith("{"):
        return text
    if text.startswith("data:"):
        return _parse_attachment({"type": "file", "url": text})
    if _FILE_ID.fullmatch(text) and not (is_path_allowed and _is_file(text)):
        return to_file_reference(text)
    return _read_file(PurePath(text)) if is_path_allowed else _reject_path(text)


def _reject_path(text: str) -> NoReturn:
    raise CozeWorkflowError(
        f"{shorten_repr(text)} is not a file: pass {FILE_HINT}. Only a program may pass a path, as "
        "a pathlib.Path."
    )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _read_file(path: PurePath) -> Any:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError: not a valid path
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise CozeWorkflowError(
            f"The file {shorten_repr(str(path))} cannot be read: {reason}."
        ) from error
    mime_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _parse_attachment(
        {"type": "file", "base64": data, "filename": path.name, "mime_type": mime_type}
    )


def _parse_attachment(block: Mapping[str, Any]) -> Any:
    try:
        attachment = parse_block(block)
    except CozeInvalidRequestError as error:
        raise convert_error(error, CozeWorkflowError) from error
    if isinstance(attachment, str):
        raise CozeWorkflowError("Expected a file, got text.")
    if attachment.url:
        return attachment.url
    return to_file_reference(attachment.file_id) if attachment.file_id else attachment
