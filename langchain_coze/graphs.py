"""LangGraph graphs: a bot with its tools, or one workflow.

Coze runs the loop of a bot's model and plugins. Only the bot's local plugins (端插件) run on the
client. `create_coze_agent` runs their calls and submits the results to the same chat (wire section
2.6) until the bot has finished.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolMessage
from langchain_core.runnables import Runnable, RunnableBinding, RunnableConfig, RunnableLambda
from langchain_core.runnables.configurable import DynamicRunnable
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import get_runtime
from langgraph.types import Send
from typing_extensions import TypedDict

from langchain_coze import _hints as hints
from langchain_coze._base.bot import PER_CALL_FIELDS
from langchain_coze._base.unsupported import reject_misspelt
from langchain_coze._workflows.graph import WorkflowNodes, build_workflow_graph
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.tools import BaseTool
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore
    from langgraph.types import All, Checkpointer

    from langchain_coze.tools import CozeWorkflowTool

_MODEL, _TOOLS, _INVALID = "model", "tools", "refuse"
_CONTEXT_ARGUMENTS = PER_CALL_FIELDS - {"model"}


class CozeContext(TypedDict, total=False):
    """The bot's options for one run: `agent.invoke(…, context={"user_id": "42"})`.

    A custom schema may have further keys for your tools, and may be a dataclass or a pydantic
    model. All options that can be set per call of `ChatCoze`, except `model`, are passed to it.

    Attributes:
        user_id: The end user.
        conversation_id: A conversation stored by Coze; in a graph with several bots, a map of bot
            ids to conversation ids.
        custom_variables: Values of the bot's prompt variables.
        parameters: Start-node values of a bot in chatflow mode, or of a chatflow.

    Example:
        ```python
        from langchain_coze import CozeContext

        context: CozeContext = {"user_id": "42", "custom_variables": {"city": "杭州"}}
        ```
    """

    user_id: str
    conversation_id: str | Mapping[str, str]
    custom_variables: Mapping[str, Any]
    parameters: Mapping[str, Any]


def create_coze_agent(  # noqa: PLR0913 - the options of `compile`
    model: Runnable[Any, Any],
    tools: Sequence[BaseTool | Callable[..., Any]] | ToolNode = (),
    *,
    name: str,
    checkpointer: Checkpointer = None,
    store: BaseStore | None = None,
    state_schema: type[Any] = MessagesState,
    context_schema: type[Any] = CozeContext,
    interrupt_before: All | list[str] | None = None,
    interrupt_after: All | list[str] | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Create a graph of one bot and its client tools.

    The graph has the usual `messages` state and the nodes `model` and `tools`. Parallel calls run
    in separate tasks, so that each can `interrupt()` and be resumed. A call of an unknown tool, or
    with arguments that are not valid JSON, gets an error as its result, so that the bot can
    continue. Exceptions of a tool are raised, as in a `ToolNode`. The graph can be a node or a
    subgraph of other graphs, or an agent of a supervisor or swarm, and `langgraph dev` can serve
    it.

    Args:
        model: A `ChatCoze`, or any chat model or Runnable with `bind_tools`.
        tools: The implementations of the bot's local plugins: tools or functions with the names of
            the plugins, or a custom `ToolNode`. Their definitions are not sent to Coze.
        name: The agent's name in its messages and in parent graphs. It must be unique.
        checkpointer: Where threads are stored. This and the arguments below are LangGraph's.
        store: The store for tools.
        state_schema: A state with `messages`, and with other keys for tools (`InjectedState`).
        context_schema: The schema of `context=`; see `CozeContext`.
        interrupt_before: Nodes to stop before, for example `["tools"]`.
        interrupt_after: Nodes to stop after.

    Returns:
        A compiled graph. When it runs, it raises the errors of the model (such as `CozeError`) and
        of the tools.

    Raises:
        CozeInvalidRequestError: The name is not valid, or the model does not support tools.

    Source: Coze API, submit tool outputs (wire section 2.6).

    Example:
        ```python
        from langchain_coze import ChatCoze, create_coze_agent
        from langchain_coze.local import ClientTool, LocalBot, LocalCoze


        def weather_bot(question: str):
            weather = yield ClientTool("get_weather", {"city": "Hangzhou"})
            yield f"The weather: {weather}"


        def get_weather(city: str) -> str:
            "Return the weather of a city."
            return f"sunny in {city}"


        coze = LocalCoze(LocalBot(weather_bot)).start()
        bot = ChatCoze(bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url)
        agent = create_coze_agent(bot, [get_weather], name="weather")
        question = {"messages": [("user", "What is the weather like?")]}
        for chunk, _ in agent.stream(question, stream_mode="messages"):
            print(chunk.text, end="")
        ```
    """
    if not isinstance(model, Runnable):
        raise CozeInvalidRequestError(
            f"create_coze_agent needs a chat model, got {model!r:.80}.", hint=hints.CHAT_COZE
        )
    _check_name(name)
    node = tools if isinstance(tools, ToolNode) else ToolNode(tools)
    graph = StateGraph(state_schema, context_schema=context_schema)
    bound = _bind_tools(model, list(node.tools_by_name.values()))
    graph.add_node(_MODEL, _build_model_node(bound, name))
    graph.add_edge(START, _MODEL)
    if node.tools_by_name:
        graph.add_node(_TOOLS, node)
        graph.add_node(_INVALID, RunnableLambda[Any, Any](_answer_invalid_calls))
        graph.add_conditional_edges(_MODEL, _route_tool_calls, [_MODEL, _TOOLS, _INVALID, END])
        for result_node in (_TOOLS, _INVALID):
            graph.add_conditional_edges(result_node, _route_results(node), [_MODEL, END])
    return graph.compile(
        checkpointer=checkpointer,
        store=store,
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
        name=name,
    )


