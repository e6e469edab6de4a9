"""Run a coze.site workflow in one of three modes, and return its whole output."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_coze import _site_hints as site_hints
from langchain_coze._api.retry import mark_received
from langchain_coze._api.site import (
    ProjectRun,
    SiteOptions,
    fetch_schemas,
    open_stream,
    run_project,
)
from langchain_coze._convert.workflow_output import format_output
from langchain_coze._site.run_parser import SiteRunParser
from langchain_coze._workflows.run_parser import read_run_stream
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import (
    CozeError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeWorkflowError,
)

if TYPE_CHECKING:
    from langchain_coze._api.effects import Flow

_INTERRUPT = "__interrupt__"
_MESSAGE_KEYS = {"type", "content", "additional_kwargs"}  # of a serialized LangChain message


def run_site_workflow(
    options: SiteOptions,
    inputs: Mapping[str, Any],
    output_schema: Mapping[str, Any] | None,
    reporter: Any,
) -> Flow[WorkflowRun]:
    """Run a workflow and wait for its end.

    Args:
        options: The options of the call.
        inputs: The inputs of the workflow.
        output_schema: The schema of its outputs; None if unknown.
        reporter: The `ProgressReporter` of a stream.
    """
    run_id = str(uuid.uuid4())
    try:
        if options.mode == "stream":
            schema = output_schema
            if schema is None:
                schema = yield from _fetch_output_schema(options)
            return (yield from _stream_run(options, inputs, schema, reporter, run_id))
        run = yield from run_project(inputs, options, run_id)
    except CozeError as error:
        raise mark_received(error) from error.__cause__
    _check_output(run)
    return _build_run(options, run.output, execute_id=run.id, logid=run.reply.logid)


def _check_output(run: ProjectRun) -> None:
    """Reject the output of an agent, or of a run that stopped at a question."""
    if not isinstance(run.output, Mapping):
        return
    if _INTERRUPT in run.output:
        _raise_interrupt(run.output[_INTERRUPT], logid=run.reply.logid, run_id=run.id)
    messages = run.output.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if isinstance(first, Mapping) and first.keys() >= _MESSAGE_KEYS:
        raise CozeInvalidRequestError(
            "This project is an agent, not a workflow.",
            hint=site_hints.AGENT_PROJECT,
            run_id=run.id,
        )


def _raise_interrupt(question: Any, **context: Any) -> NoReturn:
    raise CozeWorkflowError(
        f"The workflow stopped at a question and cannot be resumed: {question}",
        hint=site_hints.INTERRUPT,
        **context,
    )


def _stream_run(
    options: SiteOptions,
    inputs: Mapping[str, Any],
    schema: Mapping[str, Any],
    reporter: Any,
    run_id: str,
) -> Flow[WorkflowRun]:
    reply = yield from open_stream(inputs, options, run_id)
    parser = SiteRunParser(logid=reply.logid, token=reply.token)
    try:
        yield from read_run_stream(parser, reply.stream, reporter)
    except CozeError as error:
        raise error.with_context(run_id=error.run_id or parser.run_id) from error.__cause__
    names = (schema.get("properties") or {}).keys()
    output = {name: value for name, value in parser.outputs.items() if name in names or not names}
    missing = [name for name in schema.get("required") or () if name not in output]
    if missing or isinstance(parser.last_output, list):  # a list contains the question
        question = parser.last_output if isinstance(parser.last_output, list) else ""
        _raise_interrupt(
            question or f"its output lacks {', '.join(missing)}", **parser.collect_error_context()
        )
    return _build_run(
        options,
        output,
        execute_id=parser.run_id,
        logid=parser.logid,
        messages=parser.messages,
    )


def _build_run(options: SiteOptions, output: Any, **fields: Any) -> WorkflowRun:
    data = json.dumps(output, ensure_ascii=False)
    content = format_output(output, data)
    return WorkflowRun(
        workflow_id=options.name, content=content, output=output, data=data, **fields
    )


def _fetch_output_schema(options: SiteOptions) -> Flow[Mapping[str, Any]]:
    """Return the schema of the outputs; empty if the project has no route for it."""
    try:
        schemas = yield from fetch_schemas(options)
    except CozeNotFoundError:
        return {}
    schema = schemas.get("output_schema")
    return schema if isinstance(schema, Mapping) else {}
