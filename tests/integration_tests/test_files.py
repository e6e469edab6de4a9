"""Images, files and audio, to the bot and from it; over sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.prompt_values import ChatPromptValue

from langchain_coze import ChatCoze, CozeError, CozeInvalidRequestError
from langchain_coze.local import LocalBot, LocalCoze, Media, Speech, Turn
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.scripted_server import serve_script

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
IMAGE, FILE = {"type": "image"}, {"type": "file"}
TEXT = base64.b64encode(PNG).decode()


def look(_: str, turn: Turn) -> str:
    return json.dumps([[file.kind, file.url, len(file.data)] for file in turn.files])


def show(_: str) -> Iterator[Any]:
    yield "Look: "
    yield Media(
        [
            {"type": "text", "text": "a leaf"},
            {"type": "image", "file_url": "https://h/leaf.png?a=1&b=2"},
        ]
    )
    yield Speech(b"\1\2\3")
    yield Speech(b"\4\5")


LOOK, SHOW = LocalBot(look, name="look"), LocalBot(show, name="show")

coze = serve([LOOK, SHOW], scope="function")


def make_question(*blocks: dict[str, Any], text: str = "What is it?") -> list[HumanMessage]:
    return [HumanMessage([{"type": "text", "text": text}, *blocks])]


def list_paths(coze: LocalCoze) -> list[str]:
    return [request.path for request in coze.requests]


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_bytes_are_uploaded_and_links_passed_on(coze: LocalCoze, ask: CallStyle, mode: str) -> None:
    image, link = {**IMAGE, "base64": TEXT}, {"type": "image", "url": "https://h/a.png"}
    files = ask(make_chat(coze, response_mode=mode), make_question(image, link)).text
    assert json.loads(files) == [["image", "", len(PNG)], ["image", "https://h/a.png", 0]]
    upload, chat = coze.requests[:2]
    assert (upload.method, upload.path, chat.path) == ("POST", "/v1/files/upload", "/v3/chat")
    assert upload.headers["content-type"].startswith("multipart/form-data; boundary=")
    (entry,) = chat.body["additional_messages"]
    text, stored, linked = json.loads(entry["content"])
    assert entry["content_type"] == "object_string"
    assert text == {"type": "text", "text": "What is it?"}
    assert stored.keys() == {"type", "file_id"}
    assert linked == {"type": "image", "file_url": "https://h/a.png"}


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_the_same_bytes_are_uploaded_once(coze: LocalCoze, ask: CallStyle) -> None:
    model = make_chat(coze)
    image = {**IMAGE, "base64": PNG}
    as_openai = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{TEXT}"}}
    for blocks in ((image, image), (as_openai,), (image,)):
        ask(model, make_question(*blocks))
    assert list_paths(coze) == ["/v1/files/upload", "/v3/chat", "/v3/chat", "/v3/chat"]
    ask(make_chat(coze), make_question({**IMAGE, "base64": PNG + b"more"}))
    assert list_paths(coze).count("/v1/files/upload") == 2


def test_many_at_once_upload_once(coze: LocalCoze) -> None:
    model, question = make_chat(coze), make_question({**IMAGE, "base64": PNG})
    model.batch([question] * 10)
    asyncio.run(model.abatch([question] * 10))
    assert list_paths(coze).count("/v1/files/upload") == 1
    assert list_paths(coze).count("/v3/chat") == 20


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_unsupported_files_are_refused_before_any_request(coze: LocalCoze, ask: CallStyle) -> None:
    for block, message in (
        ({**IMAGE, "base64": base64.b64encode(b"Hello").decode()}, "not a known image format"),
        ({**FILE, "base64": b""}, "empty"),
        ({**FILE, "base64": bytes(513 * 1024**2)}, "at most 512 MB"),
        ({"type": "tool_use", "id": "1"}, "does not accept"),
    ):
        with pytest.raises(CozeInvalidRequestError, match=message):
            ask(make_chat(coze), make_question(block))
    assert list_paths(coze) == []


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_refused_upload_is_an_error_and_repeated_by_the_next_call(
    coze: LocalCoze, ask: CallStyle
) -> None:
    coze.faults = "error=4303,times=1,on=/v1/files/upload"
    question = make_question({**FILE, "base64": b"x", "filename": "x.exe"})
    with pytest.raises(CozeInvalidRequestError, match="code 4303") as caught:
        ask(make_chat(coze), question)
    assert "Upload exactly one file" in str(caught.value)
    assert ask(make_chat(coze), question).content == '[["file", "", 1]]'
    assert list_paths(coze) == ["/v1/files/upload", "/v1/files/upload", "/v3/chat"]


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_bytes_are_traced_as_base64(coze: LocalCoze, ask: CallStyle) -> None:
    class TraceRecorder(BaseCallbackHandler):
        traced: ClassVar[list[str]] = []

        def on_chat_model_start(self, serialized: Any, messages: Any, **_: Any) -> None:
            del serialized
            self.traced.append(json.dumps(messages[0][0].content, default=repr))

    typed = {"type": "image", "base64": TEXT, "mime_type": "image/png"}
    question = make_question({"type": "image", "base64": PNG}, typed)
    for model_input in (question, ChatPromptValue(messages=question)):
        ask(make_chat(coze), model_input, config={"callbacks": [TraceRecorder()]})
    assert len(TraceRecorder.traced) == 2
    for traced in TraceRecorder.traced:
        assert traced.count(f"data:image/png;base64,{TEXT}") == 2
    assert question[0].content[1]["base64"] == PNG  # type: ignore[index] # a block; unchanged


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_unknown_file_id_is_an_error(coze: LocalCoze, ask: CallStyle) -> None:
    with pytest.raises(CozeError, match="code 4000"):
        ask(make_chat(coze), make_question({"type": "image", "file_id": "77"}))


@pytest.mark.parametrize("mode", ["stream", "poll"])
@pytest.mark.parametrize("ask", CALL_STYLES)
def test_files_and_speech_of_an_answer_are_blocks(
    coze: LocalCoze, ask: CallStyle, mode: str
) -> None:
    model = make_chat(coze, SHOW, response_mode=mode)
    answer = ask(model, "Show me")
    assert answer.content == "Look: \n\na leaf"
    kinds = [block["type"] for block in answer.content_blocks]
    sound = ["audio"] if mode == "stream" else []  # a list of messages has none (wire 2.4)
    assert kinds == ["text", "text", "image", *sound]
    assert answer.content_blocks[2] == {"type": "image", "url": "https://h/leaf.png?a=1&b=2"}
    if sound:
        assert answer.content_blocks[3] == {
            "type": "audio",
            "base64": base64.b64encode(b"\1\2\3\4\5").decode(),
            "mime_type": "audio/pcm",
        }


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_a_name_that_coze_rejects_is_explained(ask: CallStyle) -> None:
    # wire section 5.3
    body = (
        b'{"code":4000,"msg":"The parameter file content or filename is invalid. It should follow '
        b"the format: the file extension matches the file content and file content is common doc, "
        b'common image, csv. Please review your input.","detail":{"logid":"20250102"}}'
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    replies = {"/v1/files/upload": [head % len(body) + body]}
    block = {"type": "file", "base64": b"\0\1\2", "filename": "data.xyz"}
    with serve_script(raw_replies=replies) as server:
        model = ChatCoze(bot_id="7", api_key="t", base_url=server.base_url)
        with pytest.raises(CozeInvalidRequestError, match=r"'data\.xyz'") as caught:
            ask(model, [HumanMessage(["Read it.", block])])
    assert caught.value.code == 4000
    assert "extension of the name matches the content" in str(caught.value)
    assert not caught.value.may_have_started


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_an_image_without_a_mime_type_can_be_sent_in_each_form(
    coze: LocalCoze, ask: CallStyle
) -> None:
    content: list[Any] = ["Look.", {"type": "image", "base64": TEXT}]
    forms: list[Any] = [
        [HumanMessage(content)],
        [("user", content)],
        [{"role": "user", "content": content}],
        ChatPromptValue(messages=[HumanMessage(content)]),
    ]
    for form in forms:
        assert json.loads(ask(make_chat(coze), form).text.partition("\n")[0])


@pytest.mark.parametrize("ask", CALL_STYLES)
def test_data_that_is_no_image_is_refused_in_each_form(coze: LocalCoze, ask: CallStyle) -> None:
    content = ["Look.", {"type": "image", "base64": "aGVsbG8="}]
    for form in ([("user", content)], [{"role": "user", "content": content}]):
        with pytest.raises(CozeInvalidRequestError, match="not a known image format"):
            ask(make_chat(coze), form)
