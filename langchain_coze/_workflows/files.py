"""File parameters of a workflow: paths, bytes, links and file ids as Coze takes them."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any, NoReturn

from langchain_coze._convert.attachments import read_block
from langchain_coze._workflows.errors import CozeWorkflowError
from langchain_coze._workflows.input_schema import COZE_TYPE, FILE_HINT, shown
from langchain_coze.errors import CozeInvalidRequestError, converted

_FILE_ID = re.compile(r"\d+|[A-Za-z0-9]+[_*-][A-Za-z0-9_*-]+")


def with_files(schema: Mapping[str, Any], values: Any, place: Callable[[Any], Any]) -> Any:
    """Return values with each file among them put into another form.

    Args:
        schema: The JSON schema of the values; it tells which of them are files. Bytes and paths
            are files wherever they stand.
        values: What the workflow is given.
        place: Gives the form of one file.
    """
    if values is None:
        return None
    if COZE_TYPE in schema or isinstance(values, (bytes, bytearray, PurePath)):
        return place(values)
    if isinstance(values, Mapping):
        properties = schema.get("properties") or {}
        return {k: with_files(properties.get(k) or {}, v, place) for k, v in values.items()}
    if isinstance(values, (list, tuple)):
        return [with_files(schema.get("items") or {}, value, place) for value in values]
    return values


def file_of(value: Any, *, local: bool = True, paths: bool = True) -> Any:
    """Return a file as it is sent, or the `Attachment` that has to be uploaded first.

    Args:
        value: Bytes, a path, a link, the id of an uploaded file, a content block with one of these,
            or a list of them.
        local: Whether a str may be a path: not where a model wrote it, or it came over the network,
            which must not get at files of this machine.
        paths: Whether a path object is taken: not where it was made of what a model wrote.

    Raises:
        CozeWorkflowError: It is none of these, or a path that cannot be read.
    """
    if isinstance(value, (list, tuple)):
        return [file_of(item, local=local, paths=paths) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return _attached({"type": "file", "base64": bytes(value)})
    if isinstance(value, PurePath):
        return _from_disk(value) if paths else _refuse_path(str(value))
    if isinstance(value, Mapping):
        return _of_mapping(value, local=local)
    return _of_text(str(value).strip(), local=local)


def reference(file_id: str) -> str:
    """Return how an uploaded file stands in the parameters: as JSON in a str (wire section 4.2).

    Args:
        file_id: What the upload gave.
    """
    return json.dumps({"file_id": file_id}, separators=(",", ":"))


def _of_mapping(value: Mapping[str, Any], *, local: bool) -> Any:
    if value.get("file_id"):
        return reference(str(value["file_id"]))
    if "type" in value:
        return _attached(value)
    if value.get("url"):
        return _of_text(str(value["url"]), local=local)
    raise CozeWorkflowError(f"A dict is no file without a file_id or a url: {shown(value)}.")


def _of_text(text: str, *, local: bool) -> Any:
    if text.lower().startswith(("http://", "https://")) or text.startswith("{"):
        return text
    if text.startswith("data:"):
        return _attached({"type": "file", "url": text})
    if _FILE_ID.fullmatch(text) and not (local and _is_file(text)):
        return reference(text)
    return _from_disk(PurePath(text)) if local else _refuse_path(text)


def _refuse_path(text: str) -> NoReturn:
    raise CozeWorkflowError(
        f"{shown(text)} is no file: give {FILE_HINT}. Only a program may give a path, as a Path."
    )


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _from_disk(path: PurePath) -> Any:
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError: it is no path at all
        told = getattr(error, "strerror", None) or type(error).__name__
        raise CozeWorkflowError(f"The file {shown(str(path))} cannot be read: {told}.") from error
    mime_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _attached(
        {"type": "file", "base64": data, "filename": path.name, "mime_type": mime_type}
    )


def _attached(block: Mapping[str, Any]) -> Any:
    try:
        found = read_block(block)
    except CozeInvalidRequestError as error:
        raise converted(error, CozeWorkflowError) from error
    if isinstance(found, str):
        raise CozeWorkflowError("A text is no file.")
    if found.url:
        return found.url
    return reference(found.file_id) if found.file_id else found
