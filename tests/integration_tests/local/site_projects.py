"""The projects that were recorded, as far as their replies show them, and their requests."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from pydantic import BaseModel, ConfigDict, Field

from langchain_coze.local import LocalSite
from tests.site_recordings import read_site_body

FOLDER = Path(__file__).parents[2] / "recordings" / "site"
USAGE: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
LIMIT = "Error code: 429 - {'error': {'message': 'Too many requests: rate limit', "
LIMIT += "'type': 'rate_limit', 'code': '429'}}"
NO_CREDIT = "Error code: 403 - {'code': 'ErrBalanceOverdue', 'error': {'message': "
NO_CREDIT += "'资源点不足，请升级为付费版套餐', 'type': 'benefit', 'code': 'ErrBalanceOverdue'}}"


class APIError(Exception):
    """As `openai.APIError`: projects know exceptions by the name of their class."""


class RateLimitError(APIError):
    """As `openai.RateLimitError`."""


class PermissionDeniedError(APIError):
    """As `openai.PermissionDeniedError`."""


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    time.sleep(0.2 if city == "北京" else 0.05)
    return json.dumps({"city": city, "t": "晴"}, ensure_ascii=False)


@tool
def boom() -> str:
    """Fail."""
    raise ValueError("工具坏了")


def call(name: str, arguments: dict[str, Any], call_id: str, index: int) -> Any:
    text = json.dumps(arguments, ensure_ascii=False)
    return {"name": name, "args": text, "id": call_id, "index": index}


WEATHER = [
    call("get_weather", {"city": "北京"}, "call_a1", 0),
    call("get_weather", {"city": "上海"}, "call_b2", 1),
]


class RecordedModel(BaseChatModel):
    """Streams as `ChatOpenAI` does; words of the question tell what."""

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        chunks = [chunk.message for chunk in self._stream(messages)]
        whole: Any = sum(chunks[1:], chunks[0])
        message = AIMessage(
            whole.content,
            tool_calls=whole.tool_calls,
            response_metadata=whole.response_metadata,
            usage_metadata=USAGE,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        texts, calls = say(messages)
        for text in texts:
            yield ChatGenerationChunk(message=AIMessageChunk(content=text))
        for made in calls:
            message = AIMessageChunk(content="", tool_call_chunks=[made])
            yield ChatGenerationChunk(message=message)
        end = {"finish_reason": "tool_calls" if calls else "stop"}
        yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=end))


def say(messages: list[BaseMessage]) -> tuple[Iterator[str], list[Any]]:
    """Give the texts and the calls of an answer."""
    question, count = messages[-1].text, sum(m.type == "human" for m in messages)
    mini = any("MINI" in message.text for message in messages)
    if isinstance(messages[-1], ToolMessage):
        return iter(["晴"] if mini else ["北京", "晴"]), []
    for word, error in (
        ("E429", RateLimitError(LIMIT)),
        ("E403Q", PermissionDeniedError(NO_CREDIT)),
    ):
        if word in question:
            raise error
    if "BOOM" in question:
        return iter(()), [call("boom", {}, "call_a1", 0)]
    if "PAR" in question:
        return iter(()), WEATHER
    if "TOOL" in question:
        return iter(["我来", "查一下"] if "PRE" in question else []), WEATHER[:1]
    return speak(question, count), []


def speak(question: str, count: int) -> Iterator[str]:
    if question == "MINI":
        yield "好的"
    elif question == "LSEP":
        line = read_site_body("37_line_separators").split(b"\n")[4]
        yield json.loads(line.removeprefix(b"data: "))["content"]["answer"]
    elif question == "MIDERR":
        yield "答案前半"
        raise APIError("internal server error from model")
    elif question == "SLOW":
        for number in range(40):
            yield f"{number} "
            time.sleep(0.1)
    else:
        yield from ("你", "好", "！", f"(第{count}问)")


def choose_tools(state: MessagesState) -> Any:
    """Run each tool as a task of its own, so that their results come as they are ready."""
    calls = getattr(state["messages"][-1], "tool_calls", [])
    return [Send("tools", [made]) for made in calls] or END


def build_agent() -> Any:
    graph, model = StateGraph(MessagesState), RecordedModel()
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([get_weather, boom], handle_tool_errors=False))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", choose_tools, ["tools", END])
    graph.add_edge("tools", "model")
    return graph.compile()


def build_other_agent(*nodes: Any) -> Any:
    """Build the graph of an agent from its nodes, which are functions."""
    graph = StateGraph(MessagesState)
    names = [START, *(node.__name__ for node in nodes), END]
    for node in nodes:
        graph.add_node(node.__name__, node)
    for one, other in itertools.pairwise(names):
        graph.add_edge(one, other)
    return graph.compile()


def first(_state: MessagesState) -> dict[str, Any]:
    calls: Any = [{"name": "f", "args": {"x": 1}, "id": "c1"}]
    return {"messages": [AIMessage("第一段", tool_calls=calls)]}


def second(_state: MessagesState) -> dict[str, Any]:
    return {"messages": [ToolMessage("结果", tool_call_id="c1")]}


def third(_state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage([{"type": "text", "text": "列表段"}])]}


def ask(_state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(interrupt("?"))]}


# Workflows ---------------------------------------------------------------------------------------


class File(BaseModel):
    """通用文件对象，支持自动类型推断和路径管理"""

    model_config = ConfigDict(json_schema_extra={"x-component": "file-upload"})

    url: str = Field(description="文件URL(http/https)或本地路径")
    file_type: Literal["image", "video", "audio", "document", "default"] = Field(
        default="default", description="文件类型"
    )


class GraphInput(BaseModel):
    """两数相加的输入"""

    a: float = Field(description="第一个数")
    b: float = Field(description="第二个数")
    mode: str = Field(default="ok", description="ok|boom|slow")
    doc: File | None = Field(default=None, description="文件")


class GraphOutput(BaseModel):
    """工作流的输出"""

    sum_result: float = Field(description="和")
    note: str = Field(default="", description="说明")


class AddInput(BaseModel):
    """What the first node reads."""

    a: float
    b: float
    mode: str = "ok"


class FormatInput(BaseModel):
    """What the second node reads."""

    part: float
    mode: str = "ok"


class GlobalState(BaseModel):
    """All values."""

    a: float = 0
    b: float = 0
    mode: str = "ok"
    doc: Any = None
    part: float = 0
    sum_result: float = 0
    note: str = ""


def add(state: AddInput) -> dict[str, Any]:
    if state.mode == "boom":
        raise ValueError("除数不能为零")
    if state.mode == "slow":
        time.sleep(1.0)
    return {"part": state.a + state.b}


def fmt(state: FormatInput) -> dict[str, Any]:
    return {"sum_result": state.part, "note": f"完成：{state.part}"}


def build_workflow() -> Any:
    graph = StateGraph(GlobalState, input_schema=GraphInput, output_schema=GraphOutput)
    graph.add_node("add", add, input_schema=AddInput)
    graph.add_node("fmt", fmt, input_schema=FormatInput)
    graph.add_edge(START, "add")
    graph.add_edge("add", "fmt")
    graph.add_edge("fmt", END)
    return graph.compile()


class Sides(TypedDict, total=False):
    """What the parallel nodes share."""

    x: int
    left: str
    right: str


def say_right() -> dict[str, Any]:
    time.sleep(0.2)
    return {"right": "右"}


def build_parallel_workflow() -> Any:
    graph: StateGraph[Sides] = StateGraph(Sides)
    graph.add_node("left", lambda _: {"left": "左"})
    graph.add_node("right", lambda _: say_right())
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    return graph.compile()


# Requests and replies ----------------------------------------------------------------------------


def replay(site: LocalSite, name: str, **changes: Any) -> httpx.Response:
    """Send a recorded request to a site; a part of a stream that breaks is no error."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    head, _, rest = text.partition("## REQUEST\n")[2].partition("\n\n")
    (method, path, _), *lines = (line.split(" ") for line in head.splitlines())
    headers = {
        line[0].rstrip(":"): line[1] for line in lines if line[0].startswith(("x-", "Content-T"))
    }
    content = rest.partition("\n## RESPONSE HEAD")[0].rstrip("\n").encode()
    headers |= {"Authorization": f"Bearer {site.token}"} | changes
    with (
        httpx.Client(base_url=site.base_url, timeout=20, trust_env=False) as client,
        client.stream(method, path, headers=headers, content=content) as response,
    ):
        received = b""
        try:
            for chunk in response.iter_raw():
                received += chunk
        except httpx.RemoteProtocolError:
            response.extensions["broken"] = True
        response._content = received
    return response


