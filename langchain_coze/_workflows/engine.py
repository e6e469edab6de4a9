"""Start or resume a workflow run and read it to its end or its next interrupt."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from langchain_coze import _hints as hints
from langchain_coze import _runtime
from langchain_coze._api.files import upload_all
from langchain_coze._api.models import RunReply
from langchain_coze._api.polling import Polling, poll_workflow_run
from langchain_coze._api.replies import collect_error_context
from langchain_coze._api.retry import RetryPolicy, mark_received, send_with_retry
from langchain_coze._api.workflows import build_resume_request, build_run_request
from langchain_coze._convert.questions import name_answer, serialize_answer
from langchain_coze._warnings import warn_user
from langchain_coze._workflows.errors import map_refusal
from langchain_coze._workflows.file_parameters import map_files, parse_file
from langchain_coze._workflows.parameters import build_json_schema, to_plain_data, validate_inputs
from langchain_coze._workflows.run_parser import RunParser, read_run_stream
from langchain_coze.errors import CozeError, CozeInvalidRequestError, CozeServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow, Reply, Request
    from langchain_coze._convert.attachments import Attachment
    from langchain_coze._workflows.file_parameters import InputSource
    from langchain_coze._workflows.workflow_run import WorkflowState

_NO_ASYNC = 6003  # "asynchronous runs need a paid plan"
_STREAMED_KEY = "streamed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparedRun:
    """A start or resume of a run. `make_flow` may read files, and returns the flow."""

    driver: Driver
    make_flow: Callable[[], Flow[WorkflowState]]
    rate_limiter: BaseRateLimiter | None = None

    def run(self) -> WorkflowState:
        """Run until the end or the next interrupt; raise a `CozeError` if the run fails."""
        if self.rate_limiter is not None:
            self.rate_limiter.acquire(blocking=True)
        return self.driver.run(self.make_flow())

    async def arun(self) -> WorkflowState:
        """Async version of `run`; reads the files in a thread."""
        if self.rate_limiter is not None:
            await self.rate_limiter.aacquire(blocking=True)
        return await self.driver.arun(await asyncio.to_thread(self.make_flow))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkflowEngine:
    """Starts or resumes runs.

    Attributes:
        schema: The JSON schema of the parameters; empty if unknown.
        body: The fields of the request body except the parameters.
        mode: Stream events, wait for one reply, or start the run and poll it.
        endpoint: Another path for starting the run, or None.
        tool_call_id: The id of the tool call, or None; it is included in interrupts.
        reporter: Receives each message of the run; see `Notify`.
        on_async_unavailable: Called if asynchronous runs need a paid plan.
        rate_limiter: Waits before each start and resume, or None.
        retry_policy: The policy of the started run, with its deadline.
    """

    driver: Driver
    workflow_id: str
    schema: Mapping[str, Any]
    body: Mapping[str, Any]
    mode: Literal["stream", "sync", "async"]
    endpoint: str | None
    tool_call_id: str | None
    reporter: Any
    on_async_unavailable: Callable[[], None]
    max_retries: int
    max_duration: float | None
    polling: Polling
    rate_limiter: BaseRateLimiter | None
    retry_policy: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)

    def start(self, values: Mapping[str, Any], source: InputSource) -> PreparedRun:
        """Return the run that starts with these parameters."""

        def make_flow() -> Flow[WorkflowState]:
            engine = self._begin(self.workflow_id)
            validated = validate_inputs(self.schema, to_plain_data(values))
            parse = partial(parse_file, source=source)
            return _start_run(engine, map_files(self.schema, validated, parse))

        return self._prepare(make_flow)

    def resume(
        self,
        run: Mapping[str, Any],
        pending: Mapping[str, Any],
        answer: Any,
        source: InputSource,
    ) -> PreparedRun:
        """Return the run that continues with the answer to its interrupt."""

        def make_flow() -> Flow[WorkflowState]:
            prepared = prepare_answer(pending, answer, source)
            engine = self._begin(pending.get("workflow_id") or self.workflow_id)
            return _resume_run(engine, pending, prepared, run.get("messages") or [])

        return self._prepare(make_flow)

    def _prepare(self, make_flow: Callable[[], Flow[WorkflowState]]) -> PreparedRun:
        return PreparedRun(driver=self.driver, make_flow=make_flow, rate_limiter=self.rate_limiter)

    def _begin(self, workflow_id: str) -> WorkflowEngine:
        """Return a copy of this engine for a run that starts now."""
        policy = RetryPolicy.for_call(self.max_retries, self.max_duration)
        return dataclasses.replace(self, workflow_id=workflow_id, retry_policy=policy)


def prepare_answer(pending: Mapping[str, Any], answer: Any, source: InputSource) -> Any:
    """Return an answer to send: add parameter names and read files (this blocks)."""
    if answer is None or not pending.get("event_id"):
        raise CozeInvalidRequestError(
            "The answer is None." if answer is None else "The interrupt has no event_id to answer.",
            hint=hints.RESUME,
        )
    schema = build_json_schema("", pending.get("required_parameters") or {})
    named = name_answer(pending, to_plain_data(answer))
    return map_files(schema, named, partial(parse_file, source=source))


# --- Flows ---------------------------------------------------------------------------------------


def _start_run(engine: WorkflowEngine, parameters: Mapping[str, Any]) -> Flow[WorkflowState]:
    values = yield from _upload_files(  # a file is JSON in a str (wire section 4.2)
        engine, parameters, lambda file_id: json.dumps({"file_id": file_id}, separators=(",", ":"))
    )
    body = {"workflow_id": engine.workflow_id, **engine.body, "parameters": values}
    is_async = engine.mode == "async"
    if is_async:
        body["is_async"] = True
    request = build_run_request(body, stream=engine.mode == "stream", endpoint=engine.endpoint)
    try:
        reply = yield from _send(request, engine.retry_policy)
    except CozeError as error:
        if not is_async or error.code != _NO_ASYNC:
            raise
        engine.on_async_unavailable()
        warn_user(hints.STREAM_INSTEAD)
        engine = dataclasses.replace(engine, mode="stream")
        return (yield from _start_run(engine, values))
    return (yield from _read_run(engine, reply))


def _resume_run(
    engine: WorkflowEngine,
    pending: Mapping[str, Any],
    answer: Any,
    earlier_messages: Sequence[Any],
) -> Flow[WorkflowState]:
    resume_data = yield from _upload_files(engine, answer, lambda file_id: {"file_id": file_id})
    body = {
        "workflow_id": engine.workflow_id,
        "event_id": pending["event_id"],
        "interrupt_type": pending.get("type", 0),
        "resume_data": serialize_answer(resume_data),
    }
    request = build_resume_request(body, stream=bool(pending.get(_STREAMED_KEY, True)))
    reply = yield from _send(request, engine.retry_policy, is_answer=True)
    return (yield from _read_run(engine, reply, earlier_messages))


def _upload_files(
    engine: WorkflowEngine, values: Any, to_reference: Callable[[str], Any]
) -> Flow[Any]:
    """Upload the files in some values; return the values with `to_reference(id)` instead."""
    files: list[Attachment] = []
    map_files({}, values, files.append)
    uploads = [file.upload for file in files if file.data]
    cache, base_url = _runtime.uploaded_file_ids, engine.driver.settings.base_url
    try:
        ids = yield from upload_all(uploads, cache, base_url, engine.retry_policy)
    except CozeError as error:
        no_run = error.with_context(may_have_started=False)  # no run was started
        raise no_run from error.__cause__
    return map_files({}, values, lambda file: to_reference(file.file_id or ids[file.upload.digest]))


def _send(request: Request, policy: RetryPolicy, *, is_answer: bool = False) -> Flow[Reply]:
    """Send a request and return the reply; map errors with `map_refusal`."""
    try:
        return (yield from send_with_retry(request, policy))
    except CozeError as error:
        raise map_refusal(mark_received(error), is_answer=is_answer) from error.__cause__


def _read_run(
    engine: WorkflowEngine, reply: Reply, earlier_messages: Sequence[Any] = ()
) -> Flow[WorkflowState]:
    """Read a run until it ends or is interrupted."""
    parser = RunParser(logid=reply.logid, token=reply.token, earlier_messages=earlier_messages)
    if reply.stream is not None:
        yield from read_run_stream(parser, reply.stream, engine.reporter)
    else:
        yield from _read_reply(parser, engine, reply)
    pending = parser.build_interrupt(engine.workflow_id)
    if pending is not None:
        is_streamed = reply.stream is not None
        pending |= {_STREAMED_KEY: is_streamed, "tool_call_id": engine.tool_call_id}
    run = parser.build_run(engine.workflow_id).model_dump()
    return {"run": run, "output": run["output"], "pending": pending, "attempt": None}


def _read_reply(parser: RunParser, engine: WorkflowEngine, reply: Reply) -> Flow[None]:
    """Read the reply of a run that is not streamed; poll an asynchronous run."""
    run = RunReply.model_validate(reply.json)
    if engine.mode == "async" and run.execute_id and not run.data and run.interrupt is None:
        parser.record_info(run)
        try:
            history = yield from poll_workflow_run(
                engine.workflow_id, run.execute_id, engine.retry_policy, engine.polling
            )
        except CozeError as error:
            debug_url = error.debug_url or run.debug_url or None  # the run continues in Coze
            raise error.with_context(debug_url=debug_url) from error.__cause__
        parser.feed_history(history)
        return
    parser.feed_reply(run)
    if "data" not in reply.json and not (run.interrupt or run.execute_id or run.debug_url):
        raise CozeServerError(
            "Coze returned an empty reply for the run.",
            may_have_started=True,
            **collect_error_context(reply),
        )
