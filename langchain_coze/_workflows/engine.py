"""Running a workflow: from its start, or from an answer, to its end or its next question.

All of it is one procedure for each of the two; blocking and asyncio callers differ only in who
carries it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from langchain_coze._api.chats import Polling
from langchain_coze._api.effects import Close, Flow, Read, RetryPolicy, Tell
from langchain_coze._api.models import Run
from langchain_coze._api.retry import exchange, facts_of
from langchain_coze._api.uploads import uploaded
from langchain_coze._api.workflows import poll_run, resume_request, run_request
from langchain_coze._convert.attachments import Attachment
from langchain_coze._warnings import warn_user
from langchain_coze._workflows.errors import refused
from langchain_coze._workflows.files import file_of, reference, with_files
from langchain_coze._workflows.input_schema import checked, fields_schema, plain
from langchain_coze._workflows.run import Leg, WorkflowRun, answer_text, placed
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeServerError,
    CozeStreamError,
    hint_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_coze._api.client import Client
    from langchain_coze._api.effects import Reply, Request

_NO_ASYNC = 6003  # "asynchronous runs need a paid plan"
_LAST_WORDS = 0.05  # seconds for the end of a response, so that its connection can be used again
_STREAMED = "streamed"

Author: TypeAlias = Literal["program", "network", "coercion"]
"""Who gives a file. A program may give paths; a text that a model wrote, or that came over the
network, is none; and where a schema makes paths of a model's texts, no path is taken at all."""


class Job(NamedTuple):
    """What is run, and how.

    Attributes:
        workflow_id: The workflow.
        body: What is sent beside its parameters.
        base_url: The server.
        stream: Whether its events are streamed.
        is_async: Whether it is started only, and then asked for.
        endpoint: Another path to start it, or None.
        tool_call_id: The call that it is run for, or None; questions tell it.
        unpaid: What is told that asynchronous runs need a paid plan, or None.
        policy: How often requests are repeated, and until when.
        polling: When an asynchronous run is asked for.
    """

    workflow_id: str
    body: Mapping[str, Any] = {}
    base_url: str = ""
    stream: bool = True
    is_async: bool = False
    endpoint: str | None = None
    tool_call_id: str | None = None
    unpaid: Callable[[], None] | None = None
    policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()


class Step(NamedTuple):
    """How far a run has come.

    Attributes:
        run: What it has told.
        pending: What it waits for, as plain data, or None when it has ended.
    """

    run: WorkflowRun
    pending: dict[str, Any] | None


# --- Two faces -----------------------------------------------------------------------------------


class Engine:
    """Runs one workflow, leg by leg, for blocking and for asyncio callers.

    Args:
        client: What talks to Coze.
        job: Gives what is run; asked for each leg, because its time begins then.
        schema: The JSON schema of its parameters, as far as it is known.
    """

    def __init__(self, client: Client, job: Callable[[], Job], schema: Mapping[str, Any]) -> None:
        """Take what is needed; nothing is sent."""
        self._client = client
        self._job = job
        self._schema = schema

    def sendable(self, values: Mapping[str, Any], *, by: Author = "program") -> dict[str, Any]:
        """Return parameters as `start` takes them: checked, and with files read (which blocks).

        Args:
            values: The parameters.
            by: Who gives them.

        Raises:
            CozeWorkflowError: The workflow does not take them.
        """
        sent: dict[str, Any] = with_files(
            self._schema,
            checked(self._schema, plain(values)),
            lambda value: file_of(value, local=by == "program", paths=by != "coercion"),
        )
        return sent

    def start(self, parameters: Mapping[str, Any], listener: Any = None) -> Step:
        """Start a run; see `start`."""
        return self._client.run(start(self._job(), parameters, listener))

    async def astart(self, parameters: Mapping[str, Any], listener: Any = None) -> Step:
        """Start a run; see `start`."""
        return await self._client.arun(start(self._job(), parameters, listener))

    def answer(
        self,
        pending: Mapping[str, Any],
        given: Any,
        before: Sequence[Any] = (),
        listener: Any = None,
        *,
        by: Author = "network",
    ) -> Step:
        """Answer what a run waits for; see `answer`."""
        sent = answerable(pending, given, by=by)
        flow = answer(self._job(), pending, sent, before=before, listener=listener)
        return self._client.run(flow)

    async def aanswer(
        self,
        pending: Mapping[str, Any],
        given: Any,
        before: Sequence[Any] = (),
        listener: Any = None,
        *,
        by: Author = "network",
    ) -> Step:
        """Answer what a run waits for; see `answer`."""
        sent = await asyncio.to_thread(answerable, pending, given, by=by)
        flow = answer(self._job(), pending, sent, before=before, listener=listener)
        return await self._client.arun(flow)


