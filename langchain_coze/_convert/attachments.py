"""Convert images, files and audio from LangChain's content blocks to Coze attachments. Pure.

Links are passed on, bytes are uploaded first, ids of uploaded files are used as is (wire sections
2.1 and 5.3). Errors that can be detected locally are raised here, before any request.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from langchain_coze import _hints as hints
from langchain_coze._api.effects import Upload
from langchain_coze._convert.file_types import (
    FileType,
    detect_file_type,
    detect_image_type,
    detect_text_type,
)
from langchain_coze.errors import CozeInvalidRequestError

MAX_FILE_SIZE = 512 * 1024 * 1024
"""The maximum size of an uploaded file in bytes (wire section 5.3)."""

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
"""The types of content blocks that hold files, and Coze's type for each."""

_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+*-]+(\s*;[ -~]*)?", re.ASCII)
DATA_KEYS = ("base64", "data", "file_data", "bytes")
_DEFAULT_MIME: Mapping[AttachmentKind, str] = {
    "image": "image/png",
    "audio": "audio/wav",
    "file": "application/octet-stream",
}


class Attachment(NamedTuple):
    """One file of a message; exactly one of `url`, `file_id` and `data` is set.

    Attributes:
        kind: Coze's type for it.
        url: A public link.
        file_id: The id of an uploaded file.
        data: Its bytes, to be uploaded.
        name: Its file name.
        mime_type: Its MIME type.
    """

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

    def to_item(self, file_id: str = "") -> dict[str, str]:
        """Return the file as an `object_string` item (wire section 2.1)."""
        location = {"file_url": self.url} if self.url else {"file_id": file_id or self.file_id}
        return {"type": self.kind, **location}


def parse_block(block: Any) -> str | Attachment:
    """Return the text of a content block, or the file that it holds.

    Args:
        block: A str; a standard content block with `url`, `base64` or `file_id`, in the current or
            the earlier format; or a block in OpenAI's or Anthropic's format. Bytes are accepted in
            place of base64.

    Raises:
        CozeInvalidRequestError: Coze does not accept the block, or its data is empty, too large, or
            not the declared image.
    """
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        raise _make_unsupported_error(type(block).__name__)
    kind = str(block.get("type"))
    if isinstance(block.get("text"), str) and kind in {"text", "text-plain", "file", "input_text"}:
        return str(block["text"])
    if kind not in FILE_BLOCK_TYPES:
        raise _make_unsupported_error(kind)
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
    if fields.get("format"):  # OpenAI's input_audio
        mime_type = mime_type or f"audio/{fields['format']}"
    normalized: dict[str, Any] = {
        "url": fields.get("url"),
        "file_id": fields.get("file_id") or fields.get("id") if _has_file_id(fields) else None,
        "data": next((fields[k] for k in DATA_KEYS if fields.get(k) is not None), None),
        "mime_type": mime_type,
        "name": fields.get("filename") or fields.get("name") or fields.get("title"),
    }
    for key in ("url", "data"):
        if isinstance(normalized[key], str) and normalized[key].startswith("data:"):
            head, _, normalized["data"] = normalized[key].partition(",")
            normalized["url"] = None
            normalized["mime_type"] = head[5:].partition(";")[0] or normalized["mime_type"]
    return normalized


def _has_file_id(fields: Mapping[str, Any]) -> bool:
    """Return whether a file id is set; in the standard format, `id` is the id of the block."""
    return bool(fields.get("file_id")) or fields.get("source_type") == "id"


def _build_attachment(kind: AttachmentKind, fields: Mapping[str, Any]) -> Attachment:
    if fields["url"]:
        url = _require_public_url(str(fields["url"]))
        name, mime_type = str(fields["name"] or ""), str(fields["mime_type"] or "")
        return Attachment(kind, url=url, name=name, mime_type=mime_type)
    if fields["file_id"]:
        return Attachment(kind, file_id=str(fields["file_id"]))
    if fields["data"] is None:
        raise CozeInvalidRequestError(
            f"A content block of type {kind!r} has no link, no bytes and no file id.",
            hint=hints.FILE_SOURCE,
        )
    if not isinstance(fields["data"], (str, bytes, bytearray)):
        raise _make_base64_error()
    data = _read_bytes(fields["data"])
    declared = _check_mime_type(str(fields["mime_type"] or ""))
    file_type = _require_image_type(data, declared) if kind == "image" else detect_file_type(data)
    name = str(fields["name"] or "").encode("utf-8", "replace").decode()  # no lone surrogates
    if file_type is None and kind == "file" and not (name or declared):
        file_type = detect_text_type(data)
    mime_type = declared or _DEFAULT_MIME[kind]
    if not name:  # Coze derives the type of the file from its extension
        subtype = mime_type.partition("/")[2]
        extension = f".{subtype}" if subtype.isalnum() else ""
        name = kind + (mimetypes.guess_extension(mime_type) or extension)
    if file_type is not None:  # Coze checks the name against the content
        name, mime_type = file_type.correct_name(name), file_type.mime_type
    return Attachment(kind, data=data, name=name, mime_type=mime_type)


def _check_mime_type(mime_type: str) -> str:
    """Return a MIME type that is safe in a header of the upload form."""
    if mime_type and not _MIME_TYPE.fullmatch(mime_type):
        raise CozeInvalidRequestError(
            f"{mime_type[:80]!r} is not a MIME type.", hint=hints.MIME_TYPE
        )
    return mime_type


def _require_public_url(url: str) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise CozeInvalidRequestError(
            f"Coze cannot fetch a file from {url[:80]!r}.", hint=hints.PUBLIC_LINK
        )
    return url


def _read_bytes(value: str | bytes | bytearray) -> bytes:
    """Return the bytes of a file, checked against the limits that Coze documents."""
    size = len(value) * 3 // 4 if isinstance(value, str) else len(value)
    if size > MAX_FILE_SIZE + 2:  # base64 padding adds up to two
        raise CozeInvalidRequestError(
            f"A file has {size / 1024**2:.0f} MB; Coze accepts at most 512 MB.",
            code=4302,
            hint=hints.LARGE_ATTACHMENT,
        )
    data = _decode_base64(value) if isinstance(value, str) else bytes(value)
    if not data:
        raise CozeInvalidRequestError("A file is empty.", code=4300, hint=hints.EMPTY_FILE)
    return data


def _decode_base64(value: str) -> bytes:
    try:
        text = "".join(value.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise _make_base64_error() from error


def _make_base64_error() -> CozeInvalidRequestError:
    return CozeInvalidRequestError("The content of a file is not valid base64.", hint=hints.BASE64)


def _require_image_type(data: bytes, declared: str) -> FileType:
    """Return the type of an image, detected from its content."""
    file_type = detect_image_type(data)
    if file_type is None:
        raise CozeInvalidRequestError(
            f"A content block is declared as an image ({declared or 'no MIME type'}), but its data "
            "is not a known image format.",
            code=4303,
            hint=hints.IMAGE_FORMAT,
        )
    return file_type


def _make_unsupported_error(kind: str) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        f"A message has content of type {kind!r}, which Coze does not accept.",
        hint=hints.BLOCK_TYPE,
    )
