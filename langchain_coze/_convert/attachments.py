"""Convert images, files and audio from LangChain's content blocks to Coze attachments. Pure.

Links are sent, bytes are uploaded first, and ids of uploaded files are used as is (wire sections
2.1 and 5.3).
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_coze import _hints as hints
from langchain_coze._api.effects import Upload
from langchain_coze._convert.file_types import detect_file_type, detect_image_type, is_text
from langchain_coze.errors import CozeInvalidRequestError

MAX_FILE_SIZE = 512 * 1024 * 1024  # bytes (wire section 5.3)

AttachmentKind = Literal["image", "file", "audio"]

FILE_BLOCK_TYPES: Mapping[str, AttachmentKind] = {
    "image": "image",
    "image_url": "image",
    "audio": "audio",
    "input_audio": "audio",
    "file": "file",
    "document": "file",
    "video": "file",
    "text-plain": "file",
}
"""The types of content blocks with files, and Coze's type for each."""

_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+*-]+(\s*;[ -~]*)?", re.ASCII)
_DATA_KEYS = ("base64", "data", "file_data", "bytes")
_DEFAULT_MIME = {"image": "image/png", "audio": "audio/wav", "file": "application/octet-stream"}


class Attachment(NamedTuple):
    """One file of a message: a public `url`, the `file_id` of an upload, or `data` to upload."""

    kind: AttachmentKind
    url: str = ""
    file_id: str = ""
    data: bytes = b""
    name: str = ""
    mime_type: str = ""

    @property
    def upload(self) -> Upload:
        """The file to upload, if `data` is set."""
        return Upload(self.name, self.data, self.mime_type)

    def to_item(self, file_ids: Mapping[str, str]) -> dict[str, str]:
        """Return the file as an `object_string` item (wire section 2.1)."""
        if self.url:
            return {"type": self.kind, "file_url": self.url}
        file_id = file_ids.get(self.upload.digest, "") if self.data else self.file_id
        return {"type": self.kind, "file_id": file_id}


def parse_block(block: Any) -> str | Attachment:
    """Return the text or the file of a content block.

    The block is a str, a standard content block with `url`, `base64` or `file_id` (in the current
    or the previous format), or a block in the format of OpenAI, Anthropic or Coze. Bytes may
    replace base64.

    Raises:
        CozeInvalidRequestError: Coze does not accept the block, or its data is empty, too large, or
            not an image although declared as one.
    """
    if isinstance(block, str):
        return block
    kind = str(block.get("type")) if isinstance(block, Mapping) else type(block).__name__
    if not isinstance(block, Mapping) or kind not in {"text", "input_text", *FILE_BLOCK_TYPES}:
        raise CozeInvalidRequestError(
            f"A message has content of type {kind!r}, which Coze does not accept.",
            hint=hints.BLOCK_TYPE,
        )
    if isinstance(block.get("text"), str) and kind in {"text", "text-plain", "file", "input_text"}:
        return str(block["text"])
    return _build_attachment(FILE_BLOCK_TYPES[kind], _normalize(block))


