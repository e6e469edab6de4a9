"""Tools of the client: requires_action, submit_tool_outputs, and what follows (wire 2.6)."""

import base64
import json
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Annotated, Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.runnables import RunnableGenerator, RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from langchain_coze.local import Ask, ClientTool, LocalBot, LocalCoze, ServerTool, Turn
from tests.integration_tests.local.local_client import LocalClient, answers, events, masked, user
from tests.integration_tests.local.polling import wait_for_chat

WEATHER = ClientTool("get_weather", {"city": "杭州 & more"})


def weather(_question: str) -> Iterator[Any]:
    yield "Let me look. "
    output = yield WEATHER
    yield f"It is {output}."


async def weather_in_loop(_question: str) -> AsyncIterator[Any]:
    yield "Let me look. "
    output = yield WEATHER
    yield f"It is {output}."


def two_rounds(_question: str) -> Iterator[Any]:
    first = yield ClientTool("one")
    both = yield (ClientTool("two", {"n": 1}), ClientTool("three", "{broken"))
    yield json.dumps([first, both])


def calls_of(response: httpx.Response) -> list[Any]:
    return list(action_of(response)["required_action"]["submit_tool_outputs"]["tool_calls"])


def action_of(response: httpx.Response) -> Any:
    return dict(events(response))["conversation.chat.requires_action"]


def submit(
    client: LocalClient, chat: Any, outputs: dict[str, str], *, stream: bool = True
) -> httpx.Response:
    return client.http.post(
        "/v3/chat/submit_tool_outputs",
        params={"conversation_id": chat["conversation_id"], "chat_id": chat["id"]},
        json={
            "stream": stream,
            "tool_outputs": [{"tool_call_id": k, "output": v} for k, v in outputs.items()],
        },
    )


def retrieved(client: LocalClient, chat: Any, *, ended: bool = True) -> Any:
    if ended:
        return wait_for_chat(client, chat)["data"]
    ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
    return client.get("/v3/chat/retrieve", **ids)["data"]


@pytest.mark.parametrize("reply", [weather, weather_in_loop])
def test_a_call_and_its_result_are_streamed(reply: Any) -> None:
    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        chat = action_of(stopped)
        went_on = submit(client, chat, {calls_of(stopped)[0]["id"]: "22 degrees"})
        ended = retrieved(client, chat)
        listed = client.get(
            "/v3/chat/message/list", conversation_id=chat["conversation_id"], chat_id=chat["id"]
        )["data"]
    assert [name.rpartition(".")[2] for name, _ in events(stopped)] == [
        *("created", "in_progress", "delta", "completed"),  # the text before the call
        *("completed", "completed", "completed", "requires_action", "done"),
    ]
    steps = [data for _, data in events(stopped)[4:7]]
    assert [step["type"] for step in steps] == ["function_call", "verbose", "verbose"]
    local_plugin = json.loads(steps[0]["content"])
    assert (local_plugin["name"], local_plugin["plugin_type"]) == ("ts-get_weather-get_weather", 6)
    assert [json.loads(step["content"])["msg_type"] for step in steps[1:]] == [
        *("interrupt", "generate_answer_finish"),
    ]
    assert r"\"finish_reason\":1" in steps[2]["content"]
    assert chat["status"] == "requires_action"
    assert chat["completed_at"]
    assert list(chat)[-3:] == ["usage", "required_action", "section_id"]
    assert chat["required_action"]["type"] == "submit_tool_outputs"
    (call,) = calls_of(stopped)
    assert call == {
        "id": call["id"],
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"杭州 \\u0026 more"}'},
        "require_info": None,
    }
    # As long as the recorded id of wire 2.6.
    assert len(base64.b64decode(call["id"])) == 44
    assert [name.rpartition(".")[2] for name, _ in events(went_on)] == [
        *("in_progress", "completed", "delta", "completed", "completed", "completed", "done"),
    ]
    repeated = events(went_on)[1][1]  # wire 2.6: Coze sends the output back
    assert (repeated["type"], repeated["content"]) == ("tool_response", "22 degrees")
    assert {data.get("chat_id", chat["id"]) for _, data in events(went_on)[:-1]} == {chat["id"]}
    assert answers(stopped) + answers(went_on) == ["Let me look. ", "It is 22 degrees."]
    assert ended["status"] == "completed"
    assert "required_action" not in ended
    assert ended["usage"]["output_count"] > 3
    assert [m["content"] for m in listed if m["type"] == "answer"] == [
        *("Let me look. ", "It is 22 degrees."),
    ]


