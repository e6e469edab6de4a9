"""Each rule of the request has a request that breaks it, and only it."""

import json
from typing import Any

import pytest

from langchain_coze.local.wire.errors import ApiError, get_http_status
from langchain_coze.local.wire.requests import read_chat_request

USER = {"role": "user", "type": "question", "content": "hi", "content_type": "text"}
BASE = {"bot_id": "7", "user_id": "u", "additional_messages": [USER]}


def objects(*items: dict[str, Any]) -> dict[str, Any]:
    return USER | {"content_type": "object_string", "content": json.dumps(items)}


IMAGE = {"type": "image", "file_url": "https://example.com/cat.png"}
TEXT = {"type": "text", "text": "What is on it?"}


def test_optional_fields_have_defaults() -> None:
    request = read_chat_request(BASE)
    assert (request.stream, request.auto_save_history) == (False, True)
    assert request.additional_messages[0].text == "hi"


def test_multimodal_messages_are_read() -> None:
    request = read_chat_request(BASE | {"additional_messages": [objects(TEXT, IMAGE)]})
    assert request.additional_messages[0].text == "What is on it?"
    # cozepy writes keys that are not set as null.
    nulls = objects(TEXT | {"file_id": None}, IMAGE | {"text": None})
    assert read_chat_request(BASE | {"additional_messages": [nulls]})
    assert read_chat_request(BASE | {"additional_messages": [objects(IMAGE), USER]})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bot_id": None}, 4000),
        ({"user_id": ""}, 4000),
        ({"stream": "true"}, 4000),
        ({"auto_save_history": False}, 4007),
        ({"additional_messages": "hi"}, 4000),
        ({"additional_messages": [USER] * 101}, 4004),
        ({"additional_messages": ["hi"]}, 4000),
        ({"additional_messages": [USER | {"role": "system"}]}, 4000),
        ({"additional_messages": [USER | {"role": "assistant"}]}, 4000),
        ({"additional_messages": [USER | {"type": "function_call"}]}, 4000),
        ({"additional_messages": [USER | {"content": None}]}, 4000),
        ({"additional_messages": [USER | {"content_type": "card"}]}, 4000),
        ({"additional_messages": [USER | {"content_type": None}]}, 4000),
        ({"additional_messages": [USER | {"content_type": "object_string"}]}, 4000),
        ({"additional_messages": [objects(TEXT)]}, 4000),
        ({"additional_messages": [objects(TEXT, TEXT, IMAGE)]}, 4000),
        ({"additional_messages": [objects(TEXT, {"type": "image"})]}, 4000),
        ({"additional_messages": [objects(TEXT, {"type": "video", "file_id": "1"})]}, 4000),
        ({"additional_messages": [objects(IMAGE)]}, 4000),
        ({"additional_messages": [USER | {"meta_data": {"k": ""}}]}, 4003),
        ({"meta_data": {str(n): "v" for n in range(17)}}, 4003),
        ({"meta_data": {"k" * 65: "v"}}, 4003),
        ({"meta_data": {"k": "v" * 513}}, 4003),
        ({"meta_data": {"k": 1}}, 4000),
        ({"custom_variables": {"k": 1}}, 4000),
        ({"parameters": [1]}, 4000),
        ({"publish_status": "draft"}, 4000),
        ({"publish_status": "unpublished_draft", "bot_version": "1"}, 4000),
    ],
)
def test_invalid_requests_are_refused(change: dict[str, Any], code: int) -> None:
    with pytest.raises(ApiError) as refused:
        read_chat_request(BASE | change)
    assert refused.value.code == code


def test_limits_themselves_are_allowed() -> None:
    pairs = {f"{n:064}": "v" * 512 for n in range(16)}
    assert read_chat_request(BASE | {"meta_data": pairs}).meta_data == pairs
    assert read_chat_request(BASE | {"additional_messages": [USER] * 100})
    unsaved = BASE | {"stream": True, "auto_save_history": False}
    call = {"role": "assistant", "type": "function_call", "content": "{}", "content_type": "text"}
    assert read_chat_request(unsaved | {"additional_messages": [call, USER]})


@pytest.mark.parametrize(
    ("code", "status"), [(0, 200), (4000, 400), (4100, 401), (4101, 403), (4200, 404), (5000, 500)]
)
def test_every_code_has_its_http_status(code: int, status: int) -> None:
    assert get_http_status(code) == status