def _normalize(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a block in any format: url, file_id, data, mime_type, name."""
    inner = block.get(str(block["type"]))  # OpenAI: {"type": "file", "file": {…}}
    inner = {"url": inner} if isinstance(inner, str) else inner or block.get("source")  # Anthropic
    extras = block.get("extras") or block.get("metadata")
    fields = {
        **(extras if isinstance(extras, Mapping) else {}),
        **block,
        **(inner if isinstance(inner, Mapping) else {}),
    }
    mime_type = fields.get("mime_type") or fields.get("media_type")
    if not mime_type and fields.get("format"):  # OpenAI's input_audio
        mime_type = f"audio/{fields['format']}"
    file_id = fields.get("file_id")
    if not file_id and fields.get("source_type") == "id":  # otherwise `id` is the id of the block
        file_id = fields.get("id")
    normalized: dict[str, Any] = {
        "url": fields.get("url") or fields.get("file_url"),  # file_url: Coze's own name
        "file_id": file_id,
        "data": next((fields[k] for k in _DATA_KEYS if fields.get(k) is not None), None),
        "mime_type": mime_type,
        "name": fields.get("filename") or fields.get("name") or fields.get("title"),
    }
    for key in ("url", "data"):
        if isinstance(normalized[key], str) and normalized[key].startswith("data:"):
            head, _, normalized["data"] = normalized[key].partition(",")
            normalized["url"] = None
            normalized["mime_type"] = head[5:].partition(";")[0] or normalized["mime_type"]
    return normalized


def _build_attachment(kind: AttachmentKind, fields: Mapping[str, Any]) -> Attachment:
    declared, name = str(fields["mime_type"] or ""), str(fields["name"] or "")
    if fields["url"]:
        url = str(fields["url"])
        if not url.lower().startswith(("http://", "https://")):
            raise CozeInvalidRequestError(
                f"Coze cannot fetch a file from {url[:80]!r}.", hint=hints.PUBLIC_LINK
            )
        return Attachment(kind, url=url, name=name, mime_type=declared)
    if fields["file_id"]:
        return Attachment(kind, file_id=str(fields["file_id"]))
    if fields["data"] is None:
        raise CozeInvalidRequestError(
            f"A content block of type {kind!r} has no link, no bytes and no file id.",
            hint=hints.FILE_SOURCE,
        )
    data = _read_bytes(fields["data"])
    if declared and not _MIME_TYPE.fullmatch(declared):  # unsafe in a header of the upload form
        raise CozeInvalidRequestError(
            f"{declared[:80]!r} is not a MIME type.", hint=hints.MIME_TYPE
        )
    name = name.encode("utf-8", "replace").decode()  # no lone surrogates
    name, mime_type = _correct_type(kind, data, name, declared)
    return Attachment(kind, data=data, name=name, mime_type=mime_type)


def _correct_type(kind: AttachmentKind, data: bytes, name: str, declared: str) -> tuple[str, str]:
    """Return a file name and MIME type that match the content, because Coze checks this."""
    types = detect_image_type(data) if kind == "image" else detect_file_type(data)
    if not types and kind == "image":
        raise CozeInvalidRequestError(
            f"A content block is declared as an image ({declared or 'no MIME type'}), but its data "
            "is not a known image format.",
            code=4303,
            hint=hints.IMAGE_FORMAT,
        )
    if not types and kind == "file" and not (name or declared) and is_text(data):
        types = ["text/plain", ".txt"]
    mime_type = declared or _DEFAULT_MIME[kind]
    if not name:  # Coze derives the type of the file from its extension
        subtype = mime_type.partition("/")[2]
        extension = f".{subtype}" if subtype.isalnum() else ""
        name = kind + (mimetypes.guess_extension(mime_type) or extension)
    if not types:
        return name, mime_type
    mime_type, *extensions = types
    path = PurePath(name)
    if path.suffix.lower() not in extensions:
        name = (path.stem if path.suffix else name) + extensions[0]
    return name, mime_type


def _read_bytes(value: Any) -> bytes:
    """Return the bytes of a file; reject sizes outside of Coze's limits."""
    is_bytes = isinstance(value, (bytes, bytearray))
    size = len(value) if is_bytes else len(str(value)) * 3 // 4
    if size > MAX_FILE_SIZE + 2:  # base64 padding adds up to two
        raise CozeInvalidRequestError(
            f"A file is {size / 1024**2:.0f} MB in size; Coze accepts at most 512 MB.",
            code=4302,
            hint=hints.LARGE_ATTACHMENT,
        )
    data = bytes(value) if is_bytes else _decode_base64(value)
    if not data:
        raise CozeInvalidRequestError("A file is empty.", code=4300, hint=hints.EMPTY_FILE)
    return data


def _decode_base64(value: Any) -> bytes:
    try:
        text = "".join(value.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (AttributeError, ValueError) as error:  # AttributeError: not a str
        raise CozeInvalidRequestError(
            "The content of a file is not valid base64.", hint=hints.BASE64
        ) from error


def make_traceable(messages: Sequence[Any]) -> list[Any]:
    """Return messages that LangChain can trace: bytes as base64, with a MIME type."""
    return [_make_message_traceable(message) for message in messages]


def _make_message_traceable(message: Any) -> Any:
    if not isinstance(message, BaseMessage) or isinstance(message.content, str):
        return message
    content = [_make_block_traceable(block) for block in message.content]
    is_same = all(new is old for new, old in zip(content, message.content, strict=True))
    return message if is_same else message.model_copy(update={"content": content})


def _make_block_traceable(block: Any) -> Any:
    key = next(
        (k for k in _DATA_KEYS if isinstance(block, dict) and block.get(k) is not None), None
    )
    if key is None or block.get("type") not in FILE_BLOCK_TYPES:
        return block
    value = block[key]
    if isinstance(value, str) and block.get("mime_type"):
        return block
    parsed = parse_block(block)
    if not isinstance(parsed, Attachment):
        return block
    text = value if isinstance(value, str) else base64.b64encode(parsed.data).decode()
    return {**block, key: text, "mime_type": block.get("mime_type") or parsed.mime_type}