def answerable(pending: Mapping[str, Any], given: Any, *, by: Author) -> Any:
    """Return an answer as `answer` takes it: with its names, and with files read (which blocks).

    Args:
        pending: What the run waits for.
        given: The answer, as a user gives it.
        by: Who gives it.

    Raises:
        CozeInvalidRequestError: There is no answer, or no question.
        CozeWorkflowError: It cannot be sent.
    """

    def file(value: Any) -> Any:
        found = file_of(value, local=by == "program", paths=by != "coercion")
        is_reference = isinstance(found, str) and found.startswith("{")
        return json.loads(found) if is_reference else found  # an object, inside of an answer

    if given is None or not pending.get("event_id"):
        raise CozeInvalidRequestError(
            f"There is no {'answer' if given is None else 'question that could be answered'}.",
            hint=hint_of(
                "Give the CozeWorkflowInterrupt that was raised, and a text or a dict of values.",
                "请传入抛出的 CozeWorkflowInterrupt，以及文本或字典形式的回答。",
            ),
        )
    schema = fields_schema(pending.get("required_parameters") or {})
    return with_files(schema, placed(pending, plain(given)), file)


# --- One procedure for each ----------------------------------------------------------------------


def start(job: Job, parameters: Mapping[str, Any], listener: Any = None) -> Flow[Step]:
    """Start a run.

    Args:
        job: What is run.
        parameters: Values of its start node, with an `Attachment` for each file to be uploaded.
        listener: Who is told each message, see `Tell`.

    Raises:
        CozeWorkflowError: It failed.
        CozeError: What else Coze reports.
    """
    sent = yield from _with_uploads(job, parameters, reference)
    body = {"workflow_id": job.workflow_id, **job.body, "parameters": sent}
    if job.is_async:
        request = run_request({**body, "is_async": True}, endpoint=job.endpoint)
        try:
            reply = yield from _asked(request, job.policy)
        except CozeError as error:
            if error.code != _NO_ASYNC:
                raise
            job = _as_unpaid(job)
        else:
            return (yield from _followed(job, reply, listener))
    request = run_request(body, stream=job.stream, endpoint=job.endpoint)
    reply = yield from _asked(request, job.policy)
    return (yield from _followed(job, reply, listener))


def answer(
    job: Job,
    pending: Mapping[str, Any],
    given: Any,
    *,
    before: Sequence[Any] = (),
    listener: Any = None,
) -> Flow[Step]:
    """Answer what a run waits for.

    Args:
        job: What is run.
        pending: What it waits for.
        given: The answer: text, or the values that an input node asks for, with an `Attachment`
            for each file to be uploaded.
        before: The messages of the run so far.
        listener: Who is told each further message, see `Tell`.

    Raises:
        CozeWorkflowError: It failed, or does not wait for this any more.
        CozeError: What else Coze reports.
    """
    sent = yield from _with_uploads(job, given, lambda file_id: {"file_id": file_id})
    job = job._replace(workflow_id=pending.get("workflow_id") or job.workflow_id)
    body = {
        "workflow_id": job.workflow_id,
        "event_id": pending["event_id"],
        "interrupt_type": pending.get("type", 0),
        "resume_data": answer_text(sent),
    }
    request = resume_request(body, stream=bool(pending.get(_STREAMED, True)))
    reply = yield from _asked(request, job.policy, answering=True)
    return (yield from _followed(job, reply, listener, before=before))


