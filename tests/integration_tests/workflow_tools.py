"""Workflows for the tests of the workflow tool, and ways to call it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Annotated, Any

import pytest
from langchain_core.runnables import Runnable

from langchain_coze import (
    CozeWorkflowInterrupt,
    CozeWorkflowTool,
    WorkflowRun,
)
from langchain_coze.local import (
    Ask,
    AskInput,
    Fail,
    FileKind,
    LocalCoze,
    LocalWorkflow,
    Message,
    Pause,
    TokenUsage,
    TurnFile,
)

APP_ID = "7400000000000000001"
DONE_EVENTS = (
    b'event: Message\ndata: {"content":"Tea.","node_title":"End","node_is_finish":true}\n\n'
    b"event: Done\ndata: {}\n\n"
)
INTERRUPT_EVENT = (
    b'event: Interrupt\ndata: {"interrupt_data":{"data":"?","event_id":"1/2","type":2}}\n\n'
)


def weather(city: str, days: int = 1) -> Generator[Any, Any, dict[str, Any]]:
    """Tell the weather.

    Args:
        city: Which city.
        days: For how many days.
    """
    yield Message(f"Looking at {city}", node_title="Look")
    yield TokenUsage(3, 4)
    return {"forecast": f"sunny in {city}", "days": days}


def text(question: str) -> str:
    """Answer with a text."""
    return f"A: {question}"


def book(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Book a room."""
    nights = yield Ask("How many nights?")
    form = yield AskInput({"guest": str})
    return {"booked": f"{city} {nights} {form['guest']}"}


def one_question(city: str) -> Generator[Any, Any, dict[str, Any]]:
    """Ask once."""
    sure = yield Ask(f"Is it {city}?", ["yes", "no"])
    return {"sure": sure}


def broken(how: str) -> Generator[Any, Any, str]:
    """Fail."""
    yield Message("Working", node_title="Work")
    if how == "quota":
        yield Fail(4028, "nothing left")
    raise RuntimeError("the node is broken")


def look(photo: Annotated[TurnFile, FileKind("image")], note: str = "") -> dict[str, Any]:
    """Look at a photo."""
    return {"bytes": len(photo.data), "name": photo.name, "url": photo.url, "note": note}


def slow(seconds: float) -> Generator[Any, Any, str]:
    """Finish after some seconds."""
    yield Message("Wait", node_title="Wait")
    yield Pause(seconds)
    return "done"


def odd(config: str, self_: str = "", values: str = "", run_manager: str = "") -> str:
    """Take parameters with names that LangChain uses."""
    return f"{config}{self_}{values}{run_manager}"


WORKFLOWS: list[LocalWorkflow] = [
    LocalWorkflow(weather, name="天气 weather"),
    LocalWorkflow(text, terminate_plan="use_answer_content"),
    *(LocalWorkflow(flow) for flow in (book, one_question, broken, look, slow, odd)),
    LocalWorkflow(lambda: "x", name="hidden", published=False),
    LocalWorkflow(lambda: "app", name="of_an_app", app_id=APP_ID),
]
BY_NAME = {flow.name: flow for flow in WORKFLOWS}


def make_tool(coze: LocalCoze, name: str, **fields: Any) -> CozeWorkflowTool:
    known = {
        "workflow_id": BY_NAME[name].workflow_id,
        "api_key": coze.token,
        "base_url": coze.base_url,
        "name": "tool",
        "description": "A workflow.",
        "timeout": 10,
        "poll_interval": 0.02,
        "handle_tool_error": False,
    }
    return CozeWorkflowTool(**{**known, **fields})


def make_tool_at(base_url: str, **fields: Any) -> CozeWorkflowTool:
    known: dict[str, Any] = {"workflow_id": "73", "api_key": "pat_x", "base_url": base_url}
    return CozeWorkflowTool(**{**known, "handle_tool_error": False, "timeout": 10, **fields})


def make_call(args: dict[str, Any]) -> dict[str, Any]:
    return {"name": "tool", "args": args, "id": "call_1", "type": "tool_call"}


ToolCallStyle = Callable[..., Any]


def invoke(tool: Runnable[Any, Any], args: Any) -> Any:
    return tool.invoke(args)


def ainvoke(tool: Runnable[Any, Any], args: Any) -> Any:
    return asyncio.run(tool.ainvoke(args))


def resume(tool: CozeWorkflowTool, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
    return tool.resume(interrupt, answer)


def aresume(tool: CozeWorkflowTool, interrupt: CozeWorkflowInterrupt, answer: Any) -> WorkflowRun:
    return asyncio.run(tool.aresume(interrupt, answer))


both_call_styles = pytest.mark.parametrize("call_tool", [invoke, ainvoke])
both_resume_styles = pytest.mark.parametrize(
    ("call_tool", "resume_run"), [(invoke, resume), (ainvoke, aresume)]
)


def count_started_runs(coze: LocalCoze) -> int:
    paths = {"/v1/workflow/run", "/v1/workflow/stream_run"}
    return sum(request.path in paths for request in coze.requests)
