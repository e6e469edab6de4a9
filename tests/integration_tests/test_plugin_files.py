"""Files as outputs of local plugins: uploaded, and submitted by id or link (wire 2.6)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool

from langchain_coze import CozeInvalidRequestError, create_coze_agent
from langchain_coze.local import ClientTool, LocalBot, LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
IMAGE = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}


def look(_: str) -> Any:
    output = yield ClientTool("take_photo", {"of": "tea"})
    yield f"Seen: {output}"


coze = serve(LocalBot(look, name="look"))


def answer_with(coze: LocalCoze, ask: CallStyle, content: Any, mode: Any = "stream") -> Any:
    bot = make_chat(coze, auto_save_history=True, response_mode=mode)
    question = HumanMessage("What do you see?")
    asked = ask(bot, [question])
    result = ToolMessage(content, tool_call_id=asked.tool_calls[0]["id"])
    return ask(bot, [question, asked, result])


def get_output(coze: LocalCoze) -> Any:
    (request,) = [r for r in coze.requests if r.path.endswith("submit_tool_outputs")]
    return json.loads(request.body["tool_outputs"][0]["output"])


def count_uploads(coze: LocalCoze) -> int:
    return [request.path for request in coze.requests].count("/v1/files/upload")


@pytest.mark.parametrize("ask", CALL_STYLES)
@pytest.mark.parametrize("mode", ["stream", "poll"])
def test_a_file_is_uploaded_and_submitted_by_its_id(
    coze: LocalCoze, ask: CallStyle, mode: Any
) -> None:
    file = {**IMAGE, "base64": base64.b64encode(PNG + ask.__name__.encode()).decode()}
    text = {"type": "text", "text": '{"city": "杭州"}'}
    answer = answer_with(coze, ask, [text, file], mode)
    output = get_output(coze)
    assert output.keys() == {"city", "image"}
    assert output["image"].isdecimal()
    assert json.loads(answer.text.removeprefix("Seen: ")) == output
    assert answer.tool_calls == []
    # Coze repeats the output; it belongs to no call of the server.
    assert [block["type"] for block in answer.content_blocks] == ["text"]


def test_links_ids_and_names_of_parameters(coze: LocalCoze) -> None:
    link = {"type": "image", "url": "https://example.com/x.png"}
    stored = {"type": "file", "file_id": "7369"}
    named = {"type": "image", "url": "https://example.com/y.png", "extras": {"parameter": "photo"}}
    answer_with(coze, CALL_STYLES[0], ["Two of them", link, stored, named])
    assert get_output(coze) == {
        "text": "Two of them",
        "image": "https://example.com/x.png",
        "file": "7369",
        "photo": "https://example.com/y.png",
    }
    assert count_uploads(coze) == 0


def test_results_without_files_are_unchanged(coze: LocalCoze) -> None:
    answer = answer_with(coze, CALL_STYLES[0], [{"type": "text", "text": "green"}])
    assert answer.text == "Seen: green"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([IMAGE, IMAGE], "Two files of a tool result are for the parameter 'image'"),
        ([{"type": "image", "base64": "VGVh"}], "not a known image format"),
        ([{"type": "file"}], "no link, no bytes and no file id"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused(coze: LocalCoze, content: Any, problem: str) -> None:
    with pytest.raises(CozeInvalidRequestError, match=problem):
        answer_with(coze, CALL_STYLES[0], content)
    assert [request.path for request in coze.requests] == ["/v3/chat"]


def test_an_agent_submits_the_photo_of_its_tool(coze: LocalCoze) -> None:
    @tool
    def take_photo(of: str) -> list[Any]:
        """Take a photo."""
        return [{"type": "text", "text": json.dumps({"of": of})}, IMAGE]

    agent = create_coze_agent(make_chat(coze), [take_photo], name="look")
    state = agent.invoke({"messages": [HumanMessage("What do you see?")]})
    assert get_output(coze)["of"] == "tea"
    assert state["messages"][-1].text.startswith("Seen: ")
