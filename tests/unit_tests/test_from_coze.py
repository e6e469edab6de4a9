"""Cards, files and speech of an answer: streamed, whole and polled."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, message_chunk_to_message

from langchain_coze._api.models import Usage
from langchain_coze._chat.answer_parser import AnswerParser
from langchain_coze._convert.from_coze import (
    build_audio_block,
    build_call_block,
    is_interrupt,
    parse_object_string,
    to_usage_metadata,
)
from langchain_coze.errors import CozeServerError

CHAT = '{"id":"6","conversation_id":"5","status":"completed"}'
IMAGE = {"type": "image", "file_url": "https://h/p.png?a=1&b=2"}
ONLY_IMAGE = json.dumps([IMAGE])
ITEMS = json.dumps([{"type": "text", "text": "Here it is."}, IMAGE])


def make_event(name: str, **data: Any) -> bytes:
    return f"event:{name}\ndata:{json.dumps(data)}\n\n".encode()


def make_answer(number: str, content: str, kind: str = "text") -> dict[str, Any]:
    return {"id": number, "type": "answer", "role": "assistant", "content": content} | {
        "content_type": kind
    }


def read_message(stream: bytes, *, whole: bool) -> AIMessage:
    turn = AnswerParser("7", single_chunk=whole)
    chunks = [*turn.feed(stream), *turn.finish()]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    message = message_chunk_to_message(total.message)
    assert isinstance(message, AIMessage)
    return message


@pytest.mark.parametrize("whole", [True, False])
def test_files_of_an_answer_are_blocks_and_its_text_is_clean(whole: bool) -> None:  # noqa: FBT001
    stream = (
        make_event("conversation.chat.created", id="6", conversation_id="5")
        + make_event("conversation.message.delta", **make_answer("1", ITEMS[:20], "object_string"))
        + make_event("conversation.message.completed", **make_answer("1", ITEMS, "object_string"))
        + make_event(
            "conversation.message.completed", **make_answer("2", ONLY_IMAGE, "object_string")
        )
        + f"event:conversation.chat.completed\ndata:{CHAT}\n\n".encode()
        + b'event:done\ndata:"[DONE]"\n\n'
    )
    message = read_message(stream, whole=whole)
    assert message.content == "Here it is."
    url = {"type": "image", "url": "https://h/p.png?a=1&b=2"}
    assert message.content_blocks == [{"type": "text", "text": "Here it is."}, url, url]


@pytest.mark.parametrize("whole", [True, False])
def test_speech_is_one_block_after_the_text(whole: bool) -> None:  # noqa: FBT001
    pieces = [base64.b64encode(piece).decode() for piece in (b"OggS1", b"22", b"333")]
    stream = (
        make_event("conversation.message.delta", **make_answer("1", "Hello"))
        + make_event("conversation.message.completed", **make_answer("1", "Hello"))
        + f"event:conversation.chat.completed\ndata:{CHAT}\n\n".encode()
        + b"".join(
            make_event("conversation.audio.delta", **make_answer("3", p, "audio")) for p in pieces
        )
        + b'event:done\ndata:"[DONE]"\n\n'
    )
    message = read_message(stream, whole=whole)
    sound = base64.b64encode(b"OggS122333").decode()
    assert message.content == "Hello"
    assert message.content_blocks == [
        {"type": "text", "text": "Hello"},
        {"type": "audio", "base64": sound, "mime_type": "audio/ogg"},
    ]


def test_speech_has_its_mime_type() -> None:
    kinds = {b"OggS": "audio/ogg", b"RIFF": "audio/wav", b"\0\1\0\2": "audio/pcm"}
    for sound, kind in kinds.items():
        block = build_audio_block([base64.b64encode(sound).decode().rstrip("=")])
        assert block is not None
        assert block["mime_type"] == kind
    assert build_audio_block([]) is None
    assert build_audio_block(["%"]) is None


def test_invalid_items_are_kept() -> None:
    assert parse_object_string("plain") == ("plain", [])
    assert parse_object_string('{"a":1}') == ('{"a":1}', [])
    text, blocks = parse_object_string('[{"type":"hologram"},7,{"type":"text","text":null}]')
    assert text == ""
    assert [block["value"]["content"] for block in blocks] == [{"type": "hologram"}, 7]
    _, (file,) = parse_object_string('[{"type":"file","file_id":7,"name":"a.pdf"}]')
    assert file == {"type": "file", "file_id": "7", "extras": {"name": "a.pdf"}}


@pytest.mark.parametrize(
    ("content", "waits"),
    [
        ('{"msg_type":"interrupt","data":""}', True),
        ('{"msg_type":"generate_answer_finish","data":"{\\"finish_reason\\":1}"}', True),
        ('{"msg_type":"generate_answer_finish","data":"{\\"finish_reason\\":0}"}', False),
        ('{"msg_type":"generate_answer_finish","data":""}', False),
        ('{"msg_type":"other","data":{"finish_reason":1}}', False),
        ("empty result", False),
    ],
)
def test_a_question_to_the_user_is_recognized(content: str, waits: bool) -> None:  # noqa: FBT001
    assert is_interrupt(content) is waits


ACTION = {
    "type": "submit_tool_outputs",
    "submit_tool_outputs": {
        "tool_calls": [
            {
                "id": "BUJJF0dAQ0NAEBVeQkVKEV5HFURFXhFCEhFeFxdHShcSQEtFSxYRSUI=",
                "type": "function",
                "function": {
                    "name": "local_data_assistant",
                    "arguments": '{"location":"南京","type":0}',
                },
            }
        ]
    },
}


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("end", [b"", b'event:done\ndata:"[DONE]"\n\n'])
def test_a_required_action_has_tool_calls(*, saved: bool, whole: bool, end: bytes) -> None:
    chat = {"id": "6", "conversation_id": "5", "status": "requires_action"}
    stream = make_event("conversation.chat.requires_action", **chat, required_action=ACTION) + end
    turn = AnswerParser("7", single_chunk=whole, saved=saved)
    chunks = [*turn.feed(stream), *turn.finish()]
    (chunk,) = chunks
    message = message_chunk_to_message(chunk.message)
    assert isinstance(message, AIMessage)
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("local_data_assistant", {"location": "南京", "type": 0})
    assert call["id"] == "BUJJF0dAQ0NAEBVeQkVKEV5HFURFXhFCEhFeFxdHShcSQEtFSxYRSUI="
    assert message.response_metadata["finish_reason"] == turn.state == "tool_calls"
    assert message.response_metadata.get("auto_save_history") is (None if saved else False)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ('{"city": "Hang', '(broken off) {"city": "Hang'),
        ('{"city": ', '(broken off) {"city": '),
        ("{", "(broken off) {"),
        ("city: 杭州", "city: 杭州"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_arguments_that_break_off_are_not_repaired(
    *, arguments: str, kept: str, whole: bool
) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
    chat = {"id": "6", "conversation_id": "5", "status": "requires_action"}
    message = read_message(
        make_event("conversation.message.delta", **make_answer("1", "Let me see."))
        + make_event("conversation.chat.requires_action", **chat, required_action=action),
        whole=whole,
    )
    assert message.tool_calls == []
    (wrong,) = message.invalid_tool_calls
    assert (wrong["id"], wrong["name"], wrong["args"]) == ("1", "f", kept)


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_a_call_without_arguments_is_a_call(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
    chat = {"id": "6", "conversation_id": "5", "status": "requires_action"}
    stream = make_event("conversation.chat.requires_action", **chat, required_action=action)
    assert read_message(stream, whole=False).tool_calls[0]["args"] == {}


REPLY_MESSAGE = {"id": "", "type": "reply_message", "function": None, "require_info": None}
"""The entry of a question to the user, as the chatflow page prints it (wire section 4.6)."""


def make_action(*calls: dict[str, Any]) -> bytes:
    """Return the event of a turn that waits for these calls."""
    chat = {"id": "6", "conversation_id": "5", "status": "requires_action"}
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}
    return make_event("conversation.chat.requires_action", **chat, required_action=action)


@pytest.mark.parametrize("kind", ["reply_message", "require_info"])
@pytest.mark.parametrize("whole", [True, False])
def test_an_action_of_another_type_is_a_question_and_not_a_tool_call(
    *, kind: str, whole: bool
) -> None:
    question = make_event("conversation.message.completed", **make_answer("1", "哪一天？"))
    stream = question + make_action(REPLY_MESSAGE | {"type": kind})
    message = read_message(stream + b'event:done\ndata:"[DONE]"\n\n', whole=whole)
    assert (message.content, message.tool_calls) == ("哪一天？", [])
    assert message.invalid_tool_calls == []
    assert message.response_metadata["finish_reason"] == "interrupt"


@pytest.mark.parametrize("whole", [True, False])
def test_calls_and_questions_of_one_action_are_distinguished_by_type(*, whole: bool) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    untyped = {"id": "2", "function": {"name": "g", "arguments": "{}"}}
    message = read_message(make_action(REPLY_MESSAGE, call, untyped), whole=whole)
    assert [(call["id"], call["name"]) for call in message.tool_calls] == [("1", "f"), ("2", "g")]
    assert message.response_metadata["finish_reason"] == "tool_calls"


# `tool_response` of a submit stream, as the guide of local plugins prints it (wire section 2.6)
OWN_OUTPUT = {"id": "576", "role": "assistant", "type": "tool_response"} | {
    "content": '{"probability":0.5}',
    "content_type": "text",
}


@pytest.mark.parametrize("content", ['{"probability":0.5}', '{"probability": 0.5}'])
@pytest.mark.parametrize("whole", [True, False])
def test_a_submitted_output_that_comes_back_is_not_a_block(*, content: str, whole: bool) -> None:
    own = make_event("conversation.message.completed", **(OWN_OUTPUT | {"content": content}))
    turn = AnswerParser("7", single_chunk=whole, submitted_outputs=['{"probability":0.5}'])
    answer = make_event("conversation.message.completed", **make_answer("2", "河南"))
    end = f"event:conversation.chat.completed\ndata:{CHAT}\n\n".encode()
    chunks = [*turn.feed(own + answer + end), *turn.finish()]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.message.content_blocks == [{"type": "text", "text": "河南"}]


@pytest.mark.parametrize("whole", [True, False])
def test_results_of_the_bots_plugins_are_blocks_after_a_submit_too(*, whole: bool) -> None:
    message = {"role": "assistant", "content_type": "text"}
    call = {"id": "3", "type": "function_call", "content": '{"name":"s","arguments":{}}'}
    result = {"id": "4", "type": "tool_response", "content": "sunny"}
    turn = AnswerParser("7", single_chunk=whole, submitted_outputs=['{"probability":0.5}'])
    stream = b"".join(
        make_event("conversation.message.completed", **(message | one))
        for one in (call, OWN_OUTPUT, result, make_answer("2", "ok"))
    )
    end = f"event:conversation.chat.completed\ndata:{CHAT}\n\n".encode()
    chunks = [*turn.feed(stream + end), *turn.finish()]
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    blocks = total.message.content_blocks
    assert [block["type"] for block in blocks] == [
        *("server_tool_call", "server_tool_result", "text")
    ]
    assert (blocks[1].get("tool_call_id"), blocks[1].get("output")) == ("3", "sunny")


@pytest.mark.parametrize("kind", [[], {}, 7, None])
def test_an_item_of_an_unknown_type_is_kept(kind: Any) -> None:
    item = {"type": kind, "x": 1}
    text, blocks = parse_object_string(json.dumps([{"type": "text", "text": "a"}, item]))
    assert text == "a"
    assert blocks == [{"type": "non_standard", "value": {"type": "item", "content": item}}]


@pytest.mark.parametrize("arguments", ["{}", "", {}, None])
def test_a_plugin_call_without_arguments_has_empty_arguments(arguments: Any) -> None:
    content = json.dumps({"name": "s", "arguments": arguments})
    assert build_call_block("1", content)["args"] == {}


@pytest.mark.parametrize("whole", [True, False])
def test_events_after_a_required_action_count(*, whole: bool) -> None:
    chat = {"id": "6", "conversation_id": "5", "status": "requires_action"}
    action = make_event("conversation.chat.requires_action", **chat, required_action=ACTION)
    went_on = action + make_event("conversation.chat.completed", **{**chat, "status": "completed"})
    message = read_message(went_on, whole=whole)
    assert (message.response_metadata["finish_reason"], message.tool_calls) == ("stop", [])
    failure = {"code": 5000, "msg": "gone"}
    turn = AnswerParser("7", single_chunk=whole)
    with pytest.raises(CozeServerError, match="gone"):
        turn.feed(action + make_event("conversation.chat.failed", **chat, last_error=failure))


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        ({"token_count": 4, "input_count": 4, "output_count": 2}, 6),  # wrong, as on Studio
        ({"token_count": 0, "input_count": 4, "output_count": 2}, 6),
        ({"input_count": "4", "output_count": 2}, 6),
    ],
)
def test_the_total_of_tokens_is_the_sum_of_its_parts(usage: dict[str, Any], total: int) -> None:
    counted = to_usage_metadata(Usage.model_validate(usage))
    assert counted == {"input_tokens": 4, "output_tokens": 2, "total_tokens": total}


def test_a_total_without_parts_is_kept() -> None:
    counted = to_usage_metadata(Usage.model_validate({"token_count": 7}))
    assert counted == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 7}


def test_cached_and_reasoning_tokens_are_details() -> None:
    usage = {
        "token_count": 9,
        "input_count": 4,
        "output_count": 5,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    assert to_usage_metadata(Usage.model_validate(usage)) == {
        "input_tokens": 4,
        "output_tokens": 5,
        "total_tokens": 9,
        "input_token_details": {"cache_read": 3},
        "output_token_details": {"reasoning": 2},
    }


def test_missing_token_counts_give_no_usage_metadata() -> None:
    assert to_usage_metadata(Usage()) is None


def test_an_action_without_calls_waits_for_the_user() -> None:
    chat = {"id": "6", "conversation_id": "5", "status": "required_action"}
    turn = AnswerParser("7")
    assert turn.state == "open"
    turn.feed(make_event("conversation.chat.requires_action", **chat))
    assert turn.state == "interrupt"
