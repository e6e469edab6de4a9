from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_coze._api.models import (
    Chat,
    CozeMessage,
    ErrorReport,
    find_failure,
    get_payload,
    parse_json,
)

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", [Chat, CozeMessage])
@given(data=st.data())
def test_a_strange_field_never_loses_the_others(kind: Any, data: st.DataObject) -> None:
    strange = data.draw(st.dictionaries(st.sampled_from(sorted(kind.model_fields)), junk))
    strange.pop("id", None)
    strange.pop("msg", None)
    parsed = kind.model_validate({**strange, "id": 7, "msg": "m"})
    assert getattr(parsed, "id", "7") == "7"
    assert getattr(parsed, "msg", "m") == "m"


@given(body=st.dictionaries(st.sampled_from(["code", "error_code", "last_error", "detail"]), junk))
def test_a_strange_error_body_never_loses_its_message(body: dict[str, Any]) -> None:
    assert ErrorReport.parse({**body, "msg": "m"}).message.endswith("m")


def test_a_chat_with_odd_fields_is_read() -> None:
    chat = Chat.model_validate(
        {
            "id": 7390342853760696354,
            "status": "required_action",
            "usage": {"token_count": "12", "output_count": None, "input_count": "x"},
            "required_action": {
                "submit_tool_outputs": {"tool_calls": ["junk", {"id": "1", "function": None}]}
            },
        }
    )
    assert chat.id == "7390342853760696354"
    assert chat.status == "requires_action"
    assert (chat.usage.token_count, chat.usage.output_count, chat.usage.input_count) == (12, 0, 0)
    (call,) = chat.tool_calls
    assert (call.id, call.name) == ("1", "")
    assert Chat.model_validate({"status": "brand_new"}).status == "brand_new"


def test_a_message_with_odd_fields_is_read() -> None:
    message = CozeMessage.model_validate({"content": {"a": "你"}, "type": None, "id": 1})
    assert (message.content, message.type, message.id) == ('{"a":"你"}', "", "1")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"code": 4000, "msg": "m"}, 4000, "m"),
        ({"code": "720702204", "msg": "m"}, 720702204, "m"),
        ({"error_code": 4000, "error_message": "m"}, 4000, "m"),
        ({"error_code": "invalid_client", "error_message": "m"}, 0, "invalid_client: m"),
        ({"last_error": {"code": 5000, "msg": "m"}}, 5000, "m"),
    ],
)
def test_all_forms_of_a_failure_are_found(body: Any, code: int, message: str) -> None:
    failure = find_failure(body)
    assert failure is not None
    assert (failure.code, failure.message) == (code, message)
    assert ErrorReport.parse(body) == failure


@pytest.mark.parametrize(
    "body",
    [{"code": 0}, {"code": None}, {}, {"msg": "x"}, [], None, 7, {"last_error": {"code": 0}}],
)
def test_a_body_without_an_error_is_no_failure(body: Any) -> None:
    assert find_failure(body) is None


@pytest.mark.parametrize(
    "key", ["data", "message", "Messages", "ConversationData", "ChatV3ChatDetail"]
)
def test_the_payload_is_found_under_every_key(key: str) -> None:
    assert get_payload({"code": 0, "msg": "", key: {"id": "7"}}) == {"id": "7"}


def test_a_body_without_a_payload_gives_none() -> None:
    assert get_payload({"data": None}) is None
    assert get_payload([1]) is None
    assert parse_json(b"not json") is None
