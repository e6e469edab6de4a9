"""Fault transforms on a small stream that is written out by hand."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_coze.local import FAULTS, Fault
from langchain_coze.local.fault_specs import read_faults
from langchain_coze.local.faults import BYTE_FAULTS, EVENT_FAULTS, event_faults, with_byte_faults
from langchain_coze.local.profiles import CloudProfile, Event

CHAT = {"id": "1", "conversation_id": "2", "bot_id": "3", "created_at": 9, "last_error": None}
CHAT |= {"status": "in_progress", "usage": {}, "section_id": "2"}
RECALL = {"chunks": [{"slice": "a"}, {"slice": "b"}], "ori_req": "", "status_code": 0}
CONTENT = {"msg_type": "knowledge_recall", "data": json.dumps(RECALL)}
EVENTS = [
    Event("conversation.chat.created", json.dumps(CHAT)),
    Event("conversation.chat.in_progress", json.dumps(CHAT)),
    Event("conversation.message.completed", json.dumps({"content": json.dumps(CONTENT)})),
    Event("conversation.message.delta", '{"type":"answer","content":"茶"}'),
    Event("conversation.message.delta", '{"type":"answer","content":"叶"}'),
    Event("conversation.message.completed", '{"type":"answer","content":"茶叶"}'),
    Event("conversation.chat.completed", '{"status":"completed"}'),
    Event("done", '"[DONE]"'),
]
ENCODE = CloudProfile().encoder()
WHOLE = b"".join(ENCODE(event) for event in EVENTS)


async def given(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def events_with(fault: str) -> list[Event]:
    return [event async for event in event_faults(read_faults(fault), given(EVENTS))]


async def bytes_with(fault: str) -> list[bytes]:
    encoded = [ENCODE(event) for event in EVENTS]
    return [chunk async for chunk in with_byte_faults(read_faults(fault), given(encoded))]


async def recalls_with(fault: str) -> list[Any]:
    contents = [json.loads(e.data).get("content", "") for e in (await events_with(fault))[:-1]]
    return [json.loads(json.loads(c)["data"]) for c in contents if "knowledge_recall" in c]


def test_every_fault_is_described_and_done_by_someone() -> None:
    assert set(FAULTS) == set(Fault)
    elsewhere = set(Fault) - EVENT_FAULTS.keys() - BYTE_FAULTS.keys()
    assert elsewhere == {
        *("error", "http_502", "http_429", "close", "empty_body", "slow_start"),
        *("cut_hard", "cut_reset", "times", "on"),
    }


async def test_no_fault_changes_nothing() -> None:
    assert b"".join(await bytes_with("")) == WHOLE
    assert await events_with("") == EVENTS


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        ("failed", ["conversation.chat.failed"]),
        ("failed_then_done", ["conversation.chat.failed", "done"]),
        ("failed_bare", ["conversation.chat.failed"]),
        ("error_event", ["error"]),
        ("error_event_empty", ["error"]),
    ],
)
async def test_faults_that_end_the_turn(fault: str, names: list[str]) -> None:
    events = await events_with(fault)
    assert events[:3] == EVENTS[:3]
    assert [event.name for event in events[3:]] == names


async def test_failed_carries_the_code() -> None:
    failed = json.loads((await events_with("failed=4014"))[3].data)
    assert (failed["status"], failed["last_error"]["code"], failed["failed_at"]) == (
        *("failed", 4014),
        9,
    )
    assert json.loads((await events_with("failed_bare"))[3].data) == {
        "code": 701231,
        "msg": "error",
    }
    assert json.loads((await events_with("error_event=4011"))[3].data)["code"] == 4011
    assert (await events_with("error_event_empty"))[3].data == "{}"


@pytest.mark.parametrize(
    ("fault", "missing"),
    [
        ("no_deltas", EVENTS[3:5]),
        ("no_done", EVENTS[7:]),
        ("no_terminal", EVENTS[6:]),
        ("recall_missing", EVENTS[2:3]),
    ],
)
async def test_faults_that_leave_events_out(fault: str, missing: list[Event]) -> None:
    assert await events_with(fault) == [event for event in EVENTS if event not in missing]


@pytest.mark.parametrize(
    ("fault", "name", "needle"),
    [
        ("unknown_event", "conversation.local.unknown", '"id":"1"'),
        ("unknown_type", "conversation.message.completed", '"type":"local_unknown"'),
        ("unknown_msg_type", "conversation.message.completed", 'msg_type\\":\\"local_unknown'),
        ("plain_verbose", "conversation.message.completed", '"content":"empty result"'),
    ],
)
async def test_faults_that_insert_an_event(fault: str, name: str, needle: str) -> None:
    events = await events_with(fault)
    assert events[:3] + events[4:] == EVENTS
    assert events[3].name == name
    assert needle in events[3].data


async def test_unknown_status_and_duplicates() -> None:
    assert json.loads((await events_with("unknown_status"))[1].data)["status"] == "local_unknown"
    doubled = await events_with("duplicate_completed")
    assert [doubled.count(event) for event in EVENTS] == [1, 1, 2, 1, 1, 2, 1, 1]


async def test_recall_faults() -> None:
    assert await recalls_with("recall_empty") == [RECALL | {"chunks": []}]
    assert await recalls_with("recall_null") == [RECALL | {"chunks": None}]
    assert await recalls_with("recall_failed") == [
        {"chunks": [], "ori_req": "", "status_code": 708882003}
    ]
    assert [r["chunks"] for r in await recalls_with("recall_split")] == [
        [{"slice": "a"}],
        [{"slice": "b"}],
    ]
    (broken,) = await recalls_with("recall_broken")
    assert broken["chunks"][0]["slice"] is None
    assert broken["chunks"][1] == {"slice": "b"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("crlf", WHOLE.replace(b"\n", b"\r\n")),
        ("bom", b"\xef\xbb\xbf" + WHOLE),
        ("space", WHOLE.replace(b"event:", b"event: ").replace(b"data:", b"data: ")),
        ("split_data", WHOLE.replace(b'data:{"', b'data:{\ndata:"')),
        ("comments", WHOLE.replace(b"event:", b": still here\n:\nevent:")),
        ("ping", WHOLE.replace(b"event:", b"event:PING\ndata:{}\n\nevent:")),
        ("ping_no_data", WHOLE.replace(b"event:", b"event:PING\n\nevent:")),
        ("json_line", b'{"code":4100,"msg":"authentication is invalid"}'),
        ("cut_at=100", WHOLE[:100]),
        ("cut_at=1000000", WHOLE),
        ("one_chunk", WHOLE),
        ("one_byte", WHOLE),
        ("bom,crlf", b"\xef\xbb\xbf" + WHOLE.replace(b"\n", b"\r\n")),
    ],
)
async def test_byte_faults(fault: str, expected: bytes) -> None:
    assert b"".join(await bytes_with(fault)) == expected


async def test_chunking() -> None:
    assert await bytes_with("one_chunk") == [WHOLE]
    assert {len(chunk) for chunk in await bytes_with("one_byte")} == {1}


async def test_cuts_end_where_they_say() -> None:
    mid_line = b"".join(await bytes_with("cut_mid_line"))
    assert WHOLE.startswith(mid_line)
    assert mid_line.count(b"message.delta") == 2
    assert not mid_line.endswith(b"\n")
    mid_character = b"".join(await bytes_with("cut_utf8"))
    assert WHOLE.startswith(mid_character)
    with pytest.raises(UnicodeDecodeError):
        mid_character.decode()


@pytest.mark.parametrize(
    "text", ["no_such", "cut_at", "cut_at=x", "crlf=3", "error=-1", "cut_mid_line,typo"]
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        read_faults(text)


def test_plans_say_where_and_how_often() -> None:
    plan = read_faults(["error=4009", "times=2, on=/v3/chat/retrieve"])
    assert plan.times == 2
    assert plan.hits("/v3/chat/retrieve")
    assert not plan.hits("/v3/chat")
    assert read_faults("crlf").hits("/v3/chat")
    assert read_faults("crlf,on=*").hits("/v1/bots")
