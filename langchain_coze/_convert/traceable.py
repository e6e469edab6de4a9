"""Messages as traces can show them: file bytes as base64, with a MIME type."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from langchain_coze._convert.attachments import DATA_KEYS, FILE_BLOCK_TYPES, Attachment, parse_block

if TYPE_CHECKING:
    from collections.abc import Sequence


def make_traceable(messages: Sequence[Any]) -> list[Any]:
    """Return messages whose files can be traced: bytes as base64, with a MIME type.

    LangChain's tracers write the bytes of a block unchanged, and reject a block without a MIME
    type.
    """
    return [
        message.model_copy(
            update={"content": [_make_block_traceable(block) for block in message.content]}
        )
        if isinstance(message, BaseMessage)
        and isinstance(message.content, list)
        and any(_make_block_traceable(block) is not block for block in message.content)
        else message
        for message in messages
    ]


def _make_block_traceable(block: Any) -> Any:
    key = next((k for k in DATA_KEYS if isinstance(block, dict) and block.get(k) is not None), None)
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
