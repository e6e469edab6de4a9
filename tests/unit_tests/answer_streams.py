"""Streams of turns in which the order of events matters, and readers for them."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_coze._chat.fast_path import FastAnswerParser
from tests.unit_tests.wire_fixtures import (
    REASONING,
    RECALL,
    REQUIRES_ACTION,
    SERVER_TOOL,
    STUDIO_END,
    TURN,
)

BOT = "7497178257633607721"
COMPLETED = (
    b'event:conversation.chat.completed\ndata:{"id":"7","conversation_id":"9","status":"completed",'
    b'"usage":{"token_count":3,"output_count":1,"input_count":2}}\n\n'
)
DONE = b'event:done\ndata:"[DONE]"\n\n'


def make_delta(number: str, text: str, **extra: str) -> bytes:
    body = {"id": number, "role": "assistant", "type": "answer", "content": text, **extra}
    return (
        b"event:conversation.message.delta\ndata:"
        + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        + b"\n\n"
    )


def make_completed(number: str, text: str, kind: str = "answer", **extra: str) -> bytes:
    body = {"id": number, "role": "assistant", "type": kind, "content": text, **extra}
    return b"event:conversation.message.completed\ndata:" + json.dumps(body).encode() + b"\n\n"


def make_card(number: str) -> bytes:
    return make_completed(number, '{"card_type":3}', content_type="card")


# Turns in which the order of events matters. Deltas and completed messages have the same text.
TURNS = {
    "recorded": TURN,
    "recalled": RECALL + TURN,
    "reasoning": REASONING + COMPLETED + DONE,
    "tools first": SERVER_TOOL + TURN,
    "tools between": make_delta("1", "a")
    + make_completed("1", "a")
    + SERVER_TOOL
    + make_delta("2", "b")
    + make_completed("2", "b")
    + COMPLETED
    + DONE,
    "two answers": RECALL
    + make_delta("1", "one")
    + make_delta("1", "!")
    + make_completed("1", "one!")
    + make_delta("2", "two")
    + make_completed("2", "two")
    + COMPLETED
    + DONE,
    "second without deltas": make_delta("1", "one")
    + make_completed("1", "one")
    + make_completed("2", "two")
    + COMPLETED
    + DONE,
    # the second answer's text so far is as long as its next piece, again and again
    "second in pieces that double": make_delta("1", "one")
    + make_completed("1", "one")
    + b"".join(make_delta("2", text) for text in ("a", "b", "cd", "efgh", "ijklmnop", "q"))
    + make_completed("2", "abcdefghijklmnopq")
    + b"".join(make_delta("3", "", reasoning_content=text) for text in ("h", "m", "mm", "…"))
    + b"".join(make_delta("3", text) for text in ("22", "1", "1", "4444", "55555"))
    + make_completed("3", "22114444" + "55555")
    + COMPLETED
    + DONE,
    "interleaved": make_delta("1", "a")
    + make_delta("2", "x")
    + make_delta("1", "b")
    + make_delta("2", "y")
    + make_completed("2", "xy")
    + make_completed("1", "ab")
    + COMPLETED
    + DONE,
    "three interleaved, reasoning": make_delta("1", "a")
    + make_delta("2", "", reasoning_content="hm")
    + make_delta("3", "q")
    + make_delta("2", "x")
    + make_completed("3", "q")
    + make_completed("1", "a")
    + make_completed("2", "x")
    + RECALL
    + COMPLETED
    + DONE,
    "card": make_delta("1", "see:")
    + make_completed("1", "see:")
    + make_card("5")
    + COMPLETED
    + DONE,
    "card only": make_card("5") + COMPLETED + DONE,
    "completed twice": make_delta("1", "a")
    + make_completed("1", "a")
    + make_completed("1", "a")
    + COMPLETED
    + DONE,
    "completed missing": make_delta("1", "a") + make_delta("1", "b") + COMPLETED + DONE,
    "interleaved, completed missing": make_delta("1", "a")
    + make_delta("2", "x")
    + make_delta("3", "", reasoning_content="hm")
    + make_delta("3", "y")
    + COMPLETED
    + DONE,
    "reasoning on completed": make_completed("1", "a", reasoning_content="hm") + COMPLETED + DONE,
    "done missing": make_delta("1", "a") + make_completed("1", "a") + COMPLETED,
    "ended by done alone": make_delta("1", "a") + make_completed("1", "a") + DONE,
    "studio": make_delta("1", "a", reasoning_content="")
    + make_completed("1", "a")
    + COMPLETED
    + STUDIO_END,
    "plugin": RECALL + make_delta("1", "wait") + make_completed("1", "wait") + REQUIRES_ACTION,
    "nothing said": make_completed(
        "5", '{"msg_type":"generate_answer_finish","data":"{\\"finish_reason\\":0}"}', "verbose"
    )
    + COMPLETED
    + DONE,
    "escapes": make_delta("1", "\u2028 “”\\n\n 👍🏽")
    + make_completed("1", "\u2028 “”\\n\n 👍🏽")
    + COMPLETED
    + DONE,
}


def parse_chunks(reads: list[bytes], *, whole: bool = False) -> list[ChatGenerationChunk]:
    turn = FastAnswerParser(BOT, logid="log1", single_chunk=whole)
    chunks = [chunk for read in reads for chunk in turn.feed(read)]
    return chunks + turn.finish()


def add_chunks(chunks: list[ChatGenerationChunk]) -> AIMessageChunk:
    message = chunks[0].message
    for chunk in chunks[1:]:
        message = message + chunk.message
    assert isinstance(message, AIMessageChunk)
    return message


def read_stream(*reads: bytes) -> AIMessageChunk:
    return add_chunks(parse_chunks(list(reads)))


def read_whole(data: bytes) -> AIMessage:
    (chunk,) = parse_chunks([data], whole=True)
    message = message_chunk_to_message(chunk.message)
    assert isinstance(message, AIMessage)
    return message


def summarize(message: AIMessage) -> dict[str, Any]:
    return {
        "content": message.content,
        "additional_kwargs": message.additional_kwargs,
        "response_metadata": message.response_metadata,
        "tool_calls": message.tool_calls,
        "usage_metadata": message.usage_metadata,
        "content_blocks": message.content_blocks,
    }
