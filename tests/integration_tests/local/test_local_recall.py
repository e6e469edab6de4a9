"""Recalls of the local server on raw bytes: several bases, late ones, and the empty ones."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.documents import Document

from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, RecalledChunk
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import CloudProfile, MessageIds
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.recall import build_chunk
from tests.integration_tests.local.local_client import LocalClient, events, user
from tests.integration_tests.local.polling import wait_for_chat

# The sample line of wire 3.1, word for word.
WIRE_EVENT = rb"""event:conversation.message.completed
data:{"id":"7516861350000000001","conversation_id":"7516861345346813988","bot_id":"7497178257633607721","role":"assistant","type":"verbose","content":"{\"msg_type\":\"knowledge_recall\",\"data\":\"{\\\"chunks\\\":[{\\\"slice\\\":\\\"text\\\",\\\"score\\\":0.50244140625,\\\"meta\\\":{\\\"dataset\\\":{\\\"id\\\":\\\"7611703448279351315\\\",\\\"name\\\":\\\"kb\\\"},\\\"document\\\":{\\\"id\\\":\\\"7611709418610606118\\\",\\\"name\\\":\\\"doc\\\",\\\"format_type\\\":0,\\\"source_type\\\":2},\\\"link\\\":{\\\"title\\\":\\\"kb_doc\\\",\\\"url\\\":\\\"https://h/p?a=1\\\\u0026b=2\\\"},\\\"card\\\":{\\\"title\\\":\\\"kb\\\",\\\"con\\\":\\\"text\\\",\\\"index\\\":\\\"1\\\"}}}],\\\"ori_req\\\":\\\"\\\",\\\"status_code\\\":0}\",\"from_module\":null,\"from_unit\":null}","content_type":"text","chat_id":"7516861354884710427","section_id":"7516861345346813988","created_at":1750155669,"updated_at":1750155669}

