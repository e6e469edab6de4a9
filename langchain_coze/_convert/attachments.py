"""Images, files and audio of a message: every form that LangChain knows to one that Coze takes.

Links are passed on, bytes are uploaded first, ids of uploaded files are used as they are (wire
sections 2.1 and 5.3). What can be known to be wrong is said here, before any request. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from langchain_core.messages import BaseMessage

from langchain_coze.errors import CozeInvalidRequestError, hint_of

LARGEST_FILE = 512 * 1024 * 1024
"""How many bytes an uploaded file may have (wire section 5.3)."""

Kind = Literal["image", "file", "audio"]

KINDS: Mapping[str, Kind] = {
    "image": "image",
    "image_url": "image",
    "audio": "audio",
    "input_audio": "audio",
    "file": "file",
    "document": "file",
    "video": "file",
    "text-plain": "file",
}
"""The types of content blocks that hold files, and what each is to Coze."""

_IMAGES: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"\0\0\1\0": "image/x-icon",
    b"<svg": "image/svg+xml",
    b"<?xml": "image/svg+xml",
}
_BOXED = {
    b"WEBP": "image/webp",
    b"heic": "image/heic",
    b"mif1": "image/heic",
    b"avif": "image/avif",
}
_BYTES = ("base64", "data", "file_data", "bytes")
_DEFAULT_MIME: Mapping[Kind, str] = {
    "image": "image/png",
    "audio": "audio/wav",
    "file": "application/octet-stream",
}


class Attachment(NamedTuple):
    """One file of a message; exactly one of `url`, `file_id` and `data` is set.

    Attributes:
        kind: What it is to Coze.
        url: A public link.
        file_id: The id of an uploaded file.
        data: Its bytes, to be uploaded.
        name: Its file name.
        mime_type: Its MIME type.
    """

    kind: Kind
    url: str = ""
    file_id: str = ""
    data: bytes = b""
    name: str = ""
    mime_type: str = ""

    @property
    def digest(self) -> str:
        """What stands for its bytes and its name."""
        return hashlib.sha256(b"\0".join([self.name.encode(), self.data])).hexdigest()

    def item(self, file_id: str = "") -> dict[str, str]:
        """Return the item of an `object_string` (wire section 2.1).

        Args:
            file_id: The id that an upload has given.
        """
        where = {"file_url": self.url} if self.url else {"file_id": file_id or self.file_id}
        return {"type": self.kind, **where}


def read_block(block: Any) -> str | Attachment:
    """Return the text of a content block, or the file that it holds.

    Args:
        block: A str; a standard content block with `url`, `base64` or `file_id`, in the present or
            the earlier form; or a block as OpenAI or Anthropic write it. Bytes may stand wherever
            base64 does.

    Raises:
        CozeInvalidRequestError: Coze cannot be sent this, or it is no image, empty, or too large.
    """
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        raise _unknown(type(block).__name__)
    kind = str(block.get("type"))
    if isinstance(block.get("text"), str) and kind in {"text", "text-plain", "file", "input_text"}:
        return str(block["text"])
    if kind not in KINDS:
        raise _unknown(kind)
    return _attachment(KINDS[kind], _facts(block))


def plain_data(messages: Sequence[Any]) -> list[Any]:
    """Return messages whose files can be shown in a trace: bytes as base64, with a MIME type.

    LangChain's tracers write the bytes of a block as they are, and refuse a block without a type.

    Args:
        messages: Anything that a chat model takes as a list; what has no such files is kept.
    """
    return [
        message.model_copy(update={"content": [_plain(block) for block in message.content]})
        if isinstance(message, BaseMessage)
        and isinstance(message.content, list)
        and any(_plain(block) is not block for block in message.content)
        else message
        for message in messages
    ]


def _plain(block: Any) -> Any:
    key = next((k for k in _BYTES if isinstance(block, dict) and block.get(k) is not None), None)
    if key is None or block.get("type") not in KINDS:
        return block
    value = block[key]
    if isinstance(value, str) and block.get("mime_type"):
        return block
    found = read_block(block)
    if not isinstance(found, Attachment):
        return block
    text = value if isinstance(value, str) else base64.b64encode(found.data).decode()
    return {**block, key: text, "mime_type": block.get("mime_type") or found.mime_type}


def _facts(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a block says, whatever its form: url, file_id, data, mime_type, name."""
    inner = block.get(str(block["type"]))  # OpenAI: {"type": "file", "file": {…}}
    inner = {"url": inner} if isinstance(inner, str) else inner or block.get("source")  # Anthropic
    extras = block.get("extras") or block.get("metadata")
    facts = {
        **(extras if isinstance(extras, Mapping) else {}),
        **block,
        **(inner if isinstance(inner, Mapping) else {}),
    }
    mime_type = facts.get("mime_type") or facts.get("media_type")
    if facts.get("format"):  # OpenAI's input_audio
        mime_type = mime_type or f"audio/{facts['format']}"
    told: dict[str, Any] = {
        "url": facts.get("url"),
        "file_id": facts.get("file_id") or facts.get("id") if _is_by_id(facts) else None,
        "data": next((facts[k] for k in _BYTES if facts.get(k) is not None), None),
        "mime_type": mime_type,
        "name": facts.get("filename") or facts.get("name") or facts.get("title"),
    }
    for key in ("url", "data"):
        if isinstance(told[key], str) and told[key].startswith("data:"):
            head, _, told["data"] = told[key].partition(",")
            told["url"] = None
            told["mime_type"] = head[5:].partition(";")[0] or told["mime_type"]
    return told