def _with_uploads(job: Job, values: Any, written: Callable[[str], Any]) -> Flow[Any]:
    """Return values whose files have been uploaded; `written` gives the form of an id."""
    files: list[Attachment] = []

    def note(value: Any) -> Any:
        if isinstance(value, Attachment):
            files.append(value)
        return value

    _each(values, note)
    ids = yield from uploaded(files, job.base_url, job.policy)
    return _each(values, lambda v: written(ids[v.digest]) if isinstance(v, Attachment) else v)


def _each(values: Any, change: Callable[[Any], Any]) -> Any:
    """Return plain data with each of its leaves changed."""
    if isinstance(values, dict):
        return {key: _each(value, change) for key, value in values.items()}
    if isinstance(values, list):
        return [_each(value, change) for value in values]
    return change(values)


def _as_unpaid(job: Job) -> Job:
    """Return a job that is streamed, because its runs may not be asynchronous."""
    if job.unpaid is not None:
        job.unpaid()
    warn_user(
        "Asynchronous runs need a paid plan (6003): the workflow is run as a stream. "
        "异步运行需要付费套餐（6003），已改为流式运行。"
    )
    return job._replace(stream=True, is_async=False)


def _followed(job: Job, reply: Reply, listener: Any, *, before: Sequence[Any] = ()) -> Flow[Step]:
    """Listen to a run that goes on, until it has ended or waits."""
    leg = Leg(logid=reply.logid, secret=reply.secret, before=before)
    if reply.stream is not None:
        yield from _heard(leg, reply.stream, listener)
    else:
        yield from _replied(leg, job, reply)
    pending = leg.question(job.workflow_id)
    if pending is not None:
        streamed = reply.stream is not None
        pending |= {_STREAMED: streamed, "tool_call_id": job.tool_call_id}
    return Step(leg.run(job.workflow_id), pending)


def _asked(request: Request, policy: RetryPolicy, *, answering: bool = False) -> Flow[Reply]:
    """Send a request, and return the reply; errors become those of a run, where they are."""
    try:
        return (yield from exchange(request, policy))
    except CozeError as error:
        if isinstance(error, (CozeServerError, CozeStreamError)):
            error.sent = True  # Coze had the request: the run may have started
        changed = refused(error, answering=answering)
        if changed is error:
            raise
        raise changed from error


def _replied(leg: Leg, job: Job, reply: Reply) -> Flow[None]:
    """Take the reply to a run that is not streamed; an asynchronous one is waited for."""
    run = Run.model_validate(reply.json)
    if job.is_async and run.execute_id and not run.data and run.asks is None:
        leg.begun(run)
        try:
            polled = yield from poll_run(job.workflow_id, run.execute_id, job.policy, job.polling)
        except CozeError as error:
            error.debug_url = error.debug_url or run.debug_url or None  # where it goes on
            raise
        leg.history(polled[1])
        return
    leg.reply(run)
    if "data" not in reply.json and not (run.asks or run.execute_id or run.debug_url):
        raise CozeServerError("Coze told nothing of the run.", **facts_of(reply))


def _heard(leg: Leg, stream: Any, listener: Any) -> Flow[None]:
    """Read a stream until the run has ended, or waits."""
    data: bytes | None = stream.head
    try:
        while data is not None:
            for message in leg.receive(data):
                if listener is not None:
                    yield Tell(listener, message)
            if leg.finished:
                break
            data = yield Read(stream)
        leg.close()
        with contextlib.suppress(CozeError):  # it has said all
            yield Read(stream, time.monotonic() + _LAST_WORDS)
    except BaseException:
        yield Close(stream)
        raise
    yield Close(stream)
