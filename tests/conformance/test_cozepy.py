"""The official Python SDK, unchanged, against the local server: more than the matrix asks."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from langchain_coze.local import (
    Ask,
    AskInput,
    ClientTool,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalOAuthApp,
    Pause,
    TokenUsage,
    Turn,
)
from tests.conformance.install import SDKS, python_of

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = Path(os.environ.get("COZE_CONFORMANCE_VENV") or ROOT / ".venv-conformance")
LONGEST_SCENE = 60  # seconds


def play(
    scene: str, coze: LocalCoze, bot: LocalBot | None = None, token: str = "", bot_id: str = ""
) -> Any:
    if problem := SDKS["cozepy"].why_not_ready(ENVIRONMENT):
        pytest.skip(problem)
    script = str(Path(__file__).with_name("cozepy_session.py"))
    bot_id = bot_id or (bot or coze.bots[0]).bot_id
    done = subprocess.run(
        [str(python_of(ENVIRONMENT)), script, scene, coze.base_url, token or coze.token, bot_id],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        timeout=LONGEST_SCENE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_stream_gives_recall_answer_and_usage() -> None:
    with LocalCoze() as coze:
        seen = play("stream", coze)
    assert seen["events"][:3] == [
        "conversation.chat.created",
        "conversation.chat.in_progress",
        "conversation.message.completed",
    ]
    assert seen["events"][-1] == "conversation.chat.completed"
    assert seen["events"].count("conversation.message.delta") > 5
    assert seen["answers"] == [seen["deltas"]]
    assert "4015" in seen["deltas"]
    first = seen["recall"]["chunks"][0]
    assert first["meta"]["document"]["name"] == "Publishing a bot to the API"
    assert 0 < first["score"] <= 1
    assert seen["recall"]["status_code"] == 0
    usage = seen["usage"]
    assert usage["token_count"] == usage["input_count"] + usage["output_count"] > 0
    assert len(seen["logid"]) == 34


@pytest.mark.parametrize(
    ("settings", "faults", "steps"),
    [
        ({"recalls": "each"}, "", 2),
        ({"on_demand": True}, "", 3),  # a call, its response, the recall
        ({}, "recall_late", 1),
    ],
)
def test_recalls_of_every_kind(settings: Any, faults: str, steps: int) -> None:
    bases = [LocalKnowledge([f"publish a bot, page {n}"], name=f"kb{n}") for n in range(2)]
    with LocalCoze(LocalBot(knowledge=bases, **settings), faults=faults) as coze:
        seen = play("stream", coze)
    assert seen["events"][2 : 2 + steps] == ["conversation.message.completed"] * steps
    assert seen["events"][2 + steps] == "conversation.message.delta"
    assert {c["meta"]["dataset"]["name"] for c in seen["recall"]["chunks"]} <= {"kb0", "kb1"}
    assert seen["answers"] == [seen["deltas"]]


def test_create_and_poll_lists_the_messages() -> None:
    with LocalCoze() as coze:
        seen = play("create_and_poll", coze)
        asked = [request.path for request in coze.requests]
    assert seen["status"] == "completed"
    assert seen["usage"]["token_count"] > 0
    assert seen["types"] == ["verbose", "answer", "verbose", "follow_up", "follow_up"]
    assert "4015" in seen["answers"][0]
    assert asked[0] == "/v3/chat"
    assert asked[-1] == "/v3/chat/message/list"


def test_a_chat_is_cancelled_once() -> None:
    async def slow(_question: str) -> Any:
        yield Pause(30)

    with LocalCoze(LocalBot(slow), stop_timeout=0) as coze:
        seen = play("cancel", coze)
    assert seen["status"] == seen["retrieved"] == "canceled"
    assert seen["again"] == {
        "code": 4104,
        "msg": "The chat cannot be cancelled in its present state",
        "logid": True,
    }


def test_conversation_keeps_its_messages() -> None:
    def count(_question: str, turn: Turn) -> str:
        return f"I know {len(turn.messages)} messages"

    with LocalCoze(LocalBot(count)) as coze:
        seen = play("conversation", coze)
    assert seen["same"] is True
    assert seen["meta_data"] == {"case": "42"}
    assert seen["answers"] == ["I know 1 messages", "I know 3 messages"]


@pytest.mark.parametrize("error_status", ["200", "real"])
def test_errors_have_their_codes_and_logids(error_status: str) -> None:
    hidden = LocalBot(name="hidden", published=False)
    with LocalCoze([LocalBot(), hidden], error_status=error_status) as coze:
        fine = play("errors", coze)
        unpublished = play("errors", coze, hidden)
        wrong_token = play("errors", coze, token="pat_wrong")
    assert fine["create"] is fine["stream"] is None
    assert fine["no_question"]["code"] == 4000
    assert fine["no_question"]["logid"] is True
    for kind in ("create", "stream"):
        assert unpublished[kind]["code"] == 4015
        assert wrong_token[kind]["code"] == 4101
        assert wrong_token[kind]["msg"].startswith("The token you entered is incorrect.")


def test_results_of_client_tools_reach_the_bot() -> None:
    def weather(_question: str) -> Any:
        degrees = yield ClientTool("get_weather", {"city": "Hangzhou"})
        yield f"It is {degrees} degrees."

    with LocalCoze(LocalBot(weather)) as coze:
        seen = play("tools", coze)
    assert seen["stopped"] == "conversation.chat.requires_action"
    assert seen["calls"] == [["get_weather", '{"city":"Hangzhou"}']]
    assert seen["same"] is True
    assert seen["told"][0] == "conversation.chat.in_progress"
    assert seen["told"][-1] == "conversation.chat.completed"
    assert seen["statuses"] == ["requires_action", "in_progress", "completed"]
    assert seen["answers"] == ["It is 33 degrees."]


def test_a_chatflow_asks_a_question_and_continues() -> None:
    def order(question: str) -> Any:
        city = yield Ask("Where to?")
        yield f"{question} to {city}"

    with LocalCoze(chatflows=order) as coze:
        ids = f"{coze.chatflows[0].workflow_id}/{coze.bots[0].bot_id}"
        seen = play("chatflow", coze, bot_id=ids)
    assert seen["answers"] == ["Where to?", "go to Hangzhou"]
    assert seen["events"][-1] == "conversation.chat.completed"
    assert seen["events"].count("conversation.chat.completed") == 1


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_workflows_run_and_fail_with_their_codes(profile: str) -> None:
    def locate(city: str) -> str:
        return f"{city} & 116.4°E"

    def fail() -> str:
        raise ValueError("no room")

    with LocalCoze(workflows=[locate, fail], profile=profile) as coze:
        ids = [workflow.workflow_id for workflow in coze.workflows]
        seen = play("workflow", coze, bot_id="/".join(ids))
    cloud = profile == "cloud"
    assert json.loads(seen["data"]) == {"output": "杭州 & 116.4°E"}
    assert f"&workflow_id={ids[0]}" in seen["debug_url"]
    assert (seen["usage"] is not None) == cloud
    assert seen["missing"]["code"] == 4000
    assert "parameters.city" in seen["missing"]["msg"]
    assert seen["failed"] == {"code": 720701013, "msg": "ValueError: no room", "logid": cloud}
    assert seen["unknown"]["code"] == (4200 if cloud else 720702004)


def test_a_streamed_workflow_asks_questions_and_continues() -> None:
    def book(city: str) -> Any:
        yield f"Looking in {city}"
        stay = yield AskInput({"nights": int})
        yield TokenUsage(50, 100)
        answer = yield Ask("Sure?", ["yes", "no"])
        return {"booked": answer, **stay}

    with LocalCoze(workflows=book) as coze:
        seen = play("workflow_stream", coze, bot_id=coze.workflows[0].workflow_id)
    message, interrupt = "Message", "Interrupt"
    assert seen["events"] == [
        *(message, message, message, interrupt),
        *(message, interrupt, message),
    ]
    assert seen["ids"] == [0, 1, 2, 3, 0, 1, 0]
    titles = [title for title, _ in seen["messages"]]
    assert titles == ["Message", "Message", "输入", "问答", "End"]
    assert json.loads(seen["messages"][-1][1]) == {"booked": "yes", "nights": 2}
    assert seen["usage"]["token_count"] == 150


@pytest.mark.parametrize("profile", ["cloud", "studio"])
def test_a_streamed_workflow_fails_with_an_error_event(profile: str) -> None:
    def fail(city: str) -> Any:
        raise ValueError(f"no room in {city}")

    with LocalCoze(workflows=fail, profile=profile) as coze:
        seen = play("workflow_stream", coze, bot_id=coze.workflows[0].workflow_id)
    assert seen["events"] == ["Error"]
    error = [720701013, "ValueError: no room in 杭州"]
    if profile == "cloud":
        error = [5000, "[720701013] ValueError: no room in 杭州"]
    assert seen["error"] == error


def test_a_workflow_is_polled_and_listed() -> None:
    def locate(city: str) -> str:
        """Find a city."""
        time.sleep(0.2)  # slow enough to be polled
        return f"{city} & 116.4°E"

    def other() -> None:
        raise NotImplementedError

    with LocalCoze(workflows=[locate, other]) as coze:
        seen = play("workflow_poll", coze, bot_id=coze.workflows[0].workflow_id)
    *status, output = seen["run"]
    assert status == ["Success", 2, 0]
    assert json.loads(json.loads(output)["Output"]) == {"output": "杭州 & 116.4°E"}
    assert seen["listed"] == ["locate", "other"]
    assert seen["info"] == ["locate", "Find a city."]
    assert seen["unknown"]["code"] == 4314


def test_an_uploaded_file_reaches_the_bot() -> None:
    def read(_question: str, turn: Turn) -> str:
        return ", ".join(f"{file.name}: {file.data.decode()}" for file in turn.files)

    with LocalCoze(LocalBot(read)) as coze:
        seen = play("files", coze)
    assert seen["file"] == [True, 19, "tea.txt"]
    assert seen["answers"] == ["tea.txt: Tea grows on hills."]
    assert seen["missing"]["code"] == 4000


def test_conversations_and_messages_are_created_listed_and_deleted() -> None:
    with LocalCoze() as coze:
        seen = play("resources", coze)
    assert seen["changed"] == [True, "changed"]
    assert seen["deleted"] == "two"
    assert seen["read"] == "three"
    assert seen["pages"] == ["three", "changed"]
    assert seen["ascending"] == ["changed", "three"]
    assert seen["section"] == [True, True]
    assert seen["conversations"] == ["2", "renamed"]
    assert seen["gone"]["code"] == 4002


def test_an_oauth_app_gets_a_token_for_each_session() -> None:
    app = LocalOAuthApp()
    with LocalCoze(oauth_apps=app) as coze:
        known = {
            "client_id": app.client_id,
            "private_key": app.private_key,
            "public_key_id": app.key_id,
            "bot_id": coze.bots[0].bot_id,
        }
        seen = play("oauth", coze, bot_id=json.dumps(known))
    assert seen["type"] == "Bearer"
    assert 50 < seen["left"] <= 61
    assert seen["me"] is seen["own"] is True
    assert seen["other"]["code"] == 4002
    assert "invalid jwt: kid not been registred" in seen["wrong"]["msg"]