def create_workflow_graph(
    tool: CozeWorkflowTool, *, name: str | None = None, checkpointer: Checkpointer = None
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Create a graph of one workflow, to use in another graph or to serve with `langgraph dev`.

    A question of the workflow is an `interrupt`; `Command(resume=answer)` continues the same run.
    This requires a checkpointer, in this graph or in its parent. With one, each request is
    announced in a checkpoint before it is sent: if the process is killed, continuing the thread
    raises `CozeUnknownResultError`, and nothing is sent again. This does not hold with
    `durability="exit"`, because LangGraph then stores no checkpoint before the graph ends or is
    interrupted.

    Args:
        tool: The workflow.
        name: The name of the graph; by default the name of the tool.
        checkpointer: Where threads are stored, as in LangGraph.

    Returns:
        A compiled graph: `{"parameters": dict}` in, `{"output": …, "run": dict}` out; `run` has the
        fields of a `WorkflowRun`. When it runs, it raises `CozeWorkflowError`,
        `CozeUnknownResultError` and other `CozeError`s.

    Raises:
        CozeInvalidRequestError: The name is not valid.

    Source: Coze API, stream run and stream resume (wire section 4.4).

    Example:
        ```python
        from langchain_coze import CozeWorkflowTool, create_workflow_graph
        from langchain_coze.local import LocalCoze


        def weather(city: str) -> str:
            return f"sunny in {city}"


        coze = LocalCoze(workflows=weather).start()
        tool = CozeWorkflowTool.from_workflow(
            coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url
        )
        graph = create_workflow_graph(tool)
        state = graph.invoke({"parameters": {"city": "杭州"}})
        assert state["output"] == {"output": "sunny in 杭州"}
        ```
    """
    name = tool.name if name is None else name
    _check_name(name)
    nodes = WorkflowNodes(make_engine=tool._make_engine)  # noqa: SLF001 - internal to this package
    return build_workflow_graph(nodes, name=name, checkpointer=checkpointer)


def _check_name(name: str) -> None:
    # | and : are LangGraph's separators of nested graphs
    if not isinstance(name, str) or not name.strip() or set(name) & {"|", ":"}:
        raise CozeInvalidRequestError(
            f"{name!r} is not a valid name for a graph.", hint=hints.GRAPH_NAME
        )


# --- The model -----------------------------------------------------------------------------------


def _build_model_node(bound: Runnable[Any, Any], name: str) -> RunnableLambda[Any, Any]:
    """Return the node that calls the bot."""

    def name_answer(answer: BaseMessage) -> dict[str, Any]:
        return {"messages": [answer.model_copy(update={"name": name})]}

    def call_model(state: Any, config: RunnableConfig) -> dict[str, Any]:
        arguments = _read_context_arguments()
        return name_answer(bound.invoke(_get_messages(state), config, **arguments))

    async def acall_model(state: Any, config: RunnableConfig) -> dict[str, Any]:
        arguments = _read_context_arguments()
        return name_answer(await bound.ainvoke(_get_messages(state), config, **arguments))

    return RunnableLambda(call_model, acall_model, name=_MODEL)


def _bind_tools(model: Runnable[Any, Any], tools: Sequence[BaseTool]) -> Runnable[Any, Any]:
    """Return a model with bound tools; the model may already have bindings, or be configurable."""
    if not tools:
        return model
    if isinstance(model, RunnableBinding):  # `bind_tools` would drop the existing bindings
        return model.model_copy(update={"bound": _bind_tools(model.bound, tools)})
    if isinstance(model, DynamicRunnable):
        return _ConfigurableModel(default=model, tools=list(tools))
    if not hasattr(model, "bind_tools"):
        raise CozeInvalidRequestError(
            f"The model ({type(model).__name__}) does not support tools: it has no bind_tools.",
            hint=hints.CHAT_MODEL,
        )
    return cast("BaseChatModel", model).bind_tools(tools)


class _ConfigurableModel(DynamicRunnable[Any, Any]):
    """A configurable model; tools are bound after a call's config has selected the model."""

    default: Any
    tools: list[Any]

    def _prepare(
        self, config: RunnableConfig | None = None
    ) -> tuple[Runnable[Any, Any], RunnableConfig]:
        model, config = self.default.prepare(config)
        return _bind_tools(model, self.tools), config


def _read_context_arguments() -> dict[str, Any]:
    """Return the call arguments in the context of the run."""
    context = get_runtime().context
    if context is None:
        return {}
    if not isinstance(context, Mapping):  # a dataclass or a pydantic model
        context = {key: getattr(context, key, None) for key in _CONTEXT_ARGUMENTS}
    for key in context.keys() - _CONTEXT_ARGUMENTS:
        reject_misspelt(str(key), _CONTEXT_ARGUMENTS, owner="The context of a run")
    return {key: context[key] for key in _CONTEXT_ARGUMENTS if context.get(key) is not None}


def _get_messages(state: Any) -> list[BaseMessage]:
    return list(state["messages"] if isinstance(state, Mapping) else state.messages)


# --- The tools -----------------------------------------------------------------------------------


def _route_tool_calls(state: Any) -> str | list[Send]:
    """Return the next step after the last answer: a task for each of its calls, or the end."""
    asking, results = _find_last_answer(state)
    if not (asking.tool_calls or asking.invalid_tool_calls):
        return END
    # the state may already contain results, for example from update_state
    done = {m.tool_call_id for m in results if isinstance(m, ToolMessage)}
    sends = [Send(_TOOLS, [call]) for call in asking.tool_calls]
    sends += [Send(_INVALID, [call]) for call in asking.invalid_tool_calls]
    return [send for send in sends if send.arg[0]["id"] not in done] or _MODEL


def _answer_invalid_calls(state: list[InvalidToolCall]) -> dict[str, Any]:
    """Answer a call with invalid JSON arguments with an error, so that the bot can retry."""
    (call,) = state
    text = f"The arguments of this call are not valid JSON: {call['args']}"
    result = ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error")
    return {"messages": [result]}


def _route_results(node: ToolNode) -> Callable[[Any], str]:
    """Return a router after the tools: to the bot, or to the end after `return_direct`."""
    direct = {name for name, tool in node.tools_by_name.items() if tool.return_direct}

    def route(state: Any) -> str:
        calls = _find_last_answer(state)[0].tool_calls
        return END if any(call["name"] in direct for call in calls) else _MODEL

    return route


def _find_last_answer(state: Any) -> tuple[AIMessage, list[BaseMessage]]:
    """Return the last answer of a state, and the messages after it."""
    following: list[BaseMessage] = []
    for message in reversed(_get_messages(state)):
        if isinstance(message, AIMessage):
            return message, following
        following.append(message)
    return AIMessage(""), following
