"""Faults as users write them, and cuts on a small stream that is written out by hand."""

from collections.abc import AsyncIterator

import pytest

from langchain_coze.local import FAULTS, Fault
from langchain_coze.local.faults.cuts import apply_cuts
from langchain_coze.local.faults.specs import read_faults

EVENTS = [
    b'event:conversation.chat.created\ndata:{"id":"1"}\n\n',
    'event:conversation.message.delta\ndata:{"type":"answer","content":"茶"}\n\n'.encode(),
    'event:conversation.message.delta\ndata:{"type":"answer","content":"叶"}\n\n'.encode(),
    b'event:conversation.chat.completed\ndata:{"status":"completed"}\n\n',
    b'event:done\ndata:"[DONE]"\n\n',
]
WHOLE = b"".join(EVENTS)


async def give(items: list[bytes]) -> AsyncIterator[bytes]:
    for item in items:
        yield item


async def read_with(fault: str, events: list[bytes] = EVENTS) -> bytes:
    return b"".join([chunk async for chunk in apply_cuts(read_faults(fault), give(events))])


def test_every_fault_is_described_and_they_are_few() -> None:
    assert set(FAULTS) == set(Fault)
    assert len(set(Fault) - {Fault.TIMES, Fault.ON}) <= 18


async def test_cuts_end_at_the_given_byte() -> None:
    assert await read_with("") == WHOLE
    assert await read_with("cut_at=100") == WHOLE[:100]
    assert await read_with("cut_at=1000000") == WHOLE
    mid_line = await read_with("cut_mid_line")
    assert WHOLE.startswith(mid_line)
    assert mid_line.count(b"message.delta") == 2
    assert not mid_line.endswith(b"\n")
    assert not (await read_with("cut_mid_line", [EVENTS[0], *EVENTS[3:]])).endswith(b"\n")
    assert await read_with("cut_mid_line", [b'{"code":0,"msg":""}']) == b'{"code":0,"m'


@pytest.mark.parametrize(
    "text",
    [
        *("no_such", "cut_at", "cut_at=x", "close=3", "error=-1", "cut_mid_line,typo"),
        *("crlf", "recall_split", "recall_late=soon"),
    ],
)
def test_invalid_faults_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        read_faults(text)


def test_faults_have_a_path_and_a_count() -> None:
    plan = read_faults(["error=4009", "times=2, on=/v3/chat/retrieve"])
    assert plan.times == 2
    assert plan.applies_to("/v3/chat/retrieve")
    assert not plan.applies_to("/v3/chat")
    assert read_faults("close").applies_to("/v3/chat")
    assert read_faults("close,on=*").applies_to("/v1/bots")


@pytest.mark.parametrize("fault", ["error=1.5", "times=0.5", "cut_at=1.5", "idle=x", "failed=-1"])
def test_numbers_of_faults_are_checked_at_once(fault: str) -> None:
    with pytest.raises(ValueError, match="number"):
        read_faults(fault)
    assert read_faults("idle=0.5").values
