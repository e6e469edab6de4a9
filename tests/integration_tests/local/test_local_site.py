"""LocalSite as users use it: with our classes, with faults, as a command and as a fixture."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import httpx
import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_coze import (
    ChatCozeSite,
    CozeAuthenticationError,
    CozeChatError,
    CozeError,
    CozeNotFoundError,
    CozeQuotaError,
    CozeRateLimitError,
    CozeSiteTool,
    CozeStreamError,
    CozeTimeoutError,
    CozeWorkflowError,
)
from langchain_coze.local import (
    SITE_FAULTS,
    Ask,
    Fail,
    LocalSite,
    NewAnswer,
    Pause,
    Reasoning,
    ServerTool,
    Turn,
)
from tests.integration_tests.local.site_projects import build_agent, build_workflow
from tests.integration_tests.local.test_local_faults_served import run_command
from tests.integration_tests.local.test_local_pytest_plugin import NAMED, suite

HERE = "tests.integration_tests.local.test_local_site"


def connect(site: LocalSite, **fields: Any) -> ChatCozeSite:
    settings: dict[str, Any] = {"base_url": site.base_url, "api_key": site.token, "max_retries": 0}
    return ChatCozeSite(**(settings | fields))


def connect_tool(site: LocalSite, **fields: Any) -> CozeSiteTool:
    fields = {"name": "add", "poll_interval": 0.05, "max_retries": 0} | fields
    fields["handle_tool_error"] = False
    return CozeSiteTool.from_site(site.base_url, api_key=site.token, **fields)


async def ask(model: ChatCozeSite, question: Any, way: str) -> AIMessage:
    """Ask in each of the ways in which users do."""
    if way == "invoke":
        return await asyncio.to_thread(model.invoke, question)
    if way == "ainvoke":
        return await model.ainvoke(question)
    total: Any = None
    if way == "stream":
        for chunk in await asyncio.to_thread(lambda: list(model.stream(question))):
            total = chunk if total is None else total + chunk
    else:
        async for chunk in model.astream(question):
            total = chunk if total is None else total + chunk
    return total  # type: ignore[no-any-return]


WAYS = pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])


# What an agent may be -----------------------------------------------------------------------------


def shout(question: str) -> str:
    return question.upper()


async def shout_slowly(question: str) -> str:
    return question.upper()


def spell(question: str) -> Iterator[str]:
    yield from question.upper()


async def spell_slowly(question: str) -> AsyncIterator[str]:
    for letter in question.upper():
        yield letter


def read(messages: Any) -> str:
    return str(messages[-1].text).upper()


def build_model() -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage("HELLO TEA")] * 9))


AGENTS: dict[str, Any] = {
    "function": shout,
    "async function": shout_slowly,
    "generator": spell,
    "async generator": spell_slowly,
    "runnable": RunnableLambda(read),
    "model": build_model(),
    "chain": build_model() | StrOutputParser(),
}


@WAYS
@pytest.mark.parametrize("name", AGENTS)
async def test_anything_that_answers_is_an_agent(name: str, way: str) -> None:
    with LocalSite(agent=AGENTS[name]) as site:
        answer = await ask(connect(site), "hello tea", way)
    assert answer.text == "HELLO TEA"
    assert answer.usage_metadata is None  # a stream counts nothing


@pytest.mark.parametrize("mode", ["stream", "run", "async"])
@WAYS
async def test_the_tools_of_a_graph_are_blocks(mode: Any, way: str) -> None:
    with LocalSite(agent=build_agent()) as site:
        model = connect(site, response_mode=mode, poll_interval=0.05)
        answer = await ask(model, "TOOL PRE 北京天气", way)
    kinds = [block["type"] for block in answer.content_blocks]
    assert kinds == ["text", "server_tool_call", "server_tool_result", "text"]
    call: Any = answer.content_blocks[1]
    assert (call["name"], call["args"]) == ("get_weather", {"city": "北京"})
    assert answer.tool_calls == []
    assert bool(answer.usage_metadata) is (mode != "stream")


def play(question: str, turn: Turn) -> Iterator[Any]:
    yield Reasoning("Let me see.")
    yield "First."
    yield NewAnswer()
    yield ServerTool("search", {"query": question}, {"found": ["茶"]})
    yield Pause(0.01)
    yield f"You have said {len(turn.messages)}."


@pytest.mark.parametrize("mode", ["stream", "run"])
def test_a_function_may_yield_parts(mode: Any) -> None:
    with LocalSite(agent=play) as site:
        answer = connect(site, response_mode=mode).invoke("tea")
        assert answer.text == "First.\n\nYou have said 1."
    blocks: list[Any] = [b for b in answer.content_blocks if b["type"] != "text"]
    thoughts = [block for block in blocks if block["type"] == "reasoning"]
    assert len(thoughts) == (mode == "stream")
    call, result = blocks[len(thoughts) :]
    assert (call["name"], call["args"]) == ("search", {"query": "tea"})
    assert json.loads(result["output"]) == {"found": ["茶"]}


def refuse(question: str) -> Iterator[Any]:
    yield "Half "
    if question == "money":
        yield Fail(604001, "资源点不足")
    yield Ask("Which one?")


def test_a_function_may_fail_and_cannot_ask() -> None:
    with LocalSite(agent=refuse) as site:
        with pytest.raises(CozeQuotaError, match="资源点不足"):
            connect(site).invoke("money")
        with pytest.raises(CozeChatError, match="cannot yield the type Ask") as caught:
            connect(site, response_mode="run").invoke("tea")
    assert caught.value.code == 102003


@pytest.mark.parametrize(
    "fields",
    [
        {"agent": 7},
        {"workflow": 7},
        {"agent": shout, "workflow": shout},
        {"agent": build_workflow()},
    ],
)
def test_objects_that_cannot_be_served_are_rejected(fields: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        LocalSite(**fields)


def test_unknown_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of end_code, error_frame, cut"):
        LocalSite(agent=shout, faults="cut_mid_line")
    with pytest.raises(ValueError, match="whole number"):
        LocalSite(agent=shout, faults="cut=soon")


# Sessions -----------------------------------------------------------------------------------------


def remember(_question: str, turn: Turn) -> str:
    return " | ".join(message.text for message in turn.messages)


def test_a_session_is_kept_and_others_are_not_seen() -> None:
    with LocalSite(agent=remember) as site:
        ada, ben = connect(site, session_id="a"), connect(site, session_id="b")
        assert ada.invoke("My name is Ada.").text == "My name is Ada."
        assert ben.invoke("Who am I?").text == "Who am I?"
        answer = ada.invoke("Who am I?")
        assert answer.text == "My name is Ada. | My name is Ada. | Who am I?"
        assert answer.response_metadata["session_id"] == "a"
        joined = connect(site, session_id="a", response_mode="run").invoke("And now?")
        assert joined.text.endswith("Who am I? | And now?")


@pytest.mark.parametrize("mode", ["stream", "run"])
async def test_threads_continue_in_their_session(mode: Any) -> None:
    with LocalSite(agent=build_agent()) as site:
        model = connect(site, session="thread", response_mode=mode)
        history: list[Any] = [HumanMessage("一")]
        for number in (1, 2, 3):
            answer = await model.ainvoke(history)
            assert answer.text == f"你好！(第{number}问)"
            history += [answer, HumanMessage("又")]
        requests = site.requests
    if mode == "stream":
        sessions = [request.body["session_id"] for request in requests]
    else:
        sessions = [request.headers["x-run-id"] for request in requests]
    assert len(set(sessions)) == 1


def test_a_failed_turn_leaves_its_question() -> None:
    with LocalSite(agent=build_agent()) as site:
        model = connect(site, session_id="s")
        with pytest.raises(CozeRateLimitError):
            model.invoke("E429")
        assert model.invoke("你好").text == "你好！(第2问)"


# Faults -------------------------------------------------------------------------------------------

FAULTS: list[tuple[str, type[CozeError], dict[str, Any]]] = [
    ("end_code=301002", CozeRateLimitError, {"code": 301002}),
    ("end_code=TIMEOUT", CozeTimeoutError, {"reason": "TIMEOUT"}),
    ("end_code=1", CozeChatError, {"reason": "1"}),
    ("error_frame", CozeChatError, {"code": 101004}),
    ("cut", CozeStreamError, {}),
    ("http_401", CozeAuthenticationError, {"status_code": 401}),
    ("http_504", CozeTimeoutError, {"status_code": 504}),
]


@WAYS
@pytest.mark.parametrize(("fault", "error", "fields"), FAULTS, ids=[row[0] for row in FAULTS])
async def test_a_fault_is_a_typed_error(
    fault: str, error: type[CozeError], fields: dict[str, Any], way: str
) -> None:
    with LocalSite(agent=spell, faults=fault) as site:
        with pytest.raises(error) as caught:
            await ask(connect(site), "tea", way)
        assert {name: getattr(caught.value, name) for name in fields} == fields
        assert site.token not in str(caught.value)
        site.faults = ""
        assert (await ask(connect(site), "tea", way)).text == "TEA"


def test_text_before_the_end_code_is_streamed() -> None:
    with LocalSite(agent=spell, faults="end_code=604001") as site:
        texts: list[str] = []
        with pytest.raises(CozeQuotaError):
            texts.extend(chunk.text for chunk in connect(site).stream("tea"))
    assert "".join(texts) == "TEA"


@pytest.mark.parametrize("fault", ["silence=5", "tool_hangs"])
async def test_a_silent_turn_is_abandoned(fault: str) -> None:
    with LocalSite(agent=build_agent(), faults=fault) as site:
        started = time.monotonic()
        with pytest.raises(CozeTimeoutError):
            await connect(site, timeout=0.3).ainvoke("tea")
        with pytest.raises(CozeTimeoutError):
            await asyncio.to_thread(connect(site, max_duration=0.3).invoke, "tea")
        assert time.monotonic() - started < 3
        assert site._server is not None
        for _ in range(100):  # the clients have left: nothing runs any more
            if not (running := site._server.app.state.running_tasks):
                break
            await asyncio.sleep(0.05)
        assert running == set()


def test_a_tool_that_hangs_was_called() -> None:
    chunks: list[Any] = []
    with LocalSite(agent=shout, faults="tool_hangs") as site, pytest.raises(CozeTimeoutError):
        chunks.extend(connect(site, timeout=0.3).stream("tea"))
    kinds = [block["type"] for chunk in chunks for block in chunk.content_blocks]
    assert kinds == ["server_tool_call"]


def test_faults_end_after_some_times_and_stand_in_a_header_too() -> None:
    with LocalSite(agent=shout, faults="http_504,times=1") as site:
        with pytest.raises(CozeTimeoutError):
            connect(site).invoke("tea")
        assert connect(site).invoke("tea").text == "TEA"
        with pytest.raises(CozeStreamError):
            connect(site, default_headers={"X-Local-Fault": "cut=1"}).invoke("tea")
        with pytest.raises(CozeError, match="unknown fault 'http_502'"):
            connect(site, default_headers={"X-Local-Fault": "http_502"}).invoke("tea")
        site.reset()
        assert site.requests == []
        with pytest.raises(CozeTimeoutError):
            connect(site).invoke("tea")


def test_the_faults_have_the_names_of_the_design() -> None:
    names = "end_code error_frame cut silence tool_hangs http_401 http_504 no_async"
    assert SITE_FAULTS.keys() - {"times", "on"} == set(names.split())


# Workflows ----------------------------------------------------------------------------------------


class BookedRoom(TypedDict):
    """What was booked."""

    city: str
    nights: int


def book(city: str, nights: int = 1) -> BookedRoom:
    """Book a room.

    Args:
        city: Where to sleep.
        nights: How long.
    """
    if city == "nowhere":
        raise KeyError(city)
    return {"city": city, "nights": nights}


async def book_slowly(city: str, nights: int = 1) -> BookedRoom:
    return book(city, nights)


async def use(tool: CozeSiteTool, arguments: dict[str, Any], way: str) -> Any:
    if way == "ainvoke":
        return json.loads(await tool.ainvoke(arguments))
    return json.loads(await asyncio.to_thread(tool.invoke, arguments))


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("mode", ["run", "stream", "async"])
@pytest.mark.parametrize("function", [book, book_slowly])
async def test_a_function_is_a_workflow(function: Any, mode: Any, way: str) -> None:
    with LocalSite(workflow=function) as site:
        tool = connect_tool(site, run_mode=mode)
        assert await use(tool, {"city": "杭州", "nights": 2}, way) == {"city": "杭州", "nights": 2}
        assert await use(tool, {"city": "杭州"}, way) == {"city": "杭州", "nights": 1}
        if function is book:
            with pytest.raises(CozeWorkflowError, match="nowhere"):
                await use(tool, {"city": "nowhere"}, way)


def test_the_schema_comes_from_the_signature() -> None:
    with LocalSite(workflow=book) as site:
        tool = connect_tool(site)
    assert tool.description == "Book a room."
    assert tool.args["city"] == {"description": "Where to sleep.", "type": "string"}
    assert tool.args["nights"] == {"default": 1, "description": "How long.", "type": "integer"}
    assert tool.tool_call_schema["required"] == ["city"]  # type: ignore[index]


class Sum(BaseModel):
    """A model as output."""

    total: float


def add_up(a: float, b: float) -> Sum:
    return Sum(total=a + b)


def count(text: str) -> int:
    return len(text)


def break_off(text: str) -> Any:
    return Fail(602001, f"no {text}")


def test_outputs_of_other_types_are_converted() -> None:
    with LocalSite(workflow=add_up) as site:
        assert json.loads(connect_tool(site).invoke({"a": 1, "b": 2})) == {"total": 3.0}
    with LocalSite(workflow=count) as site:
        assert connect_tool(site).invoke({"text": "tea"}) == '{"output": 3}'
    with LocalSite(workflow=break_off) as site, pytest.raises(CozeWorkflowError, match="no tea"):
        connect_tool(site).invoke({"text": "tea"})


@pytest.mark.parametrize("mode", ["run", "stream", "async"])
async def test_a_graph_is_a_workflow(mode: Any) -> None:
    with LocalSite(workflow=build_workflow()) as site:
        tool = connect_tool(site, run_mode=mode)
        assert await use(tool, {"a": 1, "b": 2}, "ainvoke") == {
            "sum_result": 3.0,
            "note": "完成：3.0",
        }


def test_progress_names_the_nodes() -> None:
    with LocalSite(workflow=build_workflow()) as site:
        tool = connect_tool(site, run_mode="stream")
        call: Any = {"name": tool.name, "args": {"a": 1, "b": 2}, "id": "1", "type": "tool_call"}
        run = tool.invoke(call).artifact
    assert [message["node_name"] for message in run.messages] == ["add", "add", "fmt", "fmt"]


WORKFLOW_FAULTS: list[tuple[str, str, type[CozeError]]] = [
    ("stream", "end_code=TIMEOUT", CozeTimeoutError),
    ("stream", "end_code=602001", CozeWorkflowError),
    ("run", "end_code=602001", CozeWorkflowError),
    ("async", "end_code=602001", CozeWorkflowError),
    ("run", "end_code=TIMEOUT", CozeTimeoutError),
    ("stream", "error_frame=101004", CozeWorkflowError),
    ("stream", "cut=1", CozeStreamError),
    ("run", "cut", CozeError),
    ("run", "http_504", CozeTimeoutError),
    ("async", "no_async", CozeNotFoundError),
]


@pytest.mark.parametrize(("mode", "fault", "error"), WORKFLOW_FAULTS)
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_fault_of_a_workflow_is_a_typed_error(
    mode: Any, fault: str, error: type[CozeError], way: str
) -> None:
    with LocalSite(workflow=book, faults=fault) as site:
        tool = connect_tool(site, run_mode=mode)
        with pytest.raises(error):
            await use(tool, {"city": "杭州"}, way)


def test_a_node_that_hangs_sends_pings() -> None:
    with LocalSite(workflow=book, faults="tool_hangs", ping=0.1) as site:
        tool = connect_tool(site, run_mode="stream", max_duration=0.5)
        with pytest.raises(CozeTimeoutError):
            tool.invoke({"city": "杭州"})


def test_the_other_kind_of_project_is_refused() -> None:
    with LocalSite(agent=shout) as site, pytest.raises(CozeError, match="ChatCozeSite"):
        connect_tool(site)
    with LocalSite(workflow=book) as site, pytest.raises(CozeError, match="CozeSiteTool"):
        connect(site).invoke("tea")


# Access, command, fixture -------------------------------------------------------------------------


def test_a_token_is_required_and_other_bodies_are_not_recorded() -> None:
    with LocalSite(agent=shout) as site:
        assert re.fullmatch(r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+", site.token)
        for headers in ({}, {"Authorization": "Bearer eyJ"}, {"Authorization": site.token}):
            reply = httpx.get(f"{site.base_url}/health", headers=headers, trust_env=False)
            assert (reply.status_code, list(reply.json())) == (401, ["msg"])
        with pytest.raises(CozeAuthenticationError):
            connect(site, api_key="eyJ.wrong").invoke("secret")
        assert {request.content for request in site.requests} == {b""}
        assert site.token not in repr(site)
        strange = {"Host": "evil.example", "Authorization": f"Bearer {site.token}"}
        assert httpx.get(f"{site.base_url}/health", headers=strange).status_code == 400


AGENT = LocalSite(agent=shout)
GRAPH = build_agent()
WORKFLOW_GRAPH = build_workflow()

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@posix
@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("", "answer_about_coze"),
        ("AGENT", "shout"),
        ("shout", "shout"),
        ("GRAPH", "LangGraph"),
        ("book", "book"),
        ("WORKFLOW_GRAPH", "LangGraph"),
    ],
)
def test_the_command_serves_a_site(target: str, shown: str) -> None:
    arguments = [f"{HERE}:{target}"] if target else []
    process = run_command("--profile", "site", "--token", "eyJ.mine.x", *arguments)
    assert process.stdout is not None
    base_url = process.stdout.readline().strip().rpartition(" ")[2]
    headers = {"Authorization": "Bearer eyJ.mine.x"}
    schemas = httpx.get(f"{base_url}/graph_parameter", headers=headers, trust_env=False).json()
    process.send_signal(signal.SIGTERM)
    told = process.stdout.read()
    _, errors = process.communicate(timeout=10)
    is_workflow = target in {"book", "WORKFLOW_GRAPH"}
    assert bool(schemas["input_schema"]) is is_workflow
    assert f"{'Workflow / 工作流' if is_workflow else 'Agent / 智能体'}:\n  {shown}\n" in told
    assert f"export COZE_SITE_BASE={base_url}\nexport COZE_SITE_TOKEN=eyJ.mine.x\n" in told
    assert re.search(r"GET /graph_parameter 200 \S+ \d+ ms", errors)


USERS_TESTS = """
import pytest
from langchain_coze import ChatCozeSite, CozeSiteTool


def test_sample_agent(local_site):
    assert "API" in ChatCozeSite().invoke("怎么发布智能体？").text


def add(a: int, b: int) -> dict:
    return {"sum": a + b}


@pytest.mark.local_site(workflow=add, faults="end_code=602001,times=1")
def test_marker(local_site):
    tool = CozeSiteTool.from_site(name="add", handle_tool_error=str)
    assert "602001" in tool.invoke({"a": 1, "b": 2})
    assert tool.invoke({"a": 1, "b": 2}) == '{"sum": 3}'
    assert [r.path for r in local_site.requests] == ["/graph_parameter", "/run", "/run"]
"""


def test_the_fixture_works_in_the_test_suite_of_a_user(tmp_path: Any) -> None:
    status, told = suite(tmp_path, conftest=NAMED, test_users=USERS_TESTS)
    assert status == 0, told
    assert "2 passed" in told
