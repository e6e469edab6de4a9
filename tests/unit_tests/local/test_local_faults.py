"""Fault transforms on a small stream that is written out by hand."""

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_coze.local import FAULTS, Fault
from langchain_coze.local.faults.specs import read_faults
from langchain_coze.local.faults.stream import (
    BYTE_FAULTS,
    EVENT_FAULTS,
    apply_byte_faults,
    apply_event_faults,
)
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import CloudProfile
from langchain_coze.local.wire.events import SseEvent

CHAT = {"id": "1", "conversation_id": "2", "bot_id": "3", "created_at": 9, "last_error": None}
CHAT |= {"status": "in_progress", "usage": {}, "section_id": "2"}
RECALL = {"chunks": [{"slice": "a"}, {"slice": "b"}], "ori_req": "", "status_code": 0}
CONTENT = {"msg_type": "knowledge_recall", "data": go_json.dumps(RECALL)}
EVENTS = [
    SseEvent("conversation.chat.created", json.dumps(CHAT)),
    SseEvent("conversation.chat.in_progress", json.dumps(CHAT)),
    SseEvent(
        "conversation.message.completed",
        json.dumps({"type": "verbose", "content": json.dumps(CONTENT)}),
    ),
    SseEvent("conversation.message.delta", '{"type":"answer","content":"茶"}'),
    SseEvent("conversation.message.delta", '{"type":"answer","content":"叶"}'),
    SseEvent("conversation.message.completed", '{"type":"answer","content":"茶叶"}'),
    SseEvent("conversation.chat.completed", '{"status":"completed"}'),
    SseEvent("done", '"[DONE]"'),
]
ENCODE = CloudProfile().create_encoder()
WHOLE = b"".join(ENCODE(event) for event in EVENTS)


