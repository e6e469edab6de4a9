"""Run a thread until this process is killed, while a workflow is started or answered.

python -m tests.integration_tests.killed_process sync|async GRAPH DURABILITY FOLDER [ANSWER]
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from langchain_coze import ChatCoze, CozeWorkflowTool, create_coze_agent, create_workflow_graph
from langchain_coze.local import Ask, ClientTool, LocalBot, LocalWorkflow, Message, Pause
from tests.integration_tests.agent_fixtures import make_thread_config
from tests.integration_tests.workflow_fixtures import (
    START_INPUT,
    build_send_graph,
    build_tool_node_graph,
    make_call,
)

HELD_SECONDS = 30  # longer than a process lives in a test
SAVE_SECONDS = 0.5  # for a slow database


def hold(table: str, question: bool = False) -> Generator[Any, Any, str]:  # noqa: FBT001, FBT002 - a parameter of a workflow
    """Book a table, which takes long."""
    if question:
        yield Ask("Which day?")
    yield Message("Booking", node_title="Book")
    yield Pause(HELD_SECONDS)
    return table


def host(question: str) -> Generator[Any, Any, None]:
    told = yield ClientTool("hold", make_arguments(question))
    yield f"Done: {told}"


HOLD, HOST = LocalWorkflow(hold), LocalBot(host, name="host")


def make_arguments(question: str) -> dict[str, Any]:
    return {"table": "by the window", "question": question == "ask"}


# --- Graphs --------------------------------------------------------------------------------------


class TableTrip(TypedDict, total=False):
    parameters: dict[str, Any]
    output: Any


def build_node(tool: CozeWorkflowTool, _: str, saver: Any) -> Any:
    graph = StateGraph(TableTrip)
    graph.add_node("book", create_workflow_graph(tool))
    return graph.add_edge(START, "book").compile(checkpointer=saver)


def build_workflow_graph(tool: CozeWorkflowTool, _: str, saver: Any) -> Any:
    return create_workflow_graph(tool, checkpointer=saver)


def build_coze_agent(tool: CozeWorkflowTool, _: str, saver: Any) -> Any:
    return create_coze_agent(ChatCoze(), [tool], name="host", checkpointer=saver)


def build_agent(tool: CozeWorkflowTool, question: str, saver: Any) -> Any:
    return build_send_graph(tool, [make_call("hold", **make_arguments(question))], saver)


def build_list(tool: CozeWorkflowTool, question: str, saver: Any) -> Any:
    return build_tool_node_graph(tool, [make_call("hold", **make_arguments(question))], saver)


BUILDERS: Mapping[str, Callable[[CozeWorkflowTool, str, Any], Any]] = {
    "create_coze_agent": build_coze_agent,
    "create_agent": build_agent,
    "ToolNode": build_list,
    "workflow graph": build_workflow_graph,
    "workflow node": build_node,
}


def make_graph_input(builder: str, question: str) -> Any:
    if builder.startswith("workflow"):
        return {"parameters": make_arguments(question)}
    return {"messages": [("user", question)]} if builder == "create_coze_agent" else START_INPUT


# --- The process ---------------------------------------------------------------------------------


class SlowSaver(SqliteSaver):
    """Takes long to store the checkpoints of the outer graph."""

    def put(self, config: Any, *args: Any) -> Any:
        if not config["configurable"].get("checkpoint_ns"):
            time.sleep(SAVE_SECONDS)
        return super().put(config, *args)


class AsyncSlowSaver(AsyncSqliteSaver):
    """Takes long to store the checkpoints of the outer graph."""

    async def aput(self, config: Any, *args: Any) -> Any:
        if not config["configurable"].get("checkpoint_ns"):
            await asyncio.sleep(SAVE_SECONDS)
        return await super().aput(config, *args)


def main(runner: str, builder: str, durability: Any, folder: str, answer: str = "") -> None:
    path, slow = str(Path(folder) / "threads.db"), durability == "slow"
    tool = CozeWorkflowTool.from_workflow(HOLD.workflow_id)
    given = Command(resume=answer) if answer else make_graph_input(builder, "go")
    options: Any = {"durability": "async" if slow else durability}

    async def run_async() -> None:
        saver_class = AsyncSlowSaver if slow else AsyncSqliteSaver
        async with saver_class.from_conn_string(path) as saver:
            graph = BUILDERS[builder](tool, "go", saver)
            await graph.ainvoke(given, make_thread_config(), **options)

    if runner == "async":
        asyncio.run(run_async())
        return
    with (SlowSaver if slow else SqliteSaver).from_conn_string(path) as saver:
        BUILDERS[builder](tool, "go", saver).invoke(given, make_thread_config(), **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
