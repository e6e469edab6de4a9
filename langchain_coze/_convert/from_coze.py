"""Convert the messages of a turn that are not plain text to standard content blocks. Pure.

Plugin calls, cards, images, files and audio arrive as JSON in a message's `content` (wire sections
2.1, 2.3 and 2.5). Content that cannot be parsed is kept unchanged.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from langchain_core.utils.json import parse_partial_json

from langchain_coze._api.models import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_coze._api.models import Usage

Block = dict[str, Any]

_ANSWER_FINISH = "generate_answer_finish"
_LOCAL_PLUGIN = 6  # a plugin_type: the client runs it


def build_card_block(content: str) -> Block:
    """Return the block of a card: the parsed JSON, or the raw text if it is not JSON."""
    card = parse_json(content.encode())
    value = {"type": "card", "content": content if card is None else card}
    return {"type": "non_standard", "value": value}


def is_local_plugin(content: str) -> bool:
    """Return whether a call is for a tool of the client (wire section 2.3)."""
    call = parse_json(content.encode())
    return isinstance(call, dict) and call.get("plugin_type") == _LOCAL_PLUGIN


def build_call_block(message_id: str, content: str) -> Block:
    """Return the block of a plugin call that ran in Coze, also in Studio's format.

    Coze sends no call id: the message id takes its place.
    """
    body = parse_json(content.encode())
    call: Any = body if isinstance(body, dict) else {"arguments": content}
    if isinstance(call.get("function"), dict):  # Studio's format
        call = call["function"]
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        parsed = parse_json(arguments.encode()) if arguments else {}
        arguments = arguments if parsed is None else parsed
    if not isinstance(arguments, dict):
        arguments = {} if arguments is None else {"input": arguments}
    name = str(call.get("name") or call.get("plugin_name") or "")
    return {"type": "server_tool_call", "id": message_id, "name": name, "args": arguments}


def build_result_block(call_id: str, content: str) -> Block:
    """Return the block of a plugin's result (a `tool_response` message)."""
    output = parse_json(content.encode())
    if isinstance(output, dict) and isinstance(output.get("response_for_model"), str):
        output = output["response_for_model"]
    return {
        "type": "server_tool_result",
        "tool_call_id": call_id,
        "status": "success",
        "output": content if output is None else output,
    }


def parse_object_string(content: str) -> tuple[str, list[Block]]:
    """Return the text of an `object_string` answer and the blocks of its images and files."""
    items = parse_json(content.encode())
    if not isinstance(items, list):
        return content, []
    texts: list[str] = []
    blocks: list[Block] = []
    for item in items:
        kind = str(item.get("type")) if isinstance(item, dict) else ""
        if kind == "text":
            texts.append(str(item.get("text") or ""))
        elif kind in {"image", "file", "audio"}:
            blocks.append(_build_file_block(item))
        else:
            blocks.append({"type": "non_standard", "value": {"type": "item", "content": item}})
    return "\n".join(text for text in texts if text), blocks


def _build_file_block(item: Block) -> Block:
    block: Block = {"type": item["type"]}
    if item.get("file_url"):
        block["url"] = str(item["file_url"])
    if item.get("file_id"):
        block["file_id"] = str(item["file_id"])
    if item.get("name"):  # Studio adds it
        block["extras"] = {"name": str(item["name"])}
    return block


def build_audio_block(pieces: Iterable[str]) -> Block | None:
    """Return the block of a spoken answer, or None if there is no audio.

    Ogg and WAV start with a signature. Audio without one is in Coze's other format: raw 16-bit PCM,
    24 kHz, one channel (wire section 2.4).
    """
    audio = b"".join(map(_decode_base64, pieces))
    if not audio:
        return None
    mime_type = "audio/ogg" if audio.startswith(b"OggS") else "audio/pcm"
    return {
        "type": "audio",
        "base64": base64.b64encode(audio).decode(),
        "mime_type": "audio/wav" if audio.startswith(b"RIFF") else mime_type,
    }


def _decode_base64(piece: str) -> bytes:
    try:
        return base64.b64decode(piece + "=" * (-len(piece) % 4))
    except (ValueError, binascii.Error):
        return b""


def is_interrupt(content: str) -> bool:
    """Return whether a `verbose` message reports that the bot waits for its user (wire 2.5)."""
    body = _parse_control(content)
    if body.get("msg_type") != _ANSWER_FINISH:
        return body.get("msg_type") == "interrupt"
    data = body.get("data")
    finish = parse_json(data.encode()) if isinstance(data, str) else data
    return isinstance(finish, dict) and finish.get("finish_reason") == 1


def is_answer_finish(content: str) -> bool:
    """Return whether a `verbose` message reports that the bot has answered (wire 2.5)."""
    return _parse_control(content).get("msg_type") == _ANSWER_FINISH


def _parse_control(content: str) -> Mapping[str, Any]:
    """Return the JSON object in a `verbose` message, or an empty one."""
    body = parse_json(content.encode())
    return body if isinstance(body, dict) else {}


def prevent_repair(arguments: str) -> str:
    """Return the arguments of a client-side call in a form that LangChain does not repair.

    LangChain's chunks complete truncated JSON, which is normal while streaming. Coze sends
    arguments in one piece (wire section 2.6): truncated ones are invalid, and no tool may run.
    """
    if not arguments or parse_json(arguments.encode()) is not None:
        return arguments
    try:
        parse_partial_json(arguments)
    except ValueError:
        return arguments  # LangChain cannot repair it
    return f"(broken off) {arguments}"


def to_usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Return token counts in LangChain's format; None if the server sent none (wire 2.2)."""
    # Studio counts wrongly (14 for 11 + 7), so the sum of the parts goes first (wire section 8)
    total_tokens = usage.input_count + usage.output_count or usage.token_count
    if not total_tokens:
        return None
    usage_metadata: UsageMetadata = {
        "input_tokens": usage.input_count,
        "output_tokens": usage.output_count,
        "total_tokens": total_tokens,
    }
    if usage.input_tokens_details is not None:
        cached = usage.input_tokens_details.cached_tokens
        usage_metadata["input_token_details"] = {"cache_read": cached}
    if usage.output_tokens_details is not None:
        reasoning = usage.output_tokens_details.reasoning_tokens
        usage_metadata["output_token_details"] = {"reasoning": reasoning}
    return usage_metadata