async def given(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def events_with(fault: str) -> list[SseEvent]:
    return [event async for event in apply_event_faults(read_faults(fault), given(EVENTS))]


async def bytes_with(fault: str) -> list[bytes]:
    encoded = [ENCODE(event) for event in EVENTS]
    return [chunk async for chunk in apply_byte_faults(read_faults(fault), given(encoded))]


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
async def test_faults_that_leave_events_out(fault: str, missing: list[SseEvent]) -> None:
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


async def test_unknown_statuses_and_duplicates_are_inserted() -> None:
    assert json.loads((await events_with("unknown_status"))[1].data)["status"] == "local_unknown"
    doubled = await events_with("duplicate_completed")
    assert [doubled.count(event) for event in EVENTS] == [1, 1, 2, 1, 1, 2, 1, 1]


async def test_a_second_answer_comes_once() -> None:
    told = [e async for e in apply_event_faults(read_faults("two_answers"), given(EVENTS + EVENTS))]
    extra = [event for event in told if event not in EVENTS]
    assert [e.name.rpartition(".")[2] for e in extra] == ["delta", "completed"]
    assert told.index(extra[0]) == EVENTS.index(EVENTS[5]) + 1
    assert len(told) == 2 * len(EVENTS) + 2


async def test_recall_faults_change_the_chunks() -> None:
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
    bad, good = await recalls_with("recall_split,recall_broken")
    assert bad["chunks"][0]["slice"] is None
    assert good["chunks"] == [{"slice": "b"}]


async def recall_content(fault: str) -> tuple[str, str]:
    message = json.loads((await events_with(fault))[2].data)
    return message["type"], message["content"]


async def test_recall_variants_have_their_forms() -> None:
    assert await recall_content("recall_variant") == (
        "knowledge",
        "---\nrecall slice 1:a\n---\nrecall slice 2:b\n",
    )
    kind, flat = await recall_content("recall_variant=flat")
    assert (kind, json.loads(flat)) == (
        "verbose",
        {"verbose_type": "knowledge", "chunks": RECALL["chunks"]},
    )
    _, whole = await recall_content("recall_variant=object")
    assert json.loads(whole)["data"] == RECALL


async def test_a_cut_recall_is_cut_inside_its_last_chunk_only() -> None:
    _, content = await recall_content("recall_cut")
    assert json.loads(content)["data"] == '{"chunks":[{"slice":"a"},{"slice":"b'
    _, flat = await recall_content("recall_variant=flat,recall_cut")
    assert flat == '{"verbose_type":"knowledge","chunks":[{"slice":"a"},{"slice":"b'
    _, empty = await recall_content("recall_empty,recall_cut")
    whole = '{"chunks":[],"ori_req":"","status_code":0}'
    assert json.loads(empty)["data"] == whole[: len(whole) // 2]


@pytest.mark.parametrize("fault", ["recall_late=0.2", "recall_split=0.2"])
async def test_recall_faults_that_take_time(fault: str) -> None:
    start = time.monotonic()
    told = apply_event_faults(read_faults(fault), given(EVENTS))
    came = [(time.monotonic() - start, event.data) async for event in told]
    before = [at for at, data in came if "slice" not in data and '"answer"' not in data][:2]
    recalls = [at for at, data in came if "slice" in data]
    waits = {"recall_late": [0.2], "recall_split": [0, 0.2]}[fault.partition("=")[0]]
    assert max(before) < 0.1
    assert len(recalls) == len(waits)
    assert all(wait <= at < wait + 0.15 for at, wait in zip(recalls, waits, strict=True))


@pytest.mark.parametrize("fault", [f.value for f in Fault if f.value.startswith("recall_")])
async def test_what_is_no_recall_stays_as_it_is(fault: str) -> None:
    told = [
        {"type": "answer", "content": "look for knowledge_recall"},
        {"type": "answer", "content": json.dumps(CONTENT)},
        {"type": "verbose", "content": "knowledge_recall"},
        {"type": "verbose", "content": '"knowledge_recall"'},
    ]
    others = [SseEvent("conversation.message.completed", json.dumps(data)) for data in told]
    assert [e async for e in apply_event_faults(read_faults(fault), given(others))] == others


@pytest.mark.parametrize("fault", [f.value for f in Fault if f.value.startswith("recall_")])
async def test_a_recall_that_found_nothing_bears_every_fault(fault: str) -> None:
    for chunks in ("[]", "null"):
        payload = f'{{"chunks":{chunks},"ori_req":"","status_code":0}}'
        content = json.dumps({"msg_type": "knowledge_recall", "data": payload})
        data = json.dumps({"type": "knowledge", "content": content})
        nothing = SseEvent("conversation.message.completed", data)
        found = [e async for e in apply_event_faults(read_faults(fault), given([nothing]))]
        assert len(found) == (0 if fault == "recall_missing" else 1)


async def test_a_failed_recall_has_no_chunks_as_its_installation_writes_that() -> None:
    content = json.dumps(CONTENT)
    data = json.dumps({"type": "knowledge", "content": content})
    event = SseEvent("conversation.message.completed", data)
    (failed,) = [e async for e in apply_event_faults(read_faults("recall_failed"), given([event]))]
    assert json.loads(json.loads(json.loads(failed.data)["content"])["data"])["chunks"] is None


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
async def test_byte_faults_change_the_bytes(fault: str, expected: bytes) -> None:
    assert b"".join(await bytes_with(fault)) == expected


async def test_chunk_faults_change_the_chunks_of_a_body() -> None:
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
    "text",
    [
        *("no_such", "cut_at", "cut_at=x", "crlf=3", "error=-1", "cut_mid_line,typo"),
        *("recall_variant=c", "recall_variant=1", "recall_late=soon"),
    ],
)
def test_invalid_faults_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        read_faults(text)


def test_plans_say_where_and_how_often() -> None:
    plan = read_faults(["error=4009", "times=2, on=/v3/chat/retrieve"])
    assert plan.times == 2
    assert plan.applies_to("/v3/chat/retrieve")
    assert not plan.applies_to("/v3/chat")
    assert read_faults("crlf").applies_to("/v3/chat")
    assert read_faults("crlf,on=*").applies_to("/v1/bots")


@pytest.mark.parametrize("fault", ["error=1.5", "times=0.5", "cut_at=1.5", "idle=x", "failed=-1"])
def test_numbers_of_faults_are_checked_at_once(fault: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_faults(fault)
    assert read_faults("idle=0.5").values