def is_broken(response: httpx.Response) -> bool:
    return bool(response.extensions.get("broken"))


IDS = {"reply_id", "msg_id", "execute_id", "run_id", "id", "task_id"}
TIMES = {"timestamp", "time_cost_ms", "created_at", "deadline", "started_at", "completed_at"}


def mask(value: Any, names: dict[str, str]) -> Any:
    """Replace ids by the order in which they appear, and times by 0; keep all keys in order."""
    if isinstance(value, list):
        return [mask(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    masked: dict[str, Any] = {}
    for key, inner in value.items():
        if key in IDS and isinstance(inner, str) and re.fullmatch(r"[-\w]*[-\da-f]{30,}", inner):
            masked[key] = names.setdefault(inner, f"<{len(names)}>")
        elif key in TIMES or (key == "heartbeat_at" and inner is not None):
            masked[key] = inner and 0
        else:
            masked[key] = mask(inner, names)
    return masked


def read_frames(body: bytes) -> str:
    """Return a stream, or a JSON body, with ids and times masked; all other bytes as they are."""
    names: dict[str, str] = {}

    def mask_data(found: re.Match[str]) -> str:
        masked = json.dumps(mask(json.loads(found[1]), names), ensure_ascii=False)
        return f"data: {masked}\n"

    text = body.decode()
    if not text.startswith("{"):
        return re.sub(r"data: (\{.*\})\n", mask_data, text)
    value = json.loads(text)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(mask(value, names), ensure_ascii=False, indent=1)


def read_recorded(name: str) -> tuple[int, str, str]:
    """Return status, content type and masked body of a recorded reply."""
    text = (FOLDER / f"{name}.txt").read_bytes().partition(b"## RESPONSE HEAD\n")[2]
    head = text.partition(b"\n\n")[0].decode()
    kind = re.search(r"^content-type: (.*?)\r?$", head, re.MULTILINE)
    assert kind
    return int(head.split(" ")[1]), kind[1], read_frames(read_site_body(name))


def describe(response: httpx.Response) -> tuple[int, str, str]:
    """Return the same of a reply."""
    return response.status_code, response.headers["content-type"], read_frames(response.content)