"""

PAGE = Document(
    "green tea",
    metadata={
        "title": "doc",
        "source": "https://h/p?a=1&b=2",
        "document_id": "7611709418610606118",
        "source_type": 2,
    },
)
TEAS = LocalKnowledge(
    [PAGE, "green tea from the hills"], name="kb", dataset_id="7611703448279351315"
)
PAINTS = LocalKnowledge(["green paint"], name="paints")
SLOW = LocalKnowledge(["green slow paint"], name="slow", delay=0.3)

Told = tuple[str, str, Any]


def told(client: LocalClient, bot: LocalBot, **changes: Any) -> list[Told]:
    """Event, message type and content (a recall's payload) of each message up to the answer."""
    found: list[Told] = []
    for name, data in events(client.chat(bot_id=bot.bot_id, **changes))[2:]:
        if data["type"] == "answer":
            break
        content = json.loads(data["content"])
        is_recall = content.get("msg_type") == "knowledge_recall"
        shown = json.loads(content["data"]) if is_recall else content
        found.append((name.rpartition(".")[2], data["type"], shown))
    return found


def names(payload: Any) -> list[str]:
    return [chunk["meta"]["dataset"]["name"] for chunk in payload["chunks"]]


@pytest.fixture(scope="module")
def bots() -> dict[str, LocalBot]:
    both: Any = [TEAS, PAINTS]
    made = [
        LocalBot(lambda _: "x", name="one", knowledge=both),
        LocalBot(lambda _: "x", name="each", knowledge=[TEAS, SLOW], recalls="each"),
        LocalBot(lambda _: "x", name="on demand", knowledge=both, on_demand=True),
        LocalBot(lambda _: "x", name="late", knowledge=SLOW),
        LocalBot(lambda _: "x", name="none"),
    ]
    return {bot.name: bot for bot in made}


@pytest.fixture(scope="module")
def client(bots: dict[str, LocalBot]) -> Iterator[LocalClient]:
    with LocalCoze(list(bots.values())) as coze, LocalClient(coze) as made:
        yield made


@pytest.fixture(scope="module")
def studio(bots: dict[str, LocalBot]) -> Iterator[LocalClient]:
    with LocalCoze(list(bots.values()), profile="studio") as coze, LocalClient(coze) as made:
        yield made


def ask(text: str) -> dict[str, Any]:
    return {"additional_messages": [user(text)]}


def test_a_recall_is_the_line_of_the_reference() -> None:
    profile, stamps = CloudProfile(), {"created_at": 1750155669, "updated_at": 1750155669}
    ids = MessageIds(
        "7516861345346813988", "7497178257633607721", "7516861354884710427", "7516861345346813988"
    )
    found = RecalledChunk(
        *("text", 0.50244140625, "7611709418610606118", "doc", "https://h/p?a=1&b=2", 1),
        *("7611703448279351315", "kb", 0, 2),
    )
    payload = {"chunks": [build_chunk(found)], "ori_req": "", "status_code": 0}
    content = profile.build_verbose_content("knowledge_recall", go_json.dumps(payload))
    message = profile.build_message(
        ids, "7516861350000000001", {"type": "verbose", "content": content, **stamps}
    )
    event = SseEvent("conversation.message.completed", go_json.dumps(message))
    assert profile.create_encoder()(event) == WIRE_EVENT


def test_a_served_recall_has_the_bytes_of_the_reference(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    body = client.chat(bot_id=bots["one"].bot_id, **ask("green tea")).content
    line = next(line for line in body.split(b"\n") if b"knowledge_recall" in line)
    start = WIRE_EVENT.index(rb"\"meta") - 2
    meta = WIRE_EVENT[start : WIRE_EVENT.index(b"}}}]") + 2]
    assert meta.replace(b'"text\\', b'"green tea\\') in line
    assert b"&" not in body
    score = json.loads(json.loads(json.loads(line[5:])["content"])["data"])["chunks"][0]["score"]
    assert 0 < score <= 1


def test_several_bases_are_recalled_in_one_message(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    ((event, kind, payload),) = told(client, bots["one"], **ask("green tea"))
    assert (event, kind) == ("completed", "verbose")
    assert sorted(names(payload)) == ["kb", "kb", "paints"]
    scores = [chunk["score"] for chunk in payload["chunks"]]
    assert scores == sorted(scores, reverse=True)
    ids = {chunk["meta"]["dataset"]["id"] for chunk in payload["chunks"]}
    assert ids == {TEAS.dataset_id, PAINTS.dataset_id}


def test_a_message_for_each_base_when_it_is_ready(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    body = client.body(bot_id=bots["each"].bot_id, **ask("green"))
    with client.http.stream("POST", "/v3/chat", json=body) as response:
        lines = ((time.monotonic(), line) for line in response.iter_lines())
        came = [(at, json.loads(line[5:])) for at, line in lines if "knowledge_recall" in line]
    payloads = [json.loads(json.loads(data["content"])["data"]) for _, data in came]
    assert [names(payload) for payload in payloads] == [["kb", "kb"], ["slow"]]
    assert came[1][0] - came[0][0] > 0.25
    agents = [json.loads(p["ori_req"])["scene_context"]["agent_id"] for p in payloads]
    assert len({*agents, int(bots["each"].bot_id)}) == 3


def test_a_late_recall_leaves_the_server_free(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    body = client.body(bot_id=bots["late"].bot_id, **ask("green"))
    with client.http.stream("POST", "/v3/chat", json=body) as response:
        lines = response.iter_lines()
        assert any("in_progress" in line for line in lines)
        start = time.monotonic()
        assert client.get("/v1/users/me")["code"] == 0
        assert time.monotonic() - start < 0.2
        assert any("knowledge_recall" in line for line in lines)
    assert time.monotonic() - start > 0.2


def test_on_demand_the_model_calls_for_the_search(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    call, response, recall = told(client, bots["on demand"], **ask("green paint"))
    assert [step[1] for step in (call, response, recall)] == [
        *("function_call", "tool_response", "verbose")
    ]
    assert call[2]["arguments"] == {"query": "green paint"}
    assert response[2]["response_for_model"].startswith("green paint")
    assert names(recall[2])[0] == "paints"


def test_on_demand_nothing_found_is_no_recall(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    steps = told(client, bots["on demand"], **ask("coffee"))
    assert [kind for _, kind, _ in steps] == ["function_call", "tool_response"]


def test_studio_recalls_on_demand_after_a_tool_call(
    studio: LocalClient, bots: dict[str, LocalBot]
) -> None:
    stream = studio.chat(bot_id=bots["on demand"].bot_id, **ask("green paint"))
    kinds = [data["type"] for _, data in events_of(stream.content)[2:-1]]
    assert kinds[:4] == ["function_call", "tool_response", "knowledge", "answer"]


def events_of(content: bytes) -> list[tuple[str, Any]]:
    """The events of a stream of Studio without its end marker, whose data is empty."""
    blocks = content.decode().split("\n\n")[:-2]
    pairs = [block.removeprefix("event:").split("\ndata:") for block in blocks]
    return [(name, json.loads(data)) for name, data in pairs]


def test_an_empty_recall_is_still_sent(client: LocalClient, bots: dict[str, LocalBot]) -> None:
    ((_, _, payload),) = told(client, bots["one"], **ask("coffee"))
    assert (payload["chunks"], payload["status_code"]) == ([], 0)
    assert told(client, bots["none"], **ask("green")) == []


def test_recall_faults_change_the_sent_recall(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    def content(fault: str) -> Any:
        response = client.chat(fault=fault, bot_id=bots["one"].bot_id, **ask("green tea"))
        return [data["content"] for _, data in events(response)[2:4] if data["type"] != "answer"]

    (empty,) = content("recall_empty")
    assert json.loads(empty)["data"].startswith('{"chunks":[],')
    (failed,) = content("recall_failed")
    assert json.loads(failed)["data"].endswith(r',"status_code":708882003}')
    assert content("recall_missing") == []


def test_recalls_of_a_polled_chat_are_listed(
    client: LocalClient, bots: dict[str, LocalBot]
) -> None:
    created = client.created(bot_id=bots["each"].bot_id, **ask("green"))
    ids = {"conversation_id": created["conversation_id"], "chat_id": created["id"]}
    assert wait_for_chat(client, created)["data"]["status"] == "completed"
    listed = client.get("/v3/chat/message/list", **ids)["data"]
    assert sum("knowledge_recall" in message["content"] for message in listed) == 2
