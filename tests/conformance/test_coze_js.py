"""The official JavaScript SDK, unchanged, against the local server: what is not in the matrix."""

from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_coze.local import LocalBot
from tests.conformance.world import play, server, why_not_ready


@pytest.fixture(autouse=True)
def ready() -> None:
    if problem := why_not_ready("coze-js"):
        pytest.skip(problem)


def session(error_status: str, *calls: str) -> Mapping[str, Any]:
    with server("cloud", error_status) as coze:
        return play("coze-js", coze, *calls)


def test_errors_with_their_http_status() -> None:
    refused = {
        4000: "BadRequestError",
        4015: "BadRequestError",  # with the status 200 it is a mere APIError
        4100: "AuthenticationError",
        4101: "PermissionDeniedError",
        4200: "NotFoundError",
    }
    seen = session("real", *(f"error.{code}" for code in refused), "chat.stream.refused")
    for code, kind in refused.items():
        assert seen[f"error.{code}"] == {"error": [kind, code]}
    # A refused stream is an exception now, but the SDK does not read the code: 400 is the status.
    assert seen["chat.stream.refused"] == {"error": ["BadRequestError", 400]}


class Trip(MessagesState):
    place: str


def find(state: Trip) -> dict[str, Any]:
    return {"place": state["messages"][-1].text.strip("?").split()[-1]}


def describe(state: Trip) -> dict[str, Any]:
    model = GenericFakeChatModel(messages=iter([AIMessage(f"Hills of {state['place']}.")]))
    return {"messages": [model.invoke(state["messages"])]}


def check(state: Trip) -> dict[str, Any]:
    assert state["place"] in state["messages"][-1].text
    return {"place": ""}


def test_a_graph_of_three_nodes_is_a_bot() -> None:
    graph = StateGraph(Trip)
    for node in (find, describe, check):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "find")
    graph.add_edge("find", "describe")
    graph.add_edge("describe", "check")
    graph.add_edge("check", END)
    with server("cloud", tea=LocalBot(graph.compile(), name="tea")) as coze:
        seen = play("coze-js", coze, "chat.stream", "chat.create_and_poll")
    told = seen["chat.stream"]["saw"]
    assert told["deltas"] == ["Hills", " ", "of", " ", "tea."]  # as the model streams them
    assert told["answers"] == ["Hills of tea."]
    assert told["end"] == "conversation.chat.completed"
    assert seen["chat.create_and_poll"]["saw"][2] == ["Hills of tea."]
