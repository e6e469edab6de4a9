"""The project that a site serves: an agent or a workflow, converted to a graph."""

from __future__ import annotations

import asyncio
import inspect
import json
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, get_type_hints, is_typeddict

from langchain_core.messages import (
    AIMessageChunk,
    BaseMessage,
    ToolMessage,
    message_chunk_to_message,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import StreamWriter  # noqa: TC002 - LangGraph evaluates the annotation
from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from langchain_coze.local import reply_parts
from langchain_coze.local.bots import LocalBot
from langchain_coze.local.project.failures import FailedRunError
from langchain_coze.local.runtime.replying_bot import derive_name
from langchain_coze.local.runtime.stepping import ReplyThread
from langchain_coze.local.runtime.text import count_tokens
from langchain_coze.local.runtime.workflow_signature import (
    inspect_signature,
    parse_argument_docs,
    read_first_paragraph,
)
from langchain_coze.local.turn_context import Turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

_MAX_STEPS = 100  # of a stream; a graph's own limit elsewhere


class Project:
    """An agent or a workflow; its graph stores the sessions.

    Attributes:
        is_agent: Whether it is an agent.
        name: The name of the graph or function.
        schemas: The reply of `/graph_parameter`.

    Raises:
        TypeError: Both or neither are set, or the object cannot be served.
    """

    def __init__(self, agent: Any, workflow: Any) -> None:
        """Build the graph."""
        if (agent is None) == (workflow is None):
            raise TypeError("a site needs an agent or a workflow, not both: agent=… or workflow=…")
        self.is_agent = agent is not None
        served = agent if self.is_agent else workflow
        self.name = derive_name(served)
        is_graph = hasattr(served, "channels")
        self._mode = "messages" if is_graph else "custom"
        self.schemas: dict[str, Any] = {"input_schema": {}, "output_schema": {}}
        if self.is_agent:
            if is_graph and "messages" not in served.channels:
                raise TypeError("an agent's state needs `messages`; else pass it as workflow=…")
            graph = served if is_graph else _build_agent(served)
            memory = graph.checkpointer or InMemorySaver()
            graph = graph.copy({"checkpointer": memory})
        elif is_graph:
            graph = served
            schemas = _read_schemas(graph)
        else:
            graph, schemas = _build_workflow(served)
        if not self.is_agent:
            titles = {"input_schema": "GraphInput", "output_schema": "GraphOutput"}
            named = zip(titles.items(), schemas, strict=True)
            self.schemas = {name: {**schema, "title": title} for (name, title), schema in named}
            self.schemas |= {"code": 0, "msg": ""}
        self._graph = graph

    async def run(self, body: Any, thread_id: str) -> Any:
        """Return the output of a run, or the state of the agent after it."""
        return await self._graph.ainvoke(body, {"configurable": {"thread_id": thread_id}})

    def stream(self, body: Any, thread_id: Any, mode: str = "") -> AsyncGenerator[Any, None]:
        """Yield the stream of LangGraph; for an agent, messages with their metadata."""
        config = {"configurable": {"thread_id": thread_id}, "recursion_limit": _MAX_STEPS}
        items: AsyncGenerator[Any, None] = self._graph.astream(
            body, config, stream_mode=mode or self._mode
        )
        return items


# Agents that are not graphs -----------------------------------------------------------------------


def _build_agent(reply: Any) -> Any:
    """Return a graph with one node that streams a reply and stores its messages."""
    bot = LocalBot(reply)

    async def answer(state: MessagesState, writer: StreamWriter) -> dict[str, Any]:
        messages: dict[str | None, Any] = {}
        async with aclosing(_iterate_reply(bot, state["messages"])) as items:
            async for item in items:
                writer((item, {}))
                if isinstance(item, BaseMessage):
                    known = messages.get(item.id)
                    messages[item.id] = item if known is None else known + item
        return {"messages": [message_chunk_to_message(m) for m in messages.values()]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph.compile()


async def _iterate_reply(bot: LocalBot, history: list[Any]) -> AsyncGenerator[Any, None]:
    """Yield the parts of a reply as chunks, reasoning, and tool results."""
    turn = Turn(history[-1].text, bot)
    vars(turn)["messages"] = history  # instead of those of a chat's request
    answer_id, text = str(uuid.uuid4()), ""
    async with aclosing(bot.reply_source(turn)) as parts:
        async for part in parts:
            if isinstance(part, str):
                text += part
                yield AIMessageChunk(content=part, id=answer_id)
            elif isinstance(part, reply_parts.NewAnswer | reply_parts.ServerTool):
                if isinstance(part, reply_parts.ServerTool):
                    for message in _build_tool_messages(part, answer_id):
                        yield message
                elif text:
                    yield _build_end(answer_id, history, text)
                answer_id, text = str(uuid.uuid4()), ""
            elif await _process_part(part):
                yield part
    if text:
        yield _build_end(answer_id, history, text)


async def _process_part(part: Any) -> bool:
    """Process a part without text; return whether to stream it.

    Raises:
        FailedRunError: The part is a `Fail`.
        TypeError: Agents of coze.site do not support this part.
    """
    if isinstance(part, reply_parts.Fail):
        raise FailedRunError(part.code, part.msg)
    if isinstance(part, reply_parts.Pause):
        await asyncio.sleep(part.seconds)
        return False
    if isinstance(part, reply_parts.Reasoning):
        return True
    raise TypeError(f"an agent of coze.site cannot yield the type {type(part).__name__}")


def _build_end(answer_id: str, history: list[Any], text: str) -> AIMessageChunk:
    tokens = sum(count_tokens(message.text) for message in history), count_tokens(text)
    usage: Any = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    usage["total_tokens"] = sum(tokens)
    end = {"finish_reason": "stop"}
    return AIMessageChunk(content="", id=answer_id, response_metadata=end, usage_metadata=usage)


def _build_tool_messages(tool: reply_parts.ServerTool, answer_id: str) -> list[BaseMessage]:
    call_id, output = f"call_{uuid.uuid4().hex[:8]}", tool.output
    call: Any = {"name": tool.name, "args": json.dumps(tool.arguments), "id": call_id, "index": 0}
    text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    return [
        AIMessageChunk(content="", id=answer_id, tool_call_chunks=[call]),
        ToolMessage(text, tool_call_id=call_id, name=tool.name, id=str(uuid.uuid4())),
    ]


# Workflows that are functions -------------------------------------------------------------------


def _build_workflow(function: Callable[..., Any]) -> tuple[Any, tuple[Any, Any]]:
    """Return a graph with one node, and the schemas of its input and output."""
    if not callable(function):
        name = type(function).__name__
        raise TypeError(f"a workflow must be a compiled graph or a function, not of type {name}")
    model, result_type = _read_signature(function)

    async def run(body: Any) -> Mapping[str, Any]:
        keywords = dict(model.model_validate(body))
        thread = ReplyThread(lambda: iter([function(**keywords)]))
        async with aclosing(thread):
            output = await thread.asend(None)
        if inspect.isawaitable(output):
            output = await output
        if isinstance(output, reply_parts.Fail):
            raise FailedRunError(output.code, output.msg)
        plain = to_jsonable_python(output, fallback=str)
        return plain if isinstance(plain, dict) else {"output": plain}

    run.__name__ = derive_name(function)
    schema = _build_schema(result_type)
    if schema and schema.get("type") != "object":
        schema = {"properties": {"output": schema}, "required": ["output"], "type": "object"}
    return entrypoint()(run), (model.model_json_schema(), schema)


def _read_schemas(graph: Any) -> tuple[Any, Any]:
    try:
        return graph.get_input_jsonschema(), graph.get_output_jsonschema()
    except PydanticUserError:
        builder = graph.builder
        return _build_schema(builder.input_schema), _build_schema(builder.output_schema)


def _build_schema(kind: Any) -> dict[str, Any]:
    """Return the schema of a type; before Python 3.12, pydantic rejects `typing.TypedDict`."""
    if not is_typeddict(kind):
        return TypeAdapter(kind).json_schema(mode="serialization")
    hints = get_type_hints(kind, include_extras=True).items()
    fields: Any = {k: (hint, ... if k in kind.__required_keys__ else None) for k, hint in hints}
    model: type[BaseModel] = create_model(kind.__name__, **fields)
    return model.model_json_schema()


def _read_signature(function: Callable[..., Any]) -> tuple[type[BaseModel], Any]:
    """Return a model of a function's parameters, and its return type."""
    signature = inspect_signature(function)
    texts = dict(parse_argument_docs(inspect.getdoc(function) or ""))
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (kind, Field(default, description=texts.get(name)))
    result_type = signature.return_annotation
    model: type[BaseModel] = create_model("GraphInput", **fields)
    model.__doc__ = read_first_paragraph(function) or None
    return model, Any if result_type is signature.empty else result_type
