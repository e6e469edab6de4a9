"""The routes of a coze.site project as flows; see `langchain_coze._api.effects`.

A project is generated Python that its owner may edit: routes are a convention (docs/wire.md,
section 9).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from langchain_coze import _hints as hints
from langchain_coze import _site_hints as site_hints
from langchain_coze._api.effects import Flow, Reply, Request, Sleep
from langchain_coze._api.models import parse_json
from langchain_coze._api.replies import collect_error_context
from langchain_coze._api.retry import RetryPolicy, send_with_retry
from langchain_coze._api.site_errors import find_site_error, make_site_error
from langchain_coze.errors import (
    CozeError,
    CozeNotFoundError,
    CozeServerError,
    CozeStreamError,
    CozeTimeoutError,
    redact,
)

if TYPE_CHECKING:
    from langchain_coze._api.polling import Polling
    from langchain_coze._api.retry import ErrorFinder

RUN_ID = "x-run-id"
"""The header with the id of a run or task; for an agent's `/run` also its session."""

DEBUG = {"x-workflow-stream-mode": "debug"}
"""The header with which the stream of a workflow also reports its nodes."""

_CANCELLED_KEYS = {"status", "run_id", "message"}
_ENDED = frozenset({"failed", "timeout"})
_UNKNOWN_OUTCOME = (CozeServerError, CozeTimeoutError, CozeStreamError)


def send_to_site(
    request: Request, policy: RetryPolicy, *, is_workflow: bool = False
) -> Flow[Reply]:
    """Send a request to a project; see `send_with_retry`."""
    finder: ErrorFinder = functools.partial(find_site_error, is_workflow=is_workflow)
    return send_with_retry(request, policy, finder)


def build_stream_request(body: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
    """Return the request that runs an agent or workflow as a stream."""
    return Request(method="POST", path="/stream_run", body=body, headers=headers, stream=True)


def run_project(
    body: Mapping[str, Any], run_id: str, policy: RetryPolicy, *, is_workflow: bool = False
) -> Flow[tuple[Reply, dict[str, Any]]]:
    """Run an agent or workflow with one request; return the reply and its output.

    Args:
        body: The inputs of the graph.
        run_id: The id of the run, and of the session of an agent.
        policy: The retry policy.
        is_workflow: Whether the project is a workflow.

    Raises:
        CozeTimeoutError: The run was cancelled or took longer than 900 s: the server reports both
            in the same way.
        CozeError: The project reported an error or could not be reached.
    """
    request = Request(method="POST", path="/run", body=body, headers={RUN_ID: run_id})
    reply = yield from send_to_site(request, policy, is_workflow=is_workflow)
    output = dict(reply.json)
    if output.keys() == _CANCELLED_KEYS and output["status"] in {"cancelled", "timeout"}:
        context = {**collect_error_context(reply), "status_code": None}
        raise CozeTimeoutError(
            "The run was cancelled, or took longer than the 900 s that a project allows.",
            reason=output["status"],
            run_id=str(output["run_id"]),
            hint=site_hints.LONG_WORK,
            may_have_started=True,
            **context,
        )
    return reply, output


def fetch_schemas(policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Return `input_schema` and `output_schema` of a project; both are empty for an agent."""
    reply = yield from send_to_site(Request(method="GET", path="/graph_parameter"), policy)
    schemas: Mapping[str, Any] = reply.json
    return schemas


def cancel_run(run_id: str, policy: RetryPolicy) -> Flow[None]:
    """Cancel a run of `/run` or `/stream_run`; an unknown run gets the same reply."""
    request = Request(method="POST", path=f"/cancel/{quote(run_id, safe='')}")
    yield from send_to_site(request, policy)


# --- Asynchronous runs ---------------------------------------------------------------------------


def run_task(
    body: Mapping[str, Any],
    task_id: str,
    policy: RetryPolicy,
    polling: Polling,
    *,
    is_workflow: bool = False,
) -> Flow[tuple[Reply, Any]]:
    """Run an agent or workflow as a task and poll it; return the last reply and the output.

    Args:
        body: The inputs of the graph.
        task_id: The id of the task, chosen by the caller: by it, a task whose submission had an
            unknown outcome is looked up before it is sent again.
        policy: The retry policy of each request.
        polling: How often, and for how long, to poll.
        is_workflow: Whether the project is a workflow.

    Raises:
        CozeTimeoutError: The task did not end in time.
        CozeError: The project reported an error or could not be reached.
    """
    try:
        yield from _submit_task(body, task_id, policy)
        return (yield from _poll_task(task_id, policy, polling, is_workflow=is_workflow))
    except CozeError as error:
        raise error.with_context(run_id=error.run_id or task_id) from error.__cause__


def _submit_task(body: Mapping[str, Any], task_id: str, policy: RetryPolicy) -> Flow[None]:
    request = Request(method="POST", path="/async_run", body=body, headers={RUN_ID: task_id})
    for attempt in range(policy.max_retries + 1):
        try:
            yield from send_to_site(request, policy)
        except CozeError as error:
            if not (error.may_have_started or isinstance(error, _UNKNOWN_OUTCOME)):
                raise
            if not (yield from _is_stored(task_id, policy, error)):
                if attempt == policy.max_retries:
                    raise error.with_context(may_have_started=False) from error.__cause__
                yield Sleep(policy.get_pause(attempt, error.retry_after))
                continue
        return


def _is_stored(task_id: str, policy: RetryPolicy, cause: CozeError) -> Flow[bool]:
    """Return whether a task was stored although its submission failed."""
    try:
        yield from send_to_site(_build_task_request(task_id), policy)
    except CozeNotFoundError:
        return False
    except CozeError:
        raise cause.with_context(may_have_started=True) from None
    return True


def _build_task_request(task_id: str, read_timeout: float | None = None) -> Request:
    path = f"/task/{quote(task_id, safe='')}"
    return Request(method="GET", path=path, read_timeout=read_timeout)


def _poll_task(
    task_id: str, policy: RetryPolicy, polling: Polling, *, is_workflow: bool
) -> Flow[tuple[Reply, Any]]:
    for pause, read_timeout in polling.iter_attempts(policy, polling.clock()):
        yield pause
        try:
            request = _build_task_request(task_id, read_timeout)
            reply = yield from send_to_site(request, policy)
        except CozeError as error:
            raise error.with_context(may_have_started=True) from error.__cause__
        task: Mapping[str, Any] = reply.json
        if task.get("status") == "completed":
            return reply, _read_result(task.get("result"))
        if task.get("status") in _ENDED:
            raise _make_task_error(reply, task, is_workflow=is_workflow)
    raise CozeTimeoutError(
        f"The task did not end within poll_timeout={polling.timeout:g} s; it is still running.",
        hint=hints.POLL_TIMEOUT,
        may_have_started=True,
    )


def _read_result(result: Any) -> Any:
    """Return the output of a task, which may be JSON in a str."""
    parsed = parse_json(result.encode("utf-8", "replace")) if isinstance(result, str) else None
    return result if parsed is None else parsed


def _make_task_error(reply: Reply, task: Mapping[str, Any], *, is_workflow: bool) -> CozeError:
    failure = task.get("error")
    failure = failure if isinstance(failure, Mapping) else {"message": failure}
    code = failure.get("code") or task.get("status")
    message = redact(str(failure.get("message") or f"The task ended: {code}."), reply.token)
    context = {**collect_error_context(reply), "status_code": None, "is_workflow": is_workflow}
    return make_site_error(code, message, may_have_started=True, **context)
