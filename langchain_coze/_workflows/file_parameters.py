"""File parameters of a workflow: convert paths, bytes, URLs and file ids for Coze."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, NoReturn

from langchain_coze._convert.attachments import parse_block
from langchain_coze._workflows.input_schema import FILE_HINT
from langchain_coze._workflows.plain_data import shorten_repr
from langchain_coze._workflows.validation import COZE_TYPE
from langchain_coze.errors import CozeInvalidRequestError, CozeWorkflowError, convert_error

_FILE_ID = re.compile(r"\d+|[A-Za-z0-9]+[_*-][A-Za-z0-9_*-]+")


def map_files(schema: Mapping[str, Any], values: Any, convert: Callable[[Any], Any]) -> Any:
    """Return values with each file in them converted.

    Args:
        schema: The JSON schema of the values, which marks files. Bytes and `Path` objects are
            always files.
        values: The parameters, or an answer.
        convert: Converts one file.
    """
    if values is None:
        return None
    if COZE_TYPE in schema or isinstance(values, (bytes, bytearray, PurePath)):
        return convert(values)
    if isinstance(values, Mapping):
        properties = schema.get("properties") or {}
        return {k: map_files(properties.get(k) or {}, v, convert) for k, v in values.items()}
    if isinstance(values, (list, tuple)):
        return [map_files(schema.get("items") or {}, value, convert) for value in values]
    return values


def parse_file(value: Any, *, allow_path_strings: bool = True, allow_paths: bool = True) -> Any:
    """Return a file in Coze's form, or an `Attachment` that must be uploaded first.

    Args:
        value: Bytes, a path, a URL, the id of an uploaded file, a dict or content block with one
            of these, or a list of them.
        allow_path_strings: Whether a str may be a path. Must be False for text from a model or
            from the network, which must not reach local files.
        allow_paths: Whether a `Path` object is accepted. Must be False if a schema may turn a
            model's text into a `Path`.

    Raises:
        CozeWorkflowError: The value is not a file, is a path that is not allowed, or cannot be
            read.
    """
    if isinstance(value, (list, tuple)):
        return [
            parse_file(item, allow_path_strings=allow_path_strings, allow_paths=allow_paths)
            for item in value
        ]
    if isinstance(value, (bytes, bytearray)):
        return _parse_attachment({"type": "file", "base64": bytes(value)})
    if isinstance(value, PurePath):
        return _read_file(value) if allow_paths else _reject_path(str(value))
    if isinstance(value, Mapping):
        return _parse_mapping(value, allow_path_strings=allow_path_strings)
    return _parse_text(str(value).strip(), allow_path_strings=allow_path_strings)


def to_file_reference(file_id: str) -> str:
    """Return the parameter value for an uploaded file: JSON in a str (wire section 4.2).

    Args:
        file_id: The id from the upload.
    """
    return json.dumps({"file_id": file_id}, separators=(",", ":"))


def _parse_mapping(value: Mapping[str, Any], *, allow_path_strings: bool) -> Any:
    if value.get("file_id"):
        return to_file_reference(str(value["file_id"]))
    if "type" in value:
        return _parse_attachment(value)
    if value.get("url"):
        return _parse_text(str(value["url"]), allow_path_strings=allow_path_strings)
    raise CozeWorkflowError(f"A dict is no file without a file_id or a url: {shorten_repr(value)}.")


def _parse_text(text: str, *, allow_path_strings: bool) -> Any:
    if text.lower().startswith(("http://", "https://")) or text.startswith("{"):
        return text
    if text.startswith("data:"):
        return _parse_attachment({"type": "file", "url": text})
    if _FILE_ID.fullmatch(text) and not (allow_path_strings and _is_file(text)):
        return to_file_reference(text)
    return _read_file(PurePath(text)) if allow_path_strings else _reject_path(text)


def _reject_path(text: str) -> NoReturn:
    raise CozeWorkflowError(
        f"{shorten_repr(text)} is no file: give {FILE_HINT}. "
        "Only a program may give a path, as a Path."
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
        raise CozeWorkflowError("A text is no file.")
    if attachment.url:
        return attachment.url
    return to_file_reference(attachment.file_id) if attachment.file_id else attachment