def test_the_event_byte_for_byte() -> None:
    with LocalCoze(LocalBot(weather)) as coze, LocalClient(coze) as client:
        response = client.chat()
        call_id = calls_of(response)[0]["id"]
    end = masked(response.content).replace(call_id, "<call>").split("\n\n", 7)[-1]
    assert end == (
        "event:conversation.chat.requires_action\n"
        'data:{"id":"<0>","conversation_id":"<1>","bot_id":"<2>","created_at":0,'
        '"completed_at":0,"last_error":{"code":0,"msg":""},"status":"requires_action",'
        '"usage":{"token_count":0,"output_count":0,"input_count":0},'
        '"required_action":{"type":"submit_tool_outputs","submit_tool_outputs":{"tool_calls":['
        '{"id":"<call>","type":"function","function":{"name":"get_weather",'
        '"arguments":"{\\"city\\":\\"杭州 \\\\u0026 more\\"}"},"require_info":null}]}},'
        '"section_id":"<1>"}\n\n'
        'event:done\ndata:"[DONE]"\n\n'
    )


def test_several_rounds_and_calls_and_broken_arguments_are_possible() -> None:
    with LocalCoze(LocalBot(two_rounds)) as coze, LocalClient(coze) as client:
        first = client.chat()
        chat = action_of(first)
        second = submit(client, chat, {calls_of(first)[0]["id"]: "1"})
        two, three = calls_of(second)
        # The order of the request does not matter.
        third = submit(client, chat, {three["id"]: "3", two["id"]: "2"})
    assert [two["function"]["arguments"], three["function"]["arguments"]] == ['{"n":1}', "{broken"]
    assert answers(third) == ['["1", ["2", "3"]]']


