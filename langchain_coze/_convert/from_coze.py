"""Convert the messages of a turn that are not plain text to standard content blocks. Pure.

Plugin calls, cards, images, files and audio arrive as JSON in a message's `content` (wire sections
2.1, 2.3 and 2.5). Content that cannot be parsed is kept unchanged.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from langchain_core.utils.json import parse_partial_json

from langchain_coze._api.models import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages.ai import UsageMetadata

    from langchain_coze._api.models import Usage

Block = dict[str, Any]

_ANSWER_FINISH = "generate_answer_finish"
_LOCAL_PLUGIN = 6  # the plugin_type of plugins that the client runs


def parse_object(text: str) -> dict[str, Any]:
    """Return the JSON object in a text, or an empty dict."""
    value = parse_json(text)
    return value if isinstance(value, dict) else {}


def _parse_or_keep(text: str) -> Any:
    """Return the parsed JSON of a text, or the text if it is not JSON."""
    value = parse_json(text)
    return text if value is None else value


def build_card_block(content: str) -> Block:
    """Return the block of a card."""
    return _build_other_block("card", _parse_or_keep(content))


def is_local_plugin(content: str) -> bool:
    """Return whether a call is for a client tool (wire section 2.3)."""
    return parse_object(content).get("plugin_type") == _LOCAL_PLUGIN


def build_call_block(message_id: str, content: str) -> Block:
    """Return the block of a plugin call that ran in Coze or Studio.

    Coze sends no call id, so the message id is used.
    """
    body = parse_json(content)
    call: Any = body if isinstance(body, dict) else {"arguments": content}
    if isinstance(call.get("function"), dict):  # Studio's format
        call = call["function"]
    arguments = call.get("arguments")
    if isinstance(arguments, str):
        arguments = _parse_or_keep(arguments) if arguments else {}
    if not isinstance(arguments, dict):
        arguments = {} if arguments is None else {"input": arguments}
    name = str(call.get("name") or call.get("plugin_name") or "")
    return {"type": "server_tool_call", "id": message_id, "name": name, "args": arguments}


def build_result_block(call_id: str, content: str) -> Block:
    """Return the block of a plugin's result (a `tool_response` message)."""
    output = _parse_or_keep(content)
    if isinstance(output, dict) and isinstance(output.get("response_for_model"), str):
        output = output["response_for_model"]
    head = {"type": "server_tool_result", "tool_call_id": call_id}
    return {**head, "status": "success", "output": output}


def parse_object_string(content: str) -> tuple[str, list[Block]]:
    """Return the text of an `object_string` answer and the blocks of its images and files."""
    items = parse_json(content)
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
            blocks.append(_build_other_block("item", item))
    return "\n".join(text for text in texts if text), blocks


def _build_other_block(kind: str, content: Any) -> Block:
    return {"type": "non_standard", "value": {"type": kind, "content": content}}


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

    Ogg and WAV have a signature. Audio without one has Coze's third format: raw 16-bit PCM, 24 kHz,
    one channel (wire section 2.4).
    """
    audio = b"".join(map(_decode_base64, pieces))
    if not audio:
        return None
    formats = {b"OggS": "audio/ogg", b"RIFF": "audio/wav"}
    mime_type = formats.get(audio[:4], "audio/pcm")
    return {"type": "audio", "base64": base64.b64encode(audio).decode(), "mime_type": mime_type}


def _decode_base64(piece: str) -> bytes:
    try:
        return base64.b64decode(piece + "=" * (-len(piece) % 4))
    except ValueError:
        return b""


def is_interrupt(content: str) -> bool:
    """Return whether a `verbose` message reports that the bot waits for its user (wire 2.5)."""
    body = parse_object(content)
    if body.get("msg_type") != _ANSWER_FINISH:
        return body.get("msg_type") == "interrupt"
    data = body.get("data")
    finish = parse_json(data) if isinstance(data, str) else data
    return isinstance(finish, dict) and finish.get("finish_reason") == 1


def is_answer_finish(content: str) -> bool:
    """Return whether a `verbose` message reports that the bot has answered (wire 2.5)."""
    return parse_object(content).get("msg_type") == _ANSWER_FINISH


def prevent_repair(arguments: str) -> str:
    """Return the arguments of a client-side call in a form that LangChain does not repair.

    LangChain's chunks complete truncated JSON, which is normal while streaming. Coze sends
    arguments in one piece (wire section 2.6), so truncated ones are invalid and no tool may run.
    """
    if not arguments or parse_json(arguments) is not None:
        return arguments
    try:
        parse_partial_json(arguments)
    except ValueError:
        return arguments  # LangChain cannot repair it
    return f"(broken off) {arguments}"


def to_usage_metadata(usage: Usage) -> UsageMetadata | None:
    """Return token counts in LangChain's format; None if the server sent none (wire 2.2)."""
    # Studio's total is wrong (14 for 11 + 7), so the sum of the parts is preferred (wire section 8)
    total_tokens = usage.input_count + usage.output_count or usage.token_count
    if not total_tokens:
        return None
    usage_metadata: UsageMetadata = {
        "input_tokens": usage.input_count,
        "output_tokens": usage.output_count,
        "total_tokens": total_tokens,
    }
    if (inputs := usage.input_tokens_details) is not None:
        usage_metadata["input_token_details"] = {"cache_read": inputs.cached_tokens}
    if (outputs := usage.output_tokens_details) is not None:
        usage_metadata["output_token_details"] = {"reasoning": outputs.reasoning_tokens}
    return usage_metadata
