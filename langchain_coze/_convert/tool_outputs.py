"""Convert the result of a local plugin to the output that is submitted to Coze (wire 2.6). Pure.

An output is a str. Where the plugin declares a parameter as a file, the output is a JSON object
that has the id of an upload, or a link, under the name of that parameter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from langchain_coze import _hints as hints
from langchain_coze._api.models import parse_json
from langchain_coze._convert.attachments import FILE_BLOCK_TYPES, Attachment, parse_block
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import ToolMessage

_PARAMETER = "parameter"


class FileOutput(NamedTuple):
    """An output with files, before they are uploaded.

    Attributes:
        values: The values of its other parameters.
        files: The files by the name of their parameter.
    """

    values: Mapping[str, Any]
    files: Mapping[str, Attachment]


ToolOutput: TypeAlias = str | FileOutput


def read_output(message: ToolMessage) -> ToolOutput:
    """Return the output for a tool call.

    The parameter of a file is `extras={"parameter": …}` of its content block, else the type of the
    block (`image`, `file`, `audio`). Text beside files is JSON with the other parameters, or the
    parameter `text`.

    Raises:
        CozeInvalidRequestError: A file cannot be sent, or two files have one parameter.
    """
    blocks = message.content if isinstance(message.content, list) else []
    files: dict[str, Attachment] = {}
    for block in blocks:
        if not isinstance(block, Mapping) or str(block.get("type")) not in FILE_BLOCK_TYPES:
            continue
        attachment = parse_block(block)
        if not isinstance(attachment, Attachment):
            continue  # a text
        extras = block.get("extras")
        name = extras.get(_PARAMETER) if isinstance(extras, Mapping) else None
        name = str(name or attachment.kind)
        if name in files:
            raise CozeInvalidRequestError(
                f"Two files of a tool result are for the parameter {name!r}.",
                hint=hints.TOOL_FILES,
            )
        files[name] = attachment
    text = str(message.text)
    if not files:
        return text or _dump(message.content)
    fields = parse_json(text.encode("utf-8", "replace")) if text.strip() else {}
    return FileOutput(fields if isinstance(fields, Mapping) else {"text": text}, files)


def list_output_files(outputs: Iterable[ToolOutput]) -> list[Attachment]:
    """Return the files of outputs."""
    found = [output for output in outputs if isinstance(output, FileOutput)]
    return [file for output in found for file in output.files.values()]


def format_output(output: ToolOutput, file_ids: Mapping[str, str]) -> str:
    """Return an output as text; uploaded files have ids by `Upload.digest`."""
    if isinstance(output, str):
        return output
    links = {
        name: file.url or file.file_id or file_ids[file.upload.digest]
        for name, file in output.files.items()
    }
    return _dump({**output.values, **links})


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if value else ""
