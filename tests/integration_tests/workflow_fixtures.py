"""Workflows that ask questions, graphs that call them, and the requests of their runs."""

from __future__ import annotations

import asyncio
import json
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
from tests.integration_tests.agent_fixtures import get_tool_messages, make_thread_config

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
    if coze.profile == "studio":  # it has no route for the schema
        fields = {"name": workflow.name, "args_schema": _ANY_ARGUMENTS, **fields}
        return CozeWorkflowTool(workflow_id=workflow.workflow_id, **{**about, **fields})
    return CozeWorkflowTool.from_workflow(workflow.workflow_id, **{**about, **fields})


_ANY_ARGUMENTS = {"title": "flow", "description": "Runs.", "type": "object", "properties": {}}


def make_call(tool: str = "book", /, id: str = "c_a", **args: Any) -> dict[str, Any]:  # noqa: A002 - the field's own name
    return {"name": tool, "args": args, "id": id, "type": "tool_call"}


ONE_QUESTION = [make_call(name="a", questions=1)]
ONE_CALL = [make_call(name="a", questions=2)]
_COUNTS = {"a": 1, "b": 2, "c": 1}
THREE_CALLS = [make_call(id=f"c_{name}", name=name, questions=n) for name, n in _COUNTS.items()]


# --- Graphs that call tools ----------------------------------------------------------------------


class CallingModel(BaseChatModel):
    """A model that makes calls, and says "done" when they have been answered."""

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
    """Return an agent that runs each call in a separate task, by Send."""
    agents = pytest.importorskip("langchain.agents")
    return agents.create_agent(
        CallingModel(calls=list(calls)), _as_list(tools), checkpointer=checkpointer, **options
    )


def build_tool_node_graph(
    tools: Any, calls: Sequence[Any], checkpointer: Any = None, **options: Any
) -> Any:
    """Return a graph that runs all calls of a message in one task."""

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


# --- Threads -------------------------------------------------------------------------------------


class ThreadRun(NamedTuple):
    """A run of a graph from its input to its end.

    Attributes:
        state: The state at the end.
        questions: The questions of each interruption.
    """

    state: Any
    questions: list[list[str]]

    @property
    def tool_results(self) -> list[str]:
        """The contents of the tool messages."""
        return [str(message.content) for message in get_tool_messages(self.state)]


def answer_each(waits: Any) -> Any:
    """Answer each question by the id of its interrupt, with a text that names it."""
    return {wait.id: f"A({wait.value['question']})" for wait in waits}


def answer_all_with(answer: Any) -> Callable[[Any], Any]:
    """Return a function that gives all questions the same answer, by their ids."""
    return lambda waits: {wait.id: answer for wait in waits}


ThreadRunner = Callable[..., ThreadRun]
_MAX_INTERRUPTIONS = 9  # a graph that asks more often is broken
_Call = tuple[str, tuple[Any, ...], dict[str, Any]]


def _run_thread(
    config: Any = None,
    answers: Callable[[Any], Any] = answer_each,
    graph_input: Any = START_INPUT,
    max_answers: int = _MAX_INTERRUPTIONS,
    **options: Any,
) -> Generator[_Call, Any, ThreadRun]:
    """Run a graph and answer its questions until it ends.

    Yields the method of the graph to call, with its arguments, and is sent the result. Without
    input, it begins with the questions that the thread is waiting for.
    """
    config = config or make_thread_config()
    questions: list[list[str]] = []
    if graph_input is None:
        state = {"__interrupt__": (yield "get_state", (config,), {}).interrupts}
    else:
        state = yield "invoke", (graph_input, config), options
    while (waits := state.get("__interrupt__")) and len(questions) < max_answers:
        questions.append([wait.value.get("question", "") for wait in waits])
        state = yield "invoke", (Command(resume=answers(waits)), config), options
    return ThreadRun(state, questions)


def run_thread_sync(
    build: Callable[[Any], Any],
    folder: Path,
    *,
    open_saver: OpenSaver = memory_saver,
    **settings: Any,
) -> ThreadRun:
    """Run a graph as `_run_thread` says, with its blocking methods."""
    with open_saver(folder) as saver:
        graph, steps = build(saver), _run_thread(**settings)
        result = None
        while True:
            try:
                method, args, options = steps.send(result)
            except StopIteration as end:
                run: ThreadRun = end.value
                return run
            result = getattr(graph, method)(*args, **options)


def run_thread_async(
    build: Callable[[Any], Any],
    folder: Path,
    *,
    open_saver: OpenSaver = memory_saver,
    **settings: Any,
) -> ThreadRun:
    """Run a graph as `_run_thread` says, with its asynchronous methods."""

    async def run() -> ThreadRun:
        async with _ASYNC[open_saver](folder) as saver:
            graph, steps = build(saver), _run_thread(**settings)
            result = None
            while True:
                try:
                    method, args, options = steps.send(result)
                except StopIteration as end:
                    done: ThreadRun = end.value
                    return done
                result = await getattr(graph, f"a{method}")(*args, **options)

    return asyncio.run(run())


THREAD_RUNNERS = [
    pytest.param(run_thread_sync, id="sync"),
    pytest.param(run_thread_async, id="async"),
]
SAVERS = [memory_saver, sqlite_saver]


def get_output(state: Any) -> Any:
    """Return the output of the only call of a graph."""
    (message,) = get_tool_messages(state)
    return json.loads(str(message.content))


def list_questions(state: Any) -> list[str]:
    """Return the questions that a graph waits for."""
    return [wait.value["question"] for wait in state.get("__interrupt__", ())]


# --- Requests that the server has received -------------------------------------------------------


def list_started_runs(coze: LocalCoze) -> list[Any]:
    """Return the parameters of all runs that were started."""
    return [r.body["parameters"] for r in coze.requests if r.path == STARTED]


def list_sent_answers(coze: LocalCoze) -> list[Any]:
    """Return the answers that were sent, in order."""
    return [r.body["resume_data"] for r in coze.requests if r.path == RESUMED]


def find_events_answered_twice(coze: LocalCoze) -> list[str]:
    """Return the events that were answered more than once."""
    counted = Counter(r.body["event_id"] for r in coze.requests if r.path == RESUMED)
    return [event for event, times in counted.items() if times > 1]
