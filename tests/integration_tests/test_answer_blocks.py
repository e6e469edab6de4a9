"""Two streamed answers keep their blocks, even if LangChain does not add their lengths."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_coze import ChatCoze
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import ScriptedServer, Step, serve_script
from tests.integration_tests.studio_recordings import make_model, read_recording

CHAT = {"id": "7713923623693582336", "conversation_id": "7713923623685193728"}
CHAT |= {"status": "completed"}
DONE = b"event:conversation.stream.done\ndata:"
FIRST, SECOND = "静态：从智能体来", "中间你好！(第1问)"


def make_events() -> list[bytes]:
    """Return the events of an agent in workflow mode, with an output node before its end node.

    The pieces of the second answer have 2, 1, 1, 1 and 5 characters.
    """
    recording = read_recording("222-wf-agent-emit").replace("中间：".encode(), "中间".encode())
    events = recording.split(b"\n\n")[:-1]
    start, emitted, static = events[:3], events[3:9], events[9:]
    end = b"event:conversation.chat.completed\ndata:" + json.dumps(CHAT).encode()  # it has none
    return [event + b"\n\n" for event in (*start, *static, *emitted, end, DONE)]


@contextmanager
def serve_pieces() -> Iterator[ScriptedServer]:
    """Serve the events, each in a read of its own."""
    steps: list[Step] = [step for event in make_events() for step in (event, 0.01)]
    with serve_script(*steps) as server:
        yield server


@contextmanager
def serve_poll() -> Iterator[ScriptedServer]:
    completed = [event for event in make_events() if b"message.completed" in event]
    messages = [json.loads(event.partition(b"data:")[2]) for event in completed]
    bodies = [{"code": 0, "data": CHAT}, {"code": 0, "data": messages}]
    replies = [json.dumps(body).encode() for body in bodies]
    with serve_script(content_type="application/json", replies=replies) as server:
        yield server


def list_texts(message: Any) -> list[str]:
    return [block["text"] for block in message.content_blocks if block["type"] == "text"]


@pytest.mark.parametrize("output_version", [None, "v1"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_two_answers_in_pieces_keep_their_blocks(
    ask: CallStyle, output_version: str | None
) -> None:
    with serve_pieces() as server:
        message = ask(make_model(server, output_version=output_version), "q")
    assert list_texts(message) == [FIRST, SECOND]
    assert message.text.replace("\n\n", "") == FIRST + SECOND


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_polled_answers_have_the_same_blocks(ask: CallStyle) -> None:
    with serve_poll() as server:
        message = ask(make_model(server, response_mode="poll"), "q")
    assert message.content == f"{FIRST}\n\n{SECOND}"
    assert list_texts(message) == [FIRST, SECOND]


def test_events_have_the_same_blocks() -> None:
    async def run(model: ChatCoze) -> Any:
        stream = await model.astream_events("q", version="v3")
        return await stream.output

    with serve_pieces() as server:
        model = make_model(server)
        try:
            output = model.stream_events("q", version="v3").output
        except NotImplementedError:
            pytest.skip("this langchain-core has no events of version 3")
        assert list_texts(output) == [FIRST, SECOND]
        assert list_texts(asyncio.run(run(model))) == [FIRST, SECOND]


def test_the_sum_of_the_chunks_so_far_has_the_right_blocks() -> None:
    with serve_pieces() as server:
        total: AIMessageChunk | None = None
        for chunk in make_model(server).stream("q"):
            assert isinstance(chunk, AIMessageChunk)
            total = chunk if total is None else total + chunk
            first, *second = [*list_texts(total), ""][:2]
            assert FIRST.startswith(first)
            assert SECOND.startswith(second[0]) if second else True
            assert "\n\n".join(list_texts(total)) == total.text
