"""Start or resume a workflow run and read it to its end or its next interrupt.

`start_run` and `resume_run` are flows; `WorkflowEngine` runs them for sync and async callers.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from langchain_coze import _runtime
from langchain_coze._api.files import upload_all
from langchain_coze._api.models import RunReply
from langchain_coze._api.polling import Polling, poll_workflow_run
from langchain_coze._api.replies import collect_error_context
from langchain_coze._api.retry import RetryPolicy, mark_received, send_with_retry
from langchain_coze._api.workflows import build_resume_request, build_run_request
from langchain_coze._convert.attachments import Attachment
from langchain_coze._convert.questions import name_answer, serialize_answer
from langchain_coze._warnings import warn_user
from langchain_coze._workflows.errors import map_refusal
from langchain_coze._workflows.file_parameters import map_files, parse_file, to_file_reference
from langchain_coze._workflows.input_schema import build_fields_schema
from langchain_coze._workflows.plain_data import to_plain_data
from langchain_coze._workflows.run_parser import RunParser
from langchain_coze._workflows.run_stream import read_run_stream
from langchain_coze._workflows.validation import validate_inputs
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeServerError,
    bilingual_hint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_coze._api.driver import Driver
    from langchain_coze._api.effects import Flow, Reply, Request, Upload
    from langchain_coze._workflows.workflow_run import WorkflowRun

_NO_ASYNC = 6003  # "asynchronous runs need a paid plan"
_STREAMED_KEY = "streamed"

InputSource: TypeAlias = Literal["program", "network", "coercion"]
"""Where inputs come from, which decides whether a file may be a path. `program`: a str or a `Path`.
`network` (a model or a remote caller): only a `Path`, because text must not reach local files.
`coercion`: never, because a schema may turn a model's text into a `Path`."""


class RunOptions(NamedTuple):
    """What to run, and how.

    Attributes:
        workflow_id: The workflow.
        body: Other fields of the request body than the parameters.
        base_url: The server.
        stream: Whether to stream events.
        is_async: Whether to start the run asynchronously and poll it.
        endpoint: Another path for starting the run, or None.
        tool_call_id: The tool call that needs the run, or None; interrupts contain it.
        on_async_unavailable: Called if asynchronous runs need a paid plan; may be None.
        retry_policy: The retry policy and deadline of the requests.
        polling: How to poll an asynchronous run.
    """

    workflow_id: str
    body: Mapping[str, Any] = {}
    base_url: str = ""
    stream: bool = True
    is_async: bool = False
    endpoint: str | None = None
    tool_call_id: str | None = None
    on_async_unavailable: Callable[[], None] | None = None
    retry_policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()


class RunState(NamedTuple):
    """A run after a start or a resume.

    Attributes:
        run: The run so far.
        pending: The interrupt that it waits on, as plain data, or None if the run has ended.
    """

    run: WorkflowRun
    pending: dict[str, Any] | None


# --- Sync and async callers ----------------------------------------------------------------------


class WorkflowEngine:
    """Starts and resumes runs of one workflow, sync or async.

    Args:
        driver: Runs the flows.
        make_options: Returns the options; called for each start and resume, because the deadline
            counts from then.
        schema: The JSON schema of the parameters; empty if unknown.
    """

    def __init__(
        self, driver: Driver, make_options: Callable[[], RunOptions], schema: Mapping[str, Any]
    ) -> None:
        """Create an engine; nothing is sent yet."""
        self._driver = driver
        self.make_options = make_options
        self._schema = schema

    def prepare_inputs(
        self, values: Mapping[str, Any], *, source: InputSource = "program"
    ) -> dict[str, Any]:
        """Return parameters for `start`: validate them and read their files (this blocks).

        Args:
            values: The parameters.
            source: Where they come from.

        Raises:
            CozeWorkflowError: The parameters are invalid.
        """
        prepared: dict[str, Any] = map_files(
            self._schema,
            validate_inputs(self._schema, to_plain_data(values)),
            lambda value: parse_file(
                value, allow_path_strings=source == "program", allow_paths=source != "coercion"
            ),
        )
        return prepared

    def start(self, parameters: Mapping[str, Any], reporter: Any = None) -> RunState:
        """Start a run; see `start_run`."""
        return self._driver.run(start_run(self.make_options(), parameters, reporter))

    async def astart(self, parameters: Mapping[str, Any], reporter: Any = None) -> RunState:
        """Async version of `start`."""
        return await self._driver.arun(start_run(self.make_options(), parameters, reporter))

    def resume(
        self,
        pending: Mapping[str, Any],
        answer: Any,
        earlier_messages: Sequence[Any] = (),
        reporter: Any = None,
        *,
        source: InputSource = "network",
    ) -> RunState:
        """Answer the interrupt of a run; see `prepare_answer` and `resume_run`."""
        prepared = prepare_answer(pending, answer, source=source)
        flow = resume_run(
            self.make_options(),
            pending,
            prepared,
            earlier_messages=earlier_messages,
            reporter=reporter,
        )
        return self._driver.run(flow)

    async def aresume(
        self,
        pending: Mapping[str, Any],
        answer: Any,
        earlier_messages: Sequence[Any] = (),
        reporter: Any = None,
        *,
        source: InputSource = "network",
    ) -> RunState:
        """Async version of `resume`."""
        prepared = await asyncio.to_thread(prepare_answer, pending, answer, source=source)
        flow = resume_run(
            self.make_options(),
            pending,
            prepared,
            earlier_messages=earlier_messages,
            reporter=reporter,
        )
        return await self._driver.arun(flow)


