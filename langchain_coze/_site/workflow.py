"""Run a workflow at coze.site in one of three ways, and return its whole output."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.polling import Polling
from langchain_coze._api.retry import RetryPolicy, mark_received
from langchain_coze._api.site import (
    DEBUG,
    build_stream_request,
    fetch_schemas,
    run_project,
    run_task,
    send_to_site,
)
from langchain_coze._convert.workflow_output import format_output
from langchain_coze._site.run_parser import SiteRunParser
from langchain_coze._workflows.run_stream import read_run_stream
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeWorkflowError,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow, Reply

_INTERRUPT = "__interrupt__"
_MESSAGE_KEYS = {"type", "content", "additional_kwargs"}  # of a message that LangChain writes


class SiteRunOptions(NamedTuple):
    """How to run a workflow.

    Attributes:
        name: The name of the project.
        mode: The route.
        output_schema: The schema of its outputs; None if unknown.
        retry_policy: How often requests are repeated, and until when.
        polling: How to poll a task.
    """

    name: str
    mode: Literal["run", "stream", "async"] = "run"
    output_schema: Mapping[str, Any] | None = None
    retry_policy: RetryPolicy = RetryPolicy()
    polling: Polling = Polling()


def run_site_workflow(
    options: SiteRunOptions, inputs: Mapping[str, Any], reporter: Any = None
) -> Flow[WorkflowRun]:
    """Run a workflow and wait for its end."""
    try:
        if options.mode == "stream":
            return (yield from _stream_run(options, inputs, reporter))
        if options.mode == "run":
            run_id = str(uuid.uuid4())
            reply, output = yield from run_project(
                inputs, run_id, options.retry_policy, is_workflow=True
            )
            run_id = str(output.pop("run_id", run_id))
        else:
            run_id = uuid.uuid4().hex
            reply, output = yield from run_task(
                inputs, run_id, options.retry_policy, options.polling, is_workflow=True
            )
    except CozeError as error:
        raise mark_received(error) from error.__cause__
    _check_output(reply, output, run_id)
    return _build_run(options, output, execute_id=run_id, logid=reply.logid)


def _check_output(reply: Reply, output: Any, run_id: str) -> None:
    """Reject the output of an agent, and that of a run that has stopped at a question."""
    if not isinstance(output, Mapping):
        return
    if _INTERRUPT in output:
        _raise_interrupt(output[_INTERRUPT], logid=reply.logid, run_id=run_id)
    messages = output.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if isinstance(first, Mapping) and first.keys() >= _MESSAGE_KEYS:
        raise CozeInvalidRequestError(
            "This project is an agent, not a workflow.",
            hint=site_hints.AGENT_PROJECT,
            run_id=run_id,
        )


def _raise_interrupt(question: Any, **context: Any) -> NoReturn:
    raise CozeWorkflowError(
        f"The workflow stopped at a question, and cannot be resumed: {question}",
        hint=site_hints.INTERRUPT,
        **context,
    )


def _stream_run(
    options: SiteRunOptions, inputs: Mapping[str, Any], reporter: Any
) -> Flow[WorkflowRun]:
    schema = options.output_schema
    if schema is None:
        schema = yield from _fetch_output_schema(options.retry_policy)
    request = build_stream_request(inputs, DEBUG)
    reply = yield from send_to_site(request, options.retry_policy, is_workflow=True)
    parser = SiteRunParser(logid=reply.logid, token=reply.token)
    try:
        yield from read_run_stream(parser, reply.stream, reporter)
    except CozeError as error:
        raise error.with_context(run_id=error.run_id or parser.run_id) from error.__cause__
    names = (schema.get("properties") or {}).keys()
    output = {name: value for name, value in parser.outputs.items() if name in names or not names}
    missing = [name for name in schema.get("required") or () if name not in output]
    if missing or isinstance(parser.last_output, list):  # a list holds the question
        question = parser.last_output if isinstance(parser.last_output, list) else ""
        _raise_interrupt(
            question or f"it has no {', '.join(missing)}", **parser.collect_error_context()
        )
    return _build_run(
        options,
        output,
        execute_id=parser.run_id,
        logid=parser.logid,
        messages=parser.messages,
    )


def _build_run(options: SiteRunOptions, output: Any, **fields: Any) -> WorkflowRun:
    data = json.dumps(output, ensure_ascii=False)
    content = format_output(output, data)
    return WorkflowRun(
        workflow_id=options.name, content=content, output=output, data=data, **fields
    )


def _fetch_output_schema(policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Return the schema of the outputs; empty if the project has no route for it."""
    try:
        schemas = yield from fetch_schemas(policy)
    except CozeNotFoundError:
        return {}
    schema = schemas.get("output_schema")
    return schema if isinstance(schema, Mapping) else {}
