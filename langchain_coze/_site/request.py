"""Build the body of a turn: one user message for a stream, a list of messages otherwise. Pure.

`/stream_run` accepts one user message (wire section 9.2), so a history is sent as a transcript.
`/run` and `/async_run` accept messages with their roles.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from langchain_coze import _site_hints as site_hints
from langchain_coze._convert.to_coze import convert_history, write_transcript
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from langchain_coze._convert.attachments import Attachment
    from langchain_coze._convert.to_coze import HistoryEntry, Part
    from langchain_coze._site.history import AgentOptions, SitePlan

_DEFAULT_EXTENSIONS = {"image": ".png", "audio": ".mp3", "file": ""}


def draft_turn(plan: SitePlan, options: AgentOptions) -> dict[str, Any]:
    """Return the body of a turn, without its session.

    Raises:
        CozeInvalidRequestError: There is no question, or a message cannot be sent.
    """
    entries = convert_history(
        plan.messages,
        system_mode=options.system_mode,
        model_name=None if plan.has_other_agents else options.name,
    )
    if options.mode != "stream":
        return {"messages": [_build_message(entry) for entry in entries]}
    *earlier, question = entries
    parts = write_transcript(earlier, question) if earlier else question.parts
    prompts = [_build_prompt(part) for part in parts if part]
    return {"content": {"query": {"prompt": prompts or [_build_prompt("")]}}, "type": "query"}


def _build_prompt(part: Part) -> dict[str, Any]:
    """Return a text or file of a question in the format of `/stream_run`."""
    if isinstance(part, str):
        return {"type": "text", "content": {"text": part}}
    if not part.url:
        raise _make_file_error(part, site_hints.LINK)
    file = {"url": part.url, "file_name": _get_file_name(part)}
    return {"type": "upload_file", "content": {"upload_file": file}}


def _get_file_name(file: Attachment) -> str:
    """Return a name with an extension, from which the server derives the type of the file."""
    path = file.url.partition("://")[2].partition("/")[2]  # `urlsplit` rejects some addresses
    name = file.name or unquote(re.split("[?#]", path)[0].rpartition("/")[2]) or file.kind
    if "." in name:
        return name
    extension = mimetypes.guess_extension(file.mime_type)
    return name + (extension or _DEFAULT_EXTENSIONS[file.kind])


def _build_message(entry: HistoryEntry) -> dict[str, Any]:
    """Return a message in the format of `/run`, which is OpenAI's."""
    role = "user" if entry.role == "note" else entry.role
    content = [_build_part(part) for part in entry.parts if part] if entry.files else entry.text
    return {"role": role, "content": content}


def _build_part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.kind != "image" or part.file_id:
        raise _make_file_error(part, site_hints.IMAGE)
    url = part.url or f"data:{part.mime_type};base64,{base64.b64encode(part.data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _make_file_error(file: Attachment, hint: str) -> CozeInvalidRequestError:
    form = "an id" if file.file_id else "bytes" if file.data else "a link"
    message = f"coze.site does not accept a file of type {file.kind!r} as {form}."
    return CozeInvalidRequestError(message, hint=hint)
