"""Resuming workflows from old checkpoints of LangGraph."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from langchain_coze.local import LocalCoze
from tests.conftest import serve
from tests.integration_tests.agent_fixtures import INVOKE_STYLES, RunStyle, make_thread_config
from tests.integration_tests.workflow_fixtures import (
    BOOK,
    GRAPH_BUILDERS,
    ONE_QUESTION,
    START_INPUT,
    GraphBuilder,
    find_events_answered_twice,
    get_output,
    list_questions,
    list_sent_answers,
    list_started_runs,
    make_tool,
)

pytestmark = pytest.mark.timeout(60)

coze = serve(workflows=BOOK, profiles=["cloud", "studio"])


def answer_and_get_checkpoint(graph: Any, run: RunStyle) -> Any:
    """Ask and answer; return the config of the checkpoint that waited for the answer."""
    run(graph, START_INPUT, make_thread_config())
    waited = graph.get_state(make_thread_config()).config
    assert get_output(run(graph, Command(resume="first"), make_thread_config()))["answers"] == [
        "first"
    ]
    return waited


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_another_answer_to_an_old_checkpoint_sends_nothing(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    graph = build_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    waited = answer_and_get_checkpoint(graph, run)
    coze.reset()
    state = run(graph, Command(resume="second"), waited)
    assert get_output(state)["answers"] == ["first"]  # the run has ended: its event is used up
    assert coze.requests == []


@pytest.mark.parametrize("run", INVOKE_STYLES)
@pytest.mark.parametrize("build_graph", GRAPH_BUILDERS)
def test_continuing_from_an_old_checkpoint_asks_again(
    coze: LocalCoze, build_graph: GraphBuilder, run: RunStyle
) -> None:
    graph = build_graph(make_tool(coze), ONE_QUESTION, InMemorySaver())
    waited = answer_and_get_checkpoint(graph, run)
    state = run(graph, None, waited)
    assert list_questions(state) == ["a: question 1?"]
    assert (len(list_started_runs(coze)), list_sent_answers(coze)) == (2, ["first"])
    newest = graph.get_state(make_thread_config()).config
    assert get_output(run(graph, Command(resume="second"), newest))["answers"] == ["second"]
    assert find_events_answered_twice(coze) == []