def prepare_answer(pending: Mapping[str, Any], answer: Any, *, source: InputSource) -> Any:
    """Return an answer for `resume_run`: name its values and read its files (this blocks).

    Args:
        pending: The interrupt that the run waits on.
        answer: The answer of the user.
        source: Where the answer comes from.

    Raises:
        CozeInvalidRequestError: The answer is None, or the interrupt has no `event_id`.
        CozeWorkflowError: The answer cannot be sent.
    """

    def convert_file(value: Any) -> Any:
        parsed = parse_file(
            value, allow_path_strings=source == "program", allow_paths=source != "coercion"
        )
        is_reference = isinstance(parsed, str) and parsed.startswith("{")
        return json.loads(parsed) if is_reference else parsed  # in an answer it is an object

    if answer is None or not pending.get("event_id"):
        raise CozeInvalidRequestError(
            f"There is no {'answer' if answer is None else 'question that could be answered'}.",
            hint=bilingual_hint(
                "Give the CozeWorkflowInterrupt that was raised, and a text or a dict of values.",
                "请传入抛出的 CozeWorkflowInterrupt，以及文本或字典形式的回答。",
            ),
        )
    schema = build_fields_schema(pending.get("required_parameters") or {})
    return map_files(schema, name_answer(pending, to_plain_data(answer)), convert_file)


# --- Flows ---------------------------------------------------------------------------------------


def start_run(
    options: RunOptions, parameters: Mapping[str, Any], reporter: Any = None
) -> Flow[RunState]:
    """Start a run.

    Args:
        options: What to run, and how.
        parameters: Values for the start node, with an `Attachment` for each file to upload.
        reporter: Receives each message; see `Notify`.

    Raises:
        CozeWorkflowError: The run failed.
        CozeError: Any other error.
    """
    values = yield from _upload_files(options, parameters, to_file_reference)
    body = {"workflow_id": options.workflow_id, **options.body, "parameters": values}
    if options.is_async:
        request = build_run_request({**body, "is_async": True}, endpoint=options.endpoint)
        try:
            reply = yield from _send(request, options.retry_policy)
        except CozeError as error:
            if error.code != _NO_ASYNC:
                raise
            options = _fall_back_to_stream(options)
        else:
            return (yield from _collect(options, reply, reporter))
    request = build_run_request(body, stream=options.stream, endpoint=options.endpoint)
    reply = yield from _send(request, options.retry_policy)
    return (yield from _collect(options, reply, reporter))


