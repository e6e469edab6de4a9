"""The routes of a coze.site project as flows; see `langchain_coze._api.effects`.

A project is generated Python code, which its owner may edit: its routes are only a convention
(docs/wire.md, section 9).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.effects import Flow, Reply, Request, Sleep
from langchain_coze._api.models import parse_json
from langchain_coze._api.polling import poll_run
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

_RUN_ID = "x-run-id"
_CANCELLED_KEYS = {"status", "run_id", "message"}
_ENDED = frozenset({"failed", "timeout"})
_UNKNOWN_OUTCOME = (CozeServerError, CozeTimeoutError, CozeStreamError)


@dataclass(frozen=True, kw_only=True)
class SiteOptions:
    """The options of one call.

    Attributes:
        name: The name of the project.
        mode: The route: `/stream_run`, `/run` or `/async_run`.
        retry_policy: How often, and until when, to retry requests.
        polling: How often, and for how long, to poll a task.
        is_workflow: Whether the project must be a workflow, not an agent.
    """

    name: str
    mode: Literal["stream", "run", "async"]
    retry_policy: RetryPolicy
    polling: Polling
    is_workflow: bool = False


class ProjectRun(NamedTuple):
    """A finished run: the reply that reports its end, its output and its id."""

    reply: Reply
    output: Any
    id: str


def _send(request: Request, options: SiteOptions) -> Flow[Reply]:
    finder: ErrorFinder = functools.partial(find_site_error, is_workflow=options.is_workflow)
    return send_with_retry(request, options.retry_policy, finder)


def open_stream(body: Mapping[str, Any], options: SiteOptions, run_id: str) -> Flow[Reply]:
    """Run an agent or workflow; the reply has the open stream.

    Args:
        body: The question and session of an agent, or the inputs of a workflow.
        options: The options of the call.
        run_id: The id of the run; an older project ignores it and reports its own.
    """
    headers = {_RUN_ID: run_id}
    if options.is_workflow:
        headers["x-workflow-stream-mode"] = "debug"  # to report its nodes, too
    return _send(Request("POST", "/stream_run", body=body, headers=headers, stream=True), options)


def fetch_schemas(options: SiteOptions) -> Flow[Mapping[str, Any]]:
    """Return `input_schema` and `output_schema` of a project; both are empty for an agent."""
    reply = yield from _send(Request("GET", "/graph_parameter"), options)
    schemas: Mapping[str, Any] = reply.json
    return schemas


def cancel_run(run_id: str, policy: RetryPolicy) -> Flow[None]:
    """Cancel a run of `/run` or `/stream_run`; an unknown run gets the same reply."""
    request = Request("POST", f"/cancel/{quote(run_id, safe='')}")
    yield from send_with_retry(request, policy, find_site_error)


def run_project(body: Mapping[str, Any], options: SiteOptions, run_id: str) -> Flow[ProjectRun]:
    """Run an agent or workflow with one request, or as a polled task.

    Args:
        body: The inputs of the graph.
        options: The options of the call.
        run_id: The id of the run, and of the session of an agent. If the outcome of a submission is
            unknown, the task is looked up by this id before it is submitted again.

    Raises:
        CozeTimeoutError: The run was cancelled or took longer than 900 s (the server does not
            distinguish them), or the task did not end in time.
        CozeError: The project reported an error or could not be reached.
    """

    def fetch(read_timeout: float) -> Flow[ProjectRun | None]:
        reply = yield from _fetch_task(options, run_id, read_timeout)
        return _read_task(reply, options, run_id)

    try:
        if options.mode == "run":
            return (yield from _run_at_once(body, options, run_id))
        yield from _submit_task(body, options, run_id)
        place = "in the project"
        return (yield from poll_run(fetch, options.retry_policy, options.polling, place))
    except CozeError as error:
        raise error.with_context(run_id=error.run_id or run_id) from error.__cause__


def _run_at_once(body: Mapping[str, Any], options: SiteOptions, run_id: str) -> Flow[ProjectRun]:
    request = Request("POST", "/run", body=body, headers={_RUN_ID: run_id})
    reply = yield from _send(request, options)
    output = dict(reply.json)
    is_cancelled = output.keys() == _CANCELLED_KEYS and output["status"] in {"cancelled", "timeout"}
    run_id = str(output.pop("run_id", None) or run_id)
    if is_cancelled:
        context = {**collect_error_context(reply), "status_code": None}
        raise CozeTimeoutError(
            "The run was cancelled, or took longer than the limit of 900 s.",
            reason=output["status"],
            run_id=run_id,
            hint=site_hints.LONG_WORK,
            may_have_started=True,
            **context,
        )
    return ProjectRun(reply, output, run_id)


# --- Asynchronous runs ---------------------------------------------------------------------------


def _submit_task(body: Mapping[str, Any], options: SiteOptions, task_id: str) -> Flow[None]:
    request = Request("POST", "/async_run", body=body, headers={_RUN_ID: task_id})
    policy = options.retry_policy
    for attempt in range(policy.max_retries + 1):
        try:
            yield from _send(request, options)
        except CozeError as error:
            if not (error.may_have_started or isinstance(error, _UNKNOWN_OUTCOME)):
                raise
            if not (yield from _is_stored(options, task_id, error)):
                if attempt == policy.max_retries:
                    raise error.with_context(may_have_started=False) from error.__cause__
                yield Sleep(policy.get_pause(attempt, error.retry_after))
                continue
        return


def _is_stored(options: SiteOptions, task_id: str, cause: CozeError) -> Flow[bool]:
    """Return whether a task was stored although its submission failed."""
    try:
        yield from _fetch_task(options, task_id)
    except CozeNotFoundError:
        return False
    except CozeError:
        raise cause.with_context(may_have_started=True) from None
    return True


def _fetch_task(
    options: SiteOptions, task_id: str, read_timeout: float | None = None
) -> Flow[Reply]:
    path = f"/task/{quote(task_id, safe='')}"
    return _send(Request("GET", path, read_timeout=read_timeout), options)


def _read_task(reply: Reply, options: SiteOptions, task_id: str) -> ProjectRun | None:
    """Return a completed task, or None if it is still running.

    Raises:
        CozeError: The task failed.
    """
    task: Mapping[str, Any] = reply.json
    status, result = task.get("status"), task.get("result")
    if status == "completed":
        parsed = parse_json(result.encode("utf-8", "replace")) if isinstance(result, str) else None
        return ProjectRun(reply, result if parsed is None else parsed, task_id)
    if status not in _ENDED:
        return None
    failure = task.get("error")
    failure = failure if isinstance(failure, Mapping) else {"message": failure}
    code = failure.get("code") or status
    message = redact(str(failure.get("message") or f"The task ended: {code}."), reply.token)
    context = {**collect_error_context(reply), "status_code": None}
    raise make_site_error(
        code, message, is_workflow=options.is_workflow, may_have_started=True, **context
    )
