"""The agent of the web example, and what the page is told while it runs.

The bot answers. When it calls the workflow as its tool, or when a user starts the workflow from the
page, the workflow may ask a person: then the graph stops with an interrupt, and the answer, which
may reach another worker days later, resumes it from the checkpoint.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langgraph.types import Command

from langchain_coze import (
    ChatCoze,
    CozeError,
    CozeWorkflowTool,
    create_coze_agent,
    create_workflow_graph,
    recalled_documents,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

logger = logging.getLogger(__name__)


class Event(NamedTuple):
    """What the page is told: its kind, and its fields."""

    kind: str
    fields: Mapping[str, Any]


class Graphs(NamedTuple):
    """The agent, and the workflow alone; both keep their threads in one checkpointer."""

    agent: CompiledStateGraph[Any, Any, Any, Any]
    workflow: CompiledStateGraph[Any, Any, Any, Any] | None
    tool: CozeWorkflowTool | None

    def describe_workflow(self) -> dict[str, Any] | None:
        """Return the name, the description and the inputs of the workflow."""
        if self.tool is None:
            return None
        schema: Any = self.tool.args_schema
        if not isinstance(schema, dict):
            schema = schema.model_json_schema()
        names = ("properties", "required")
        inputs = {name: schema.get(name, {}) for name in names}
        return {"name": self.tool.name, "description": self.tool.description, **inputs}


async def build_graphs(checkpointer: BaseCheckpointSaver[Any]) -> Graphs:
    """Build the graphs from COZE_API_BASE, COZE_API_TOKEN, COZE_BOT_ID and COZE_WORKFLOW_ID.

    Raises:
        CozeError: A setting is missing, or Coze does not let the workflow be read.
    """
    # A reader who leaves ends the chat in Coze: a bot must not go on talking to nobody.
    bot = ChatCoze(cancel_on_close=True)
    tool, workflow = None, None
    if workflow_id := os.environ.get("COZE_WORKFLOW_ID"):
        tool = await CozeWorkflowTool.afrom_workflow(workflow_id)
        workflow = create_workflow_graph(tool, checkpointer=checkpointer)
    tools = [tool] if tool else []
    agent = create_coze_agent(bot, tools, name="web_chat", checkpointer=checkpointer)
    return Graphs(agent, workflow, tool)


async def run_agent(
    graphs: Graphs, thread: str, user: str, content: str | Command[Any]
) -> AsyncIterator[Event]:
    """Ask the bot, or give the answer that its workflow waits for; yield what happens."""
    started = {"messages": [HumanMessage(content)]} if isinstance(content, str) else content
    context = {"user_id": user}
    async for event in _run(graphs.agent, started, _configure(thread), context):
        yield event


async def run_workflow(
    graphs: Graphs, thread: str, content: Mapping[str, Any] | Command[Any]
) -> AsyncIterator[Event]:
    """Run the workflow alone, or give the answer that it waits for; yield what happens."""
    if graphs.workflow is None:
        yield Event("error", {"message": "COZE_WORKFLOW_ID is not set."})
        return
    started = content if isinstance(content, Command) else {"parameters": dict(content)}
    async for event in _run(graphs.workflow, started, _configure(f"{thread}/workflow"), None):
        yield event


async def read_thread(graphs: Graphs, thread: str) -> list[Event]:
    """Return what the page showed of a thread, and the questions that still wait."""
    state = await graphs.agent.aget_state(_configure(thread))
    events: list[Event] = []
    for message in state.values.get("messages", ()):
        events += _read_stored(message)
    events += [_ask(interrupt, "agent") for interrupt in state.interrupts]
    if graphs.workflow is not None:
        run = await graphs.workflow.aget_state(_configure(f"{thread}/workflow"))
        events += [_ask(interrupt, "workflow") for interrupt in run.interrupts]
    return events


def _configure(thread: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread}}


async def _run(
    graph: CompiledStateGraph[Any, Any, Any, Any],
    content: Any,
    config: RunnableConfig,
    context: Any,
) -> AsyncIterator[Event]:
    origin = "agent" if context else "workflow"
    try:
        parts: AsyncIterator[Any] = graph.astream(
            content, config, context=context, stream_mode=["messages", "custom", "updates"]
        )
        async for mode, part in parts:
            if mode == "messages":
                events = _read_streamed(part[0])
            elif mode == "custom":
                events = iter([Event("progress", part)])
            else:
                events = _read_update(part, origin)
            for event in events:
                yield event
    except CozeError as error:
        yield describe_error(error)
    except Exception:
        logger.exception("a turn failed")
        yield Event("error", {"message": "Something failed on this site; its log says what."})


def describe_error(error: CozeError) -> Event:
    """Return what the page says of an error; it has no secret in it."""
    fields = {"message": error.message, "hint": error.hint, "code": error.code}
    return Event("error", fields | {"logid": error.logid})


# From messages and updates to events --------------------------------------------------------------


def _read_streamed(message: BaseMessage) -> Iterator[Event]:
    """Return the events of a chunk, or of the result of a tool."""
    if isinstance(message, ToolMessage):
        yield Event("tool_result", {"id": message.tool_call_id, "content": message.text})
    elif isinstance(message, AIMessageChunk):
        yield from _read_blocks(message)


def _read_blocks(message: AIMessage) -> Iterator[Event]:
    for block in message.content_blocks:
        if block["type"] == "text" and block["text"]:
            yield Event("text", {"id": message.id, "text": block["text"]})
        elif block["type"] == "reasoning" and block.get("reasoning"):
            yield Event("reasoning", {"id": message.id, "text": block["reasoning"]})
        elif block["type"] == "server_tool_call":
            yield Event("tool_call", {k: block.get(k) for k in ("id", "name", "args")})
        elif block["type"] == "server_tool_result":
            result = {"id": block["tool_call_id"], "content": block.get("output")}
            yield Event("tool_result", result)


def _read_update(update: Mapping[str, Any], origin: str) -> Iterator[Event]:
    for node, values in update.items():
        if node == "__interrupt__":
            yield from (_ask(interrupt, origin) for interrupt in values)
        elif values and node == "model":
            yield from _read_end(values["messages"][-1])
        elif values and origin == "workflow" and values.get("output") is not None:
            yield Event("output", {"output": values["output"]})


def _read_end(answer: AIMessage) -> Iterator[Event]:
    """Return what is known when an answer is complete."""
    for document in recalled_documents(answer):
        about = document.metadata
        yield Event(
            "source",
            {
                "title": about.get("document_name") or about.get("title") or "",
                "url": about.get("source", ""),
                "content": document.page_content,
                "score": about.get("score"),
            },
        )
    for call in answer.tool_calls:
        yield Event("tool_call", {k: call[k] for k in ("id", "name", "args")})
    if answer.usage_metadata:
        yield Event("usage", dict(answer.usage_metadata))
    for question in answer.response_metadata.get("follow_up_questions", ()):
        yield Event("follow_up", {"text": question})


def _read_stored(message: BaseMessage) -> Iterator[Event]:
    if isinstance(message, HumanMessage):
        yield Event("question", {"text": message.text})
    elif isinstance(message, AIMessage):
        yield from _read_blocks(message)
        yield from _read_end(message)
    else:
        yield from _read_streamed(message)


def _ask(interrupt: Any, origin: str) -> Event:
    value = interrupt.value
    fields = {"id": interrupt.id, "of": origin, "question": value["question"]}
    return Event(
        "ask", fields | {"options": value["options"], "inputs": value["required_parameters"]}
    )
