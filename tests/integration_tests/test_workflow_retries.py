"""Retries outside the tool, and the runs each starts: the table of docs/en/workflow-runs.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from langchain_coze import CozeError, CozeWorkflowTool, is_retryable
from langchain_coze.local import ClientTool, LocalCoze, LocalWorkflow
from tests.conftest import make_chat, serve

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS = ("error=4009", "cut_at=20")  # before the start of a run, and after it
RETRY_DELAY = 0.01  # seconds between two tries


def brew(tea: str) -> str:
    return f"a cup of {tea}"


def guest(_: str) -> Any:
    result = yield ClientTool("brew", {"tea": "Longjing"})
    yield result


coze = serve(guest, workflows=LocalWorkflow(brew, description="Brews tea."))


def retry_by_middleware(coze: LocalCoze, tool: CozeWorkflowTool) -> None:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent  # noqa: PLC0415 - it may be missing
    from langchain.agents.middleware import ToolRetryMiddleware  # noqa: PLC0415 - it may be missing

    model = make_chat(coze)
    again = ToolRetryMiddleware(max_retries=1, initial_delay=RETRY_DELAY, on_failure="error")
    agent: Any = create_agent(model, [tool], middleware=[again])
    agent.invoke({"messages": [("user", "Tea, please")]})


def retry_by_node(policy: RetryPolicy) -> Callable[[LocalCoze, CozeWorkflowTool], None]:
    def invoke(_: LocalCoze, tool: CozeWorkflowTool) -> None:
        def brewing(_: dict[str, Any]) -> dict[str, Any]:
            return {"told": tool.invoke({"tea": "Longjing"})}

        graph: Any = StateGraph(dict)
        graph.add_node("brew", brewing, retry_policy=policy)
        graph.add_edge(START, "brew")
        graph.compile().invoke({})

    return invoke


def retry_by_runnable(_: LocalCoze, tool: CozeWorkflowTool) -> None:
    again = tool.with_retry(
        stop_after_attempt=2, exponential_jitter_params={"initial": RETRY_DELAY}
    )
    again.invoke({"tea": "Longjing"})


PATIENT = RetryPolicy(max_attempts=2, initial_interval=RETRY_DELAY)


@pytest.mark.parametrize(
    ("call", "tries"),
    [
        pytest.param(retry_by_middleware, (2, 1), id="middleware"),
        pytest.param(
            retry_by_node(PATIENT._replace(retry_on=is_retryable)), (2, 1), id="policy-asks"
        ),
        pytest.param(retry_by_node(PATIENT), (2, 2), id="policy"),
        pytest.param(retry_by_runnable, (2, 2), id="with_retry"),
    ],
)
def test_only_retries_without_is_retryable_start_a_run_twice(
    coze: LocalCoze, call: Callable[[LocalCoze, CozeWorkflowTool], None], tries: tuple[int, int]
) -> None:
    tool = CozeWorkflowTool.from_workflow(
        coze.workflows[0].workflow_id, api_key=coze.token, base_url=coze.base_url, max_retries=0
    )
    for fault, wanted in zip(FAULTS, tries, strict=True):
        coze.reset()
        coze.faults = f"{fault},on=/v1/workflow/stream_run"
        with pytest.raises(CozeError):
            call(coze, tool)
        started = [r for r in coze.requests if r.path == "/v1/workflow/stream_run"]
        assert len(started) == wanted, fault