def resume_run(
    options: RunOptions,
    pending: Mapping[str, Any],
    answer: Any,
    *,
    earlier_messages: Sequence[Any] = (),
    reporter: Any = None,
) -> Flow[RunState]:
    """Answer the interrupt of a run.

    Args:
        options: What to run, and how.
        pending: The interrupt that the run waits on.
        answer: Text, or the values of an input node, with an `Attachment` for each file to upload.
        earlier_messages: The messages of the run so far.
        reporter: Receives each new message; see `Notify`.

    Raises:
        CozeWorkflowError: The run failed or no longer waits for this answer.
        CozeError: Any other error.
    """
    resume_data = yield from _upload_files(options, answer, lambda file_id: {"file_id": file_id})
    options = options._replace(workflow_id=pending.get("workflow_id") or options.workflow_id)
    body = {
        "workflow_id": options.workflow_id,
        "event_id": pending["event_id"],
        "interrupt_type": pending.get("type", 0),
        "resume_data": serialize_answer(resume_data),
    }
    request = build_resume_request(body, stream=bool(pending.get(_STREAMED_KEY, True)))
    reply = yield from _send(request, options.retry_policy, answering=True)
    return (yield from _collect(options, reply, reporter, earlier_messages=earlier_messages))


def _upload_files(
    options: RunOptions, values: Any, to_reference: Callable[[str], Any]
) -> Flow[Any]:
    """Upload the files in some values; return the values with `to_reference(id)` in their place."""
    files: list[Upload] = []

    def collect(value: Any) -> Any:
        if isinstance(value, Attachment):
            files.append(value.upload)
        return value

    _map_leaves(values, collect)
    try:
        ids = yield from upload_all(
            files, _runtime.uploaded_file_ids, options.base_url, options.retry_policy
        )
    except CozeError as error:
        no_run = error.with_context(may_have_started=False)  # whatever happened to the file
        raise no_run from error.__cause__
    return _map_leaves(
        values, lambda v: to_reference(ids[v.upload.digest]) if isinstance(v, Attachment) else v
    )


def _map_leaves(values: Any, change: Callable[[Any], Any]) -> Any:
    """Return plain data with `change` applied to each leaf."""
    if isinstance(values, dict):
        return {key: _map_leaves(value, change) for key, value in values.items()}
    if isinstance(values, list):
        return [_map_leaves(value, change) for value in values]
    return change(values)


def _fall_back_to_stream(options: RunOptions) -> RunOptions:
    """Return options for a streamed run, because asynchronous runs are not available."""
    if options.on_async_unavailable is not None:
        options.on_async_unavailable()
    warn_user(
        "Asynchronous runs need a paid plan (6003): the workflow is run as a stream. "
        "异步运行需要付费套餐（6003），已改为流式运行。"
    )
    return options._replace(stream=True, is_async=False)


def _collect(
    options: RunOptions, reply: Reply, reporter: Any, *, earlier_messages: Sequence[Any] = ()
) -> Flow[RunState]:
    """Read a run until it ends or is interrupted."""
    parser = RunParser(logid=reply.logid, token=reply.token, earlier_messages=earlier_messages)
    if reply.stream is not None:
        yield from read_run_stream(parser, reply.stream, reporter)
    else:
        yield from _read_reply(parser, options, reply)
    pending = parser.build_interrupt(options.workflow_id)
    if pending is not None:
        streamed = reply.stream is not None
        pending |= {_STREAMED_KEY: streamed, "tool_call_id": options.tool_call_id}
    return RunState(parser.build_run(options.workflow_id), pending)


def _send(request: Request, policy: RetryPolicy, *, answering: bool = False) -> Flow[Reply]:
    """Send a request and return the reply; map errors with `map_refusal`."""
    try:
        return (yield from send_with_retry(request, policy))
    except CozeError as error:
        raise map_refusal(mark_received(error), is_answer=answering) from error.__cause__


def _read_reply(parser: RunParser, options: RunOptions, reply: Reply) -> Flow[None]:
    """Read the reply to a run that is not streamed; poll an asynchronous run."""
    run = RunReply.model_validate(reply.json)
    if options.is_async and run.execute_id and not run.data and run.interrupt is None:
        parser.record_start(run)
        try:
            polled = yield from poll_workflow_run(
                options.workflow_id, run.execute_id, options.retry_policy, options.polling
            )
        except CozeError as error:
            debug_url = error.debug_url or run.debug_url or None  # the run continues in Coze
            raise error.with_context(debug_url=debug_url) from error.__cause__
        parser.feed_history(polled[1])
        return
    parser.feed_reply(run)
    if "data" not in reply.json and not (run.interrupt or run.execute_id or run.debug_url):
        raise CozeServerError(
            "Coze returned nothing about the run.",
            may_have_started=True,
            **collect_error_context(reply),
        )
