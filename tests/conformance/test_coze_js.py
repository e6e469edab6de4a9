"""The official JavaScript SDK, unchanged, against the local server: what is not in the matrix."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance.sdk_runner import play, play_at, server, why_not_ready
from tests.conformance.served_graph import ANSWER, served_graph


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
        4101: "PermissionDeniedError",
        4200: "NotFoundError",
    }
    seen = session("real", *(f"error.{code}" for code in refused), "chat.stream.refused")
    for code, kind in refused.items():
        assert seen[f"error.{code}"] == {"error": [kind, code]}
    # A refused stream is an exception now, but the SDK does not read the code: 400 is the status.
    assert seen["chat.stream.refused"] == {"error": ["BadRequestError", 400]}


def test_a_graph_of_three_nodes_is_a_bot() -> None:
    with served_graph() as graph:
        facts = {"bots": {"tea": graph.bot_id}, "workflows": {}}
        place = (graph.base_url, graph.token, facts)
        seen = play_at("coze-js", *place, "chat.stream", "chat.create_and_poll")
    told = seen["chat.stream"]["saw"]
    assert told["deltas"] == [f"{word} " for word in ANSWER.split()]  # as the model streams them
    assert told["answers"] == [ANSWER]
    assert told["end"] == "conversation.chat.completed"
    assert seen["chat.create_and_poll"]["saw"][2] == [ANSWER]
