"""A project as coze.site serves it: the frames come from the real package `coze-coding-utils`.

Started as ``python site_project.py agent|workflow`` in an environment of its own; prints its port.
The routes are ours, as short as they can be; the generated ones add tracing and a database. The
model of the agent answers with what it sees, as JSON; its tool tells the weather.
"""

import asyncio
import json
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn
from coze_coding_utils.error.classifier import ErrorClassifier
from coze_coding_utils.helper.stream_runner import (
    AgentStreamRunner,
    RunOpt,
    WorkflowStreamRunner,
    agent_stream_handler,
    workflow_stream_handler,
)
from coze_coding_utils.runtime_ctx.context import new_context
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

classifier = ErrorClassifier()
tasks: dict[str, asyncio.Task[Any]] = {}


@tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}晴"


def see(messages: list[BaseMessage]) -> str:
    seen = [[message.type, message.text] for message in messages if message.text]
    return json.dumps(seen, ensure_ascii=False)


class SeeingModel(BaseChatModel):
    """Answers with what it sees; a word of the question makes it call a tool, or fail."""

    @property
    def _llm_type(self) -> str:
        return "seeing"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        chunks = list(self._stream(messages))
        usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
        calls = [call for chunk in chunks for call in getattr(chunk.message, "tool_calls", ())]
        text = "".join(chunk.text for chunk in chunks)
        message = AIMessage(content=text, tool_calls=calls, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], *_: Any, **__: Any
    ) -> Iterator[ChatGenerationChunk]:
        question = messages[-1].text
        if "FAIL" in question:
            yield ChatGenerationChunk(message=AIMessageChunk(content="half "))
            raise RuntimeError("Error code: 429 - rate limit")
        if "TOOL" in question and not isinstance(messages[-1], ToolMessage):
            call = {"name": "get_weather", "args": '{"city": "杭州"}', "id": "c1", "index": 0}
            yield ChatGenerationChunk(message=AIMessageChunk(content="我查一下。"))
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[call]))
            return
        text = see(messages)
        for start in range(0, len(text), 10):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[start : start + 10]))
        end = AIMessageChunk(content="", response_metadata={"finish_reason": "stop"})
        yield ChatGenerationChunk(message=end)


def build_agent() -> Any:
    graph = StateGraph(MessagesState)
    model = SeeingModel()
    graph.add_node("agent", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", tools_condition)
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=InMemorySaver())


class SumInput(BaseModel):
    """两数相加的输入"""

    a: float = Field(description="第一个数")
    b: float = Field(description="第二个数")


class SumOutput(BaseModel):
    """工作流的输出"""

    total: float = Field(description="和")
    note: str = Field(default="", description="说明")


class SumState(SumInput, SumOutput):
    """All values."""

    total: float = 0


def add(state: SumState) -> dict[str, Any]:
    if state.b < 0:
        raise ValueError("负数")
    return {"total": state.a + state.b}


def note(state: SumState) -> dict[str, Any]:
    return {"note": f"完成：{state.total}"}


def build_workflow() -> Any:
    graph = StateGraph(SumState, input_schema=SumInput, output_schema=SumOutput)
    graph.add_node("add", add)
    graph.add_node("note", note)
    graph.add_edge(START, "add")
    graph.add_edge("add", "note")
    graph.add_edge("note", END)
    return graph.compile()


is_agent = sys.argv[1:] == ["agent"]
served = build_agent() if is_agent else build_workflow()


def to_event(data: Any, number: int | None = None) -> str:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: message\ndata: {json.dumps(data, ensure_ascii=False, default=str)}\n\n"


async def stream_events(payload: Any, context: Any, options: Any = None) -> AsyncIterator[str]:
    runner = AgentStreamRunner() if is_agent else WorkflowStreamRunner()
    async for item in runner.astream(payload, served, {}, context, options):
        yield to_event(item) if is_agent else to_event(item[1], item[0])


async def stream_run(request: Request) -> Response:
    context = new_context("stream_run", request.headers)
    context.run_id = request.headers.get("x-run-id") or context.run_id
    is_debug = request.headers.get("x-workflow-stream-mode") == "debug"
    arguments = {
        "payload": await request.json(),
        "ctx": context,
        "run_id": context.run_id,
        "stream_sse_func": stream_events,
        "sse_event_func": to_event,
        "error_classifier": classifier,
        "register_task_func": tasks.__setitem__,
    }
    if is_agent:
        events = agent_stream_handler(**arguments)
    else:
        events = workflow_stream_handler(**arguments, run_opt=RunOpt(workflow_debug=is_debug))
    return StreamingResponse(events, media_type="text/event-stream")


async def run(request: Request) -> Response:
    run_id = request.headers.get("x-run-id") or str(uuid.uuid4())
    config = {"configurable": {"thread_id": run_id}}
    try:
        output = await served.ainvoke(await request.json(), config)
    except Exception as error:  # noqa: BLE001 - as in the generated code
        failure = classifier.classify(error, {"node_name": "run"})
        detail = {"error_code": failure.code, "error_message": failure.message, "stack_trace": []}
        return JSONResponse({"detail": detail}, status_code=500)
    if is_agent:
        output = {"messages": [message.model_dump() for message in output["messages"]]}
    return JSONResponse({**output, "run_id": run_id})


async def cancel(request: Request) -> Response:
    run_id = request.path_params["run_id"]
    task = tasks.get(run_id)
    if task is None or task.done():
        return JSONResponse({"status": "not_found", "run_id": run_id, "message": ""})
    task.cancel()
    return JSONResponse({"status": "success", "run_id": run_id, "message": ""})


async def graph_parameter(_: Request) -> Response:
    schemas: dict[str, Any] = {"input_schema": {}, "output_schema": {}}
    if not is_agent:
        schemas["input_schema"] = SumInput.model_json_schema()
        schemas["output_schema"] = SumOutput.model_json_schema()
    return JSONResponse(schemas)


app = Starlette(
    routes=[
        Route("/stream_run", stream_run, methods=["POST"]),
        Route("/run", run, methods=["POST"]),
        Route("/cancel/{run_id}", cancel, methods=["POST"]),
        Route("/graph_parameter", graph_parameter),
    ]
)

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - for the test
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
