"""File parameters of a workflow: convert paths, bytes, URLs and file ids for Coze."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, Literal, NoReturn, TypeAlias

from langchain_coze._convert.attachments import Attachment, parse_block
from langchain_coze._convert.from_coze import parse_object
from langchain_coze._workflows.parameters import COZE_TYPE, FILE_HINT, shorten_repr
from langchain_coze.errors import CozeInvalidRequestError, CozeWorkflowError, convert_error

InputSource: TypeAlias = Literal["program", "network", "coercion"]
"""The source of inputs, which decides whether a file may be a path. `program`: a str or a `Path`.
`network` (a model or a remote caller): only a `Path`, because text must not access local files.
`coercion`: never, because a schema may convert a model's text to a `Path`."""

_FILE_TYPES = (bytes, bytearray, PurePath, Attachment)
_FILE_ID = re.compile(r"\d+|[A-Za-z0-9]+[_*-][A-Za-z0-9_*-]+")


def map_files(schema: Mapping[str, Any], values: Any, convert: Callable[[Any], Any]) -> Any:
    """Return plain data with all its files converted.

    The schema marks files. Bytes, `Path` objects and attachments are always files.
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
    """Return a file as a URL, or as an `Attachment` with bytes to upload or a file id.

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
        if value.get("file_id"):
            return Attachment("file", file_id=str(value["file_id"]))
        if "type" in value:
            return _parse_attachment(value)
        if not value.get("url"):
            raise CozeWorkflowError(
                f"A file passed as a dict needs a file_id or a url: {shorten_repr(value)} has "
                "neither."
            )
        value = value["url"]
    return _parse_text(str(value).strip(), source)


def _parse_text(text: str, source: InputSource) -> Any:
    is_path_allowed = source == "program"
    if text.lower().startswith(("http://", "https://")):
        return text
    if text.startswith("{"):  # Coze's format
        fields = parse_object(text)
        is_id = fields.keys() == {"file_id"} and fields["file_id"]
        return Attachment("file", file_id=str(fields["file_id"])) if is_id else text
    if text.startswith("data:"):
        return _parse_attachment({"type": "file", "url": text})
    is_file = is_path_allowed and os.path.isfile(text)  # noqa: PTH113 - Path.is_file may raise
    if _FILE_ID.fullmatch(text) and not is_file:
        return Attachment("file", file_id=text)
    return _read_file(PurePath(text)) if is_path_allowed else _reject_path(text)


def _reject_path(text: str) -> NoReturn:
    raise CozeWorkflowError(
        f"{shorten_repr(text)} is not a file: pass {FILE_HINT}. Paths are accepted only from "
        "code, as a pathlib.Path."
    )


def _read_file(path: PurePath) -> Any:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: an invalid path
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
    return attachment.url or attachment