def _is_by_id(facts: Mapping[str, Any]) -> bool:
    """Return whether `id` names a file: in the standard form it names the block."""
    return bool(facts.get("file_id")) or facts.get("source_type") == "id"


def _attachment(kind: Kind, told: Mapping[str, Any]) -> Attachment:
    if told["url"]:
        return Attachment(kind, url=_public(str(told["url"])))
    if told["file_id"]:
        return Attachment(kind, file_id=str(told["file_id"]))
    if told["data"] is None:
        raise CozeInvalidRequestError(
            f"A content block of type {kind!r} has neither a link nor bytes nor a file id.",
            hint=hint_of("Give url=, base64= or file_id=.", "请提供 url、base64 或 file_id。"),
        )
    if not isinstance(told["data"], (str, bytes, bytearray)):
        raise _not_base64()
    data = _bytes(told["data"])
    mime_type = str(told["mime_type"] or "")
    if kind == "image":
        mime_type = _image_type(data, mime_type)
    mime_type = mime_type or _DEFAULT_MIME[kind]
    name = told["name"] or f"{kind}{_ending(mime_type)}"
    return Attachment(kind, data=data, name=str(name), mime_type=mime_type)


def _public(url: str) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise CozeInvalidRequestError(
            f"Coze cannot fetch a file from {url[:80]!r}.",
            hint=hint_of(
                "Give a public link that starts with https://, or the bytes with base64=.",
                "请提供以 https:// 开头的公开链接，或用 base64= 传入文件内容。",
            ),
        )
    return url


def _ending(mime_type: str) -> str:
    """Return the ending of a file name: Coze tells the type of a file by it."""
    subtype = mime_type.partition("/")[2]
    return mimetypes.guess_extension(mime_type) or (f".{subtype}" if subtype.isalnum() else "")


def _bytes(value: str | bytes | bytearray) -> bytes:
    """Return the bytes of a file, checked as far as Coze tells what it takes."""
    size = len(value) * 3 // 4 if isinstance(value, str) else len(value)
    if size > LARGEST_FILE + 2:  # base64 pads with up to two
        raise CozeInvalidRequestError(
            f"A file has {size / 1024**2:.0f} MB; Coze takes at most 512 MB.",
            code=4302,
            hint=hint_of(
                "Shorten it, or give a public link with url=.",
                "请缩小文件，或用 url= 提供公开链接。",
            ),
        )
    data = _decoded(value) if isinstance(value, str) else bytes(value)
    if not data:
        raise CozeInvalidRequestError(
            "A file is empty.", code=4300, hint=hint_of("Give its bytes.", "请提供文件内容。")
        )
    return data


def _decoded(value: str) -> bytes:
    try:
        text = "".join(value.split()).replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise _not_base64() from error


def _not_base64() -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        "A file of a message is not base64.",
        hint=hint_of(
            "Encode its bytes with base64.b64encode(…).decode(), or give the bytes.",
            "请用 base64.b64encode(…).decode() 编码，或直接传入 bytes。",
        ),
    )


def _image_type(data: bytes, said: str) -> str:
    """Return the MIME type of an image, told by its first bytes."""
    head = data[:64].lstrip()
    found = next((kind for begin, kind in _IMAGES.items() if head.startswith(begin)), "")
    found = found or _BOXED.get(data[8:12], "")
    if not found:
        raise CozeInvalidRequestError(
            f"A content block says that it is an image ({said or 'no MIME type'}), but its bytes "
            "are none.",
            code=4303,
            hint=hint_of(
                "Send a PNG, JPEG, GIF or WebP, or send it as a block of type 'file'.",
                "请发送 PNG、JPEG、GIF 或 WebP 图片，或用 type 为 'file' 的内容块发送。",
            ),
        )
    return found


def _unknown(kind: str) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(
        f"A message has content of type {kind!r}, which Coze does not take.",
        hint=hint_of("Send text, images, files and audio.", "请发送文本、图片、文件或音频内容块。"),
    )
