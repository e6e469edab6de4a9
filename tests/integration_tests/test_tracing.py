"""Traces have one run per call, complete as LangSmith stores it, and without secrets."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tracers import LangChainTracer
from langchain_core.tracers.base import BaseTracer
from langsmith import Client

from langchain_coze import ChatCoze, CozeError
from langchain_coze.local import Ask, ClientTool, LocalBot, LocalChatflow, LocalCoze
from tests.conftest import make_chat, serve
from tests.integration_tests.call_styles import CALL_STYLES, CallStyle
from tests.integration_tests.tea_bot import ANSWER, BOT, QUESTION

if TYPE_CHECKING:
    from langchain_core.tracers.schemas import Run

coze = serve(BOT)
LANGSMITH_KEY = "lsv2_pt_example"
PRIVATE = ("ori_req", "740123456789", "740223456789", "740323456789")  # see local/wire/cloud.py
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\nno more is looked at").decode()

every_call_style = pytest.mark.parametrize("ask", CALL_STYLES, ids=lambda style: style.__name__)


class Collector(BaseTracer):
    """Keeps the top-level runs as they are when they end."""

    def __init__(self) -> None:
        super().__init__(_schema_format="original+chat")
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


def trace_call(ask: CallStyle, model: ChatCoze, question: Any, **kwargs: Any) -> Run:
    """Return the run of a call, whether it fails or not."""
    collector = Collector()
    with suppress(CozeError):
        ask(model, question, config={"callbacks": [collector]}, **kwargs)
    (run,) = collector.runs
    return run


def serialize_run(run: Run) -> str:
    return json.dumps(run.model_dump(), default=repr, ensure_ascii=False)


def get_output(run: Run) -> dict[str, Any]:
    assert run.outputs is not None
    ((generation,),) = run.outputs["generations"]
    kwargs: dict[str, Any] = generation["message"]["kwargs"]
    return kwargs


# --- One run -------------------------------------------------------------------------------------


@every_call_style
def test_a_run_has_inputs_outputs_usage_and_names(ask: CallStyle, coze: LocalCoze) -> None:
    run = trace_call(ask, make_chat(coze), QUESTION)
    assert (run.name, run.run_type, run.error) == ("ChatCoze", "chat_model", None)
    ((question,),) = run.inputs["messages"]
    assert question["kwargs"]["content"] == QUESTION
    answer = get_output(run)
    assert answer["content"] == ANSWER
    assert answer["usage_metadata"]["total_tokens"] > 0
    assert answer["response_metadata"]["logid"]
    assert answer["response_metadata"]["knowledge_recall"][0]["page_content"] == "茶树长在山上。"
    assert run.extra is not None
    metadata = {
        name: value for name, value in run.extra["metadata"].items() if name.startswith("ls_")
    }
    del metadata["ls_integration"]  # LangChain's own
    assert metadata == {
        "ls_provider": "coze",
        "ls_model_type": "chat",
        "ls_model_name": BOT.bot_id,
    }
    assert run.extra["metadata"]["lc_versions"]["langchain-coze"]
    assert run.extra["invocation_params"]["bot_id"] == BOT.bot_id


@every_call_style
def test_a_run_names_the_bot_of_the_call(ask: CallStyle, coze: LocalCoze) -> None:
    run = trace_call(
        ask, make_chat(coze, bot_id="7374724495711502387"), QUESTION, bot_id=BOT.bot_id
    )
    assert run.extra is not None
    assert run.extra["metadata"]["ls_model_name"] == BOT.bot_id
    assert get_output(run)["response_metadata"]["model_name"] == BOT.bot_id


@every_call_style
def test_a_run_of_a_chatflow_names_it(ask: CallStyle) -> None:
    flow = LocalChatflow(_order, app_id="7400000000000000001")
    with LocalCoze(chatflows=flow) as coze:
        model = ChatCoze(
            workflow_id=flow.workflow_id,
            app_id=flow.app_id,
            api_key=coze.token,
            base_url=coze.base_url,
        )
        run = trace_call(ask, model, "Tea, please.")
    assert run.extra is not None
    assert run.extra["metadata"]["ls_model_name"] == flow.workflow_id
    assert get_output(run)["response_metadata"]["finish_reason"] == "interrupt"
    assert get_output(run)["response_metadata"]["debug_url"]


def _order(_: str) -> Iterator[Ask | str]:
    size = yield Ask("Which size?")
    yield f"One {size} tea."


@every_call_style
def test_a_run_has_the_tool_calls_and_the_tools(ask: CallStyle) -> None:
    with LocalCoze(LocalBot(_forecast, name="forecast")) as coze:
        model = make_chat(coze)
        schema = {"name": "get_weather", "description": "", "parameters": {}}
        run = trace_call(ask, model, "How warm is it?", tools=[schema])
    (call,) = get_output(run)["tool_calls"]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "杭州"})
    assert run.extra is not None
    assert run.extra["invocation_params"]["tools"] == [schema]


def _forecast(_: str) -> Iterator[ClientTool | str]:
    yield str((yield ClientTool("get_weather", {"city": "杭州"})))


@pytest.mark.parametrize("ask", CALL_STYLES[2:], ids=lambda style: style.__name__)
def test_a_streamed_run_has_an_event_for_each_token(ask: CallStyle, coze: LocalCoze) -> None:
    run = trace_call(ask, make_chat(coze), QUESTION)
    events = [event["name"] for event in run.events]
    assert events[0] == "start"
    assert events[-1] == "end"
    assert "new_token" in events


# --- A failed run --------------------------------------------------------------------------------


@every_call_style
def test_a_refused_run_has_the_body_with_the_logid(ask: CallStyle, coze: LocalCoze) -> None:
    coze.faults = "error=4028"
    run = trace_call(ask, make_chat(coze), QUESTION)
    metadata = get_output(run)["response_metadata"]
    assert metadata["body"]["code"] == 4028
    logid = metadata["body"]["detail"]["logid"]
    assert metadata["headers"]["x-tt-logid"] == metadata["request_id"] == logid
    assert metadata["status_code"] == 200
    assert run.error is not None
    assert run.error.startswith("CozeQuotaError(")
    assert f"(code 4028, logid {logid})" in run.error
    assert "提示：" in run.error


@every_call_style
def test_a_run_that_fails_in_the_stream_has_code_and_logid(ask: CallStyle, coze: LocalCoze) -> None:
    coze.faults = "failed=4014"
    run = trace_call(ask, make_chat(coze), QUESTION)
    metadata = get_output(run)["response_metadata"]
    logid = metadata["request_id"]
    assert logid
    assert metadata["body"]["last_error"]["code"] == 4014
    assert run.error is not None
    assert f"(code 4014, logid {logid}, chat_id " in run.error


# --- Secrets -------------------------------------------------------------------------------------


@every_call_style
@pytest.mark.parametrize("faults", ["", "error=4100", "failed=5000", "cut_mid_line", "http_502"])
def test_no_run_shows_a_secret(ask: CallStyle, coze: LocalCoze, faults: str) -> None:
    coze.faults = faults
    model = make_chat(coze, max_retries=0, default_headers={"X-Gateway-Key": "gateway-secret"})
    stored = serialize_run(trace_call(ask, model, QUESTION))
    assert QUESTION in stored
    for secret in (coze.token, "gateway-secret", *PRIVATE):
        assert secret not in stored


def test_the_server_does_send_private_data(coze: LocalCoze) -> None:
    """Otherwise the test above would prove nothing."""
    body = {
        "bot_id": BOT.bot_id,
        "user_id": "1",
        "stream": True,
        "additional_messages": [{"role": "user", "content": QUESTION, "content_type": "text"}],
    }
    headers = {"Authorization": f"Bearer {coze.token}"}
    raw = httpx.post(f"{coze.base_url}/v3/chat", json=body, headers=headers).text
    for private in PRIVATE:
        assert private in raw


# --- As LangSmith gets it ------------------------------------------------------------------------


class LangSmithHandler(BaseHTTPRequestHandler):
    """Takes runs as LangSmith's API does: POST when one begins, PATCH when it ends."""

    server: LangSmithServer

    def _take(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.raw.append(body)
        run = json.loads(body)
        stored = self.server.runs.setdefault(run.get("id") or self.path.rpartition("/")[2], {})
        stored.update({name: value for name, value in run.items() if value is not None})
        self.send_response(202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        if "end_time" in stored and not self.server.ended.done():
            self.server.ended.set_result(stored)

    do_POST = do_PATCH = _take  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - a name of http.server
        """Say nothing."""


class LangSmithServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LangSmithHandler)
        self.runs: dict[str, dict[str, Any]] = {}
        self.raw: list[bytes] = []
        self.ended: Future[dict[str, Any]] = Future()


@contextmanager
def run_langsmith() -> Iterator[tuple[LangSmithServer, LangChainTracer]]:
    with LangSmithServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        client = Client(
            api_url=f"http://127.0.0.1:{server.server_port}",
            api_key=LANGSMITH_KEY,
            auto_batch_tracing=False,
            info={},
        )
        try:
            yield server, LangChainTracer(client=client, project_name="coze")
        finally:
            server.shutdown()
            thread.join(5)


@every_call_style
def test_langsmith_gets_inputs_outputs_and_usage(ask: CallStyle, coze: LocalCoze) -> None:
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    question = HumanMessage([{"type": "text", "text": QUESTION}, image])
    with run_langsmith() as (server, tracer):
        ask(make_chat(coze), [question], config={"callbacks": [tracer], "run_name": "tea"})
        run = server.ended.result(10)
    assert (run["name"], run["run_type"]) == ("tea", "llm")
    assert PIXEL in json.dumps(run["inputs"])
    ((generation,),) = run["outputs"]["generations"]
    assert generation["text"] == ANSWER
    assert run["extra"]["metadata"]["ls_provider"] == "coze"
    assert run["extra"]["metadata"]["ls_model_name"] == BOT.bot_id
    usage = generation["message"]["kwargs"]["usage_metadata"]
    assert run["extra"]["metadata"]["usage_metadata"] == usage  # where LangSmith counts cost
    sent = b"".join(server.raw).decode()
    for secret in (coze.token, LANGSMITH_KEY, *PRIVATE):
        assert secret not in sent


@every_call_style
def test_langsmith_gets_the_error_of_a_failed_run(ask: CallStyle, coze: LocalCoze) -> None:
    coze.faults = "error=4015"
    with run_langsmith() as (server, tracer):
        with pytest.raises(CozeError) as caught:
            ask(make_chat(coze), QUESTION, config={"callbacks": [tracer]})
        run = server.ended.result(10)
    assert caught.value.logid
    assert f"code 4015, logid {caught.value.logid}" in run["error"]
    ((generation,),) = run["outputs"]["generations"]
    metadata = generation["message"]["kwargs"]["response_metadata"]
    assert metadata["body"]["detail"]["logid"] == metadata["request_id"] == caught.value.logid
    assert coze.token not in b"".join(server.raw).decode()