def test_calls_and_results_work_without_a_stream() -> None:
    with LocalCoze(LocalBot(weather)) as coze, LocalClient(coze) as client:
        chat = client.created()
        waiting = retrieved(client, chat)
        (call,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
        reply = submit(client, chat, {call["id"]: "22"}, stream=False).json()
        ended = retrieved(client, chat)
    assert waiting["status"] == "requires_action"
    assert (reply["code"], reply["data"]["id"], reply["data"]["status"]) == (
        *(0, chat["id"]),
        "in_progress",
    )
    assert ended["status"] == "completed"


def test_invalid_submits_are_refused() -> None:
    with LocalCoze(LocalBot(weather)) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        chat, call_id = action_of(stopped), calls_of(stopped)[0]["id"]
        unknown = submit(client, chat | {"id": "7000000000000000001"}, {call_id: "x"}).json()
        ids = {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}
        cancelled = client.http.post("/v3/chat/cancel", json=ids).json()
        other = submit(client, chat, {call_id: "x", "other": "y"}).json()
        none = submit(client, chat, {}).json()
        no_text = client.http.post(
            "/v3/chat/submit_tool_outputs",
            params=ids,
            json={"tool_outputs": [{"tool_call_id": call_id, "output": 22}]},
        ).json()
        fine = submit(client, chat, {call_id: "x"})
        again = submit(client, chat, {call_id: "x"}).json()
        unsaved = client.chat(auto_save_history=False)
        lost = submit(client, action_of(unsaved), {calls_of(unsaved)[0]["id"]: "x"}).json()
    assert unknown["code"] == 4001
    assert cancelled["code"] == 4104
    assert (other["code"], "'other'" in other["msg"]) == (4000, True)
    assert (none["code"], "tool_outputs" in none["msg"]) == (4000, True)
    assert (no_text["code"], "tool_outputs[0].output" in no_text["msg"]) == (4000, True)
    assert answers(fine) == ["It is x."]
    assert (again["code"], "completed" in again["msg"]) == (4000, True)
    assert (lost["code"], "auto_save_history" in lost["msg"]) == (5000, True)


def test_every_call_of_an_action_needs_its_output() -> None:
    def both(_question: str) -> Generator[Any, Any, None]:
        outputs: Any = yield (ClientTool("a"), ClientTool("b"))
        yield outputs[1]

    with LocalCoze(LocalBot(both)) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        a, b = (call["id"] for call in calls_of(stopped))
        half = submit(client, action_of(stopped), {a: "1"}).json()
        whole = submit(client, action_of(stopped), {a: "1", b: "2"})
    assert (half["code"], b in half["msg"]) == (4000, True)
    assert answers(whole) == ["2"]


def test_a_chat_that_waits_does_not_block_its_conversation() -> None:
    def reply(question: str, turn: Turn) -> Iterator[Any]:
        if question == "hi":
            yield from weather(question)
        else:
            yield " | ".join(message.type for message in turn.messages)

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        chat = action_of(stopped)
        asked = client.chat(
            conversation_id=chat["conversation_id"], additional_messages=[user("else")]
        )
        late = submit(client, chat, {calls_of(stopped)[0]["id"]: "x"})
    # The call that nobody has answered is no history that a model would take.
    assert answers(asked) == ["human | ai | human"]
    assert answers(late) == ["It is x."]


def test_a_question_may_come_without_the_event_of_an_action() -> None:
    """Both forms are documented (wire 4.6)."""
    with LocalCoze(LocalBot(lambda _: Ask("Which?"), name="ask")) as coze, LocalClient(coze) as own:
        names = [[name for name, _ in events(own.chat(fault=f))] for f in ("", "no_action")]
    assert names[0][-2:] == ["conversation.chat.requires_action", "done"]
    assert names[1] == [*names[0][:-2], "done"]


@pytest.mark.parametrize("kind", ["model", "chunks", "graph"])
def test_a_runnable_whose_message_has_tool_calls(kind: str) -> None:
    seen: list[list[AnyMessage]] = []

    def call_model(messages: list[AnyMessage]) -> AIMessage:
        seen.append(list(messages))
        if isinstance(messages[-1], ToolMessage):
            return AIMessage(f"It is {messages[-1].content}.")
        call = {"name": "get_weather", "args": {"city": "杭州"}, "id": "c1"}
        return AIMessage("Let me look. ", tool_calls=[call])

    bot = LocalBot(runnable_of(kind, call_model), name=kind)
    with LocalCoze(bot) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        chat = action_of(stopped)
        went_on = submit(client, chat, {calls_of(stopped)[0]["id"]: "22"})
        client.chat(conversation_id=chat["conversation_id"])
    assert calls_of(stopped)[0]["function"] == {
        "name": "get_weather",
        "arguments": '{"city":"杭州"}',
    }
    assert answers(stopped) + answers(went_on) == ["Let me look. ", "It is 22."]
    asking, answering, later = seen
    assert [m.type for m in asking] == ["human"]
    assert [m.type for m in answering] == ["human", "ai", "tool"]
    assert answering[-1].tool_call_id == answering[-2].tool_calls[0]["id"] == "c1"  # type: ignore[union-attr]
    # A later turn of the conversation knows the call and its result.
    assert [m.type for m in later] == ["human", "ai", "tool", "ai", "human"]
    assert later[1].tool_calls[0]["args"] == {"city": "杭州"}  # type: ignore[union-attr]
    assert later[2].content == "22"


class ToolLoopState(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


def runnable_of(kind: str, call_model: Any) -> Any:
    if kind == "model":
        return RunnableLambda(call_model)
    if kind == "chunks":

        def stream(inputs: Iterator[Any]) -> Iterator[AIMessageChunk]:
            yield from chunks_of(call_model(next(inputs)))

        return RunnableGenerator(stream)

    def node(state: ToolLoopState) -> Any:
        return {"messages": [call_model(state["messages"])]}

    graph = StateGraph(ToolLoopState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_edge("node", END)
    return graph.compile()


def chunks_of(message: AIMessage) -> Iterator[AIMessageChunk]:
    """What a streaming model makes of a message: its arguments come in pieces."""
    for letter in message.text:
        yield AIMessageChunk(content=letter, id="m")
    for index, call in enumerate(message.tool_calls):
        arguments = json.dumps(call["args"])
        parts = [(call["name"], call["id"], arguments[:5]), (None, None, arguments[5:])]
        for name, call_id, text in parts:
            piece = tool_call_chunk(name=name, args=text, id=call_id, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[piece], id="m")


def test_a_graph_runs_its_own_tools_and_leaves_the_others() -> None:
    def plan(state: ToolLoopState) -> Any:
        if isinstance(state["messages"][-1], ToolMessage):
            return {"messages": [AIMessage("done")]}
        call = {"name": "own", "args": {"a": 1}, "id": "c1"}
        return {"messages": [AIMessage("", tool_calls=[call])]}

    def own_tool(state: ToolLoopState) -> Any:  # noqa: ARG001 - LangGraph passes it by name
        result = ToolMessage("ok", tool_call_id="c1", name="own")
        call = {"name": "theirs", "args": {}, "id": "c2"}
        return {"messages": [result, AIMessage("", tool_calls=[call])]}

    graph = StateGraph(ToolLoopState)
    graph.add_node("plan", plan)
    graph.add_node("tool", own_tool)
    graph.add_conditional_edges(
        START, lambda state: "plan" if len(state["messages"]) in {1, 5} else "tool"
    )
    graph.add_conditional_edges(
        "plan", lambda state: "tool" if state["messages"][-1].tool_calls else END
    )
    graph.add_edge("tool", END)
    with LocalCoze(LocalBot(graph.compile(), name="graph")) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        went_on = submit(client, action_of(stopped), {calls_of(stopped)[0]["id"]: "x"})
    types = [data["type"] for name, data in events(stopped) if "message.completed" in name]
    # its own call and result, then the call that is left to the client
    assert types == ["function_call", "tool_response", "function_call", "verbose", "verbose"]
    assert [call["function"]["name"] for call in calls_of(stopped)] == ["theirs"]
    assert answers(went_on) == ["done"]


def test_a_reply_may_fail_after_the_result() -> None:
    def reply(_question: str) -> Iterator[Any]:
        output = yield WEATHER
        raise LookupError(output)

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        stopped = client.chat()
        went_on = submit(client, action_of(stopped), {calls_of(stopped)[0]["id"]: "lost"})
    name, chat = events(went_on)[-1]
    assert (name, chat["last_error"]["msg"]) == ("conversation.chat.failed", "LookupError: lost")


def test_a_server_stops_at_once_while_chats_wait() -> None:
    with LocalCoze(LocalBot(weather), stop_timeout=5) as coze, LocalClient(coze) as client:
        client.chat()
        begin = time.monotonic()
    assert time.monotonic() - begin < 2


def test_a_server_tool_needs_no_client() -> None:
    def reply(_question: str) -> Iterator[Any]:
        assert (yield ServerTool("a-b")) is None
        yield "fine"

    with LocalCoze(LocalBot(reply)) as coze, LocalClient(coze) as client:
        assert answers(client.chat()) == ["fine"]
