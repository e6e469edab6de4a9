"""Workflows that ask back, graphs that call them, and what the server received of their runs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from langchain_coze import CozeWorkflowTool
from langchain_coze.local import Ask, Fail, LocalCoze, LocalWorkflow, Message, Pause

STARTED, RESUMED = "/v1/workflow/stream_run", "/v1/workflow/stream_resume"

WorkflowSteps = Generator[Any, Any, Any]


def book(name: str, questions: int = 1, wait: float = 0) -> WorkflowSteps:
    """Book a table."""
    yield Message(f"{name} looks", node_title="Look")
    yield Pause(wait)
    answers = []
    for number in range(questions):
        answers.append((yield Ask(f"{name}: question {number + 1}?")))
        yield Message(f"{name} heard {number + 1}", node_title=f"Heard {number + 1}")
    return {"name": name, "answers": answers}


def breaks() -> WorkflowSteps:
    """Fail after the answer."""
    answer = yield Ask("Which table?")
    yield Fail(720701013, f"there is no table {answer}")


BOOK, BREAKS = LocalWorkflow(book), LocalWorkflow(breaks)


def make_tool(coze: LocalCoze, workflow: LocalWorkflow = BOOK, **fields: Any) -> CozeWorkflowTool:
    """Return the tool of a workflow."""
    about = {"api_key": coze.token, "base_url": coze.base_url, "timeout": 10}
    if coze.profile == "studio":  # it tells no schema
        fields = {"name": workflow.name, "args_schema": _ANY_ARGUMENTS, **fields}
        return CozeWorkflowTool(workflow_id=workflow.workflow_id, **{**about, **fields})
    return CozeWorkflowTool.from_workflow(workflow.workflow_id, **{**about, **fields})


_ANY_ARGUMENTS = {"title": "flow", "description": "Runs.", "type": "object", "properties": {}}


def make_call(tool: str = "book", /, id: str = "c_a", **args: Any) -> dict[str, Any]:  # noqa: A002 - the field's own name
    return {"name": tool, "args": args, "id": id, "type": "tool_call"}


ONE_CALL = [make_call(name="a", questions=2)]
_COUNTS = {"a": 1, "b": 2, "c": 1}
THREE_CALLS = [make_call(id=f"c_{name}", name=name, questions=n) for name, n in _COUNTS.items()]


# --- Graphs that call tools ----------------------------------------------------------------------


class CallingModel(BaseChatModel):
    """A model that makes calls, and when they have been answered says so."""

    calls: list[Any]

    @property
    def _llm_type(self) -> str:
        return "caller"

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if isinstance(messages[-1], ToolMessage):
            answer = AIMessage("done")
        else:
            answer = AIMessage("", tool_calls=self.calls)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def build_send_graph(
    tools: Any, calls: Sequence[Any], checkpointer: Any = None, **options: Any
) -> Any:
    """Return an agent that gives each call a task of its own, by Send."""
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(
        CallingModel(calls=list(calls)), _as_list(tools), checkpointer=checkpointer, **options
    )


def build_tool_node_graph(
    tools: Any, calls: Sequence[Any], checkpointer: Any = None, **options: Any
) -> Any:
    """Return a graph that gives all calls of a message to one task."""

    def ask(_: Any) -> Any:
        return {"messages": [AIMessage("", tool_calls=list(calls))]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", RunnableLambda(ask))
    graph.add_node("tools", ToolNode(_as_list(tools)))
    graph.add_edge(START, "model")
    graph.add_edge("model", "tools")
    graph.add_edge("tools", END)
    return graph.compile(checkpointer=checkpointer, **options)


def _as_list(tools: Any) -> list[Any]:
    return list(tools) if isinstance(tools, (list, tuple)) else [tools]


GraphBuilder = Callable[..., Any]
GRAPH_BUILDERS = [
    pytest.param(build_send_graph, id="Send"),
    pytest.param(build_tool_node_graph, id="list"),
]
START_INPUT = {"messages": [("user", "go")]}


# --- Checkpointers -------------------------------------------------------------------------------


@contextmanager
def memory_saver(_: Path) -> Iterator[Any]:
    yield InMemorySaver()


@contextmanager
def sqlite_saver(folder: Path) -> Iterator[Any]:
    saver = pytest.importorskip("langgraph.checkpoint.sqlite").SqliteSaver
    with saver.from_conn_string(str(folder / "threads.db")) as made:
        yield made


@asynccontextmanager
async def async_memory_saver(_: Path) -> AsyncIterator[Any]:
    yield InMemorySaver()


@asynccontextmanager
async def async_sqlite_saver(folder: Path) -> AsyncIterator[Any]:
    aio = pytest.importorskip("langgraph.checkpoint.sqlite.aio")
    async with aio.AsyncSqliteSaver.from_conn_string(str(folder / "threads.db")) as made:
        yield made


OpenSaver = Callable[[Path], AbstractContextManager[Any]]
OpenAsyncSaver = Callable[[Path], AbstractAsyncContextManager[Any]]
_ASYNC: Mapping[Any, OpenAsyncSaver] = {
    memory_saver: async_memory_saver,
    sqlite_saver: async_sqlite_saver,
}


# --- Conversations -------------------------------------------------------------------------------


class ThreadRun(NamedTuple):
    """How a thread went.

    Attributes:
        state: At its end.
        asked: The questions of each interruption.
    """

    state: Any
    asked: list[list[str]]

    @property
    def told(self) -> list[str]:
        """What the tools told the model."""
        messages = self.state["messages"]
        return [str(m.content) for m in messages if isinstance(m, ToolMessage)]


ThreadRunner = Callable[..., ThreadRun]
_MAX_INTERRUPTIONS = 9  # interruptions: a graph that asks for ever is broken


def run_thread_sync(
    build: Callable[[Any], Any],
    folder: Path,
    *,
    open_saver: OpenSaver = memory_saver,
    config: Any = None,
    answers: Callable[[Any], Any] | None = None,
    given: Any = START_INPUT,
    most: int = _MAX_INTERRUPTIONS,
    **options: Any,
) -> ThreadRun:
    """Run a graph, and answer what it asks until it has ended; without input, what it has asked."""
    config, answers = _thread(config), answers or answer_each
    with open_saver(folder) as saver:
        graph, asked = build(saver), list[list[str]]()
        if given is None:
            state = {"__interrupt__": graph.get_state(config).interrupts}
        else:
            state = graph.invoke(given, config, **options)
        while (waits := state.get("__interrupt__")) and len(asked) < most:
            asked.append(_list_questions(waits))
            state = graph.invoke(Command(resume=answers(waits)), config, **options)
    return ThreadRun(state, asked)


def run_thread_async(
    build: Callable[[Any], Any],
    folder: Path,
    *,
    open_saver: OpenSaver = memory_saver,
    config: Any = None,
    answers: Callable[[Any], Any] | None = None,
    given: Any = START_INPUT,
    most: int = _MAX_INTERRUPTIONS,
    **options: Any,
) -> ThreadRun:
    """Do what `talk` does, on an event loop."""
    config, answers = _thread(config), answers or answer_each

    async def run() -> ThreadRun:
        async with _ASYNC[open_saver](folder) as saver:
            graph, asked = build(saver), list[list[str]]()
            if given is None:
                state = {"__interrupt__": (await graph.aget_state(config)).interrupts}
            else:
                state = await graph.ainvoke(given, config, **options)
            while (waits := state.get("__interrupt__")) and len(asked) < most:
                asked.append(_list_questions(waits))
                state = await graph.ainvoke(Command(resume=answers(waits)), config, **options)
        return ThreadRun(state, asked)

    return asyncio.run(run())


THREAD_RUNNERS = [
    pytest.param(run_thread_sync, id="sync"),
    pytest.param(run_thread_async, id="async"),
]
SAVERS = [memory_saver, sqlite_saver]


def make_thread_config(name: str = "t", **fields: Any) -> Any:
    return {"configurable": {"thread_id": name}, **fields}


def _thread(config: Any) -> Any:
    return make_thread_config() if config is None else config


def _list_questions(waits: Any) -> list[str]:
    return [wait.value.get("question", "") for wait in waits]


def answer_each(waits: Any) -> Any:
    """Answer each question by the id of its interrupt, with a text that names it."""
    return {wait.id: f"A({wait.value['question']})" for wait in waits}


def answer_all_with(answer: Any) -> Callable[[Any], Any]:
    """Return what answers each question alike, by the id of its interrupt."""
    return lambda waits: {wait.id: answer for wait in waits}


# --- What the server received --------------------------------------------------------------------


def list_started_runs(coze: LocalCoze) -> list[Any]:
    """Return the parameters of all runs that were started."""
    return [r.body["parameters"] for r in coze.requests if r.path == STARTED]


def list_sent_answers(coze: LocalCoze) -> list[Any]:
    """Return what was sent in answer, in order."""
    return [r.body["resume_data"] for r in coze.requests if r.path == RESUMED]


def find_events_answered_twice(coze: LocalCoze) -> list[str]:
    """Return the events that were answered more than once."""
    counted = Counter(r.body["event_id"] for r in coze.requests if r.path == RESUMED)
    return [event for event, times in counted.items() if times > 1]
