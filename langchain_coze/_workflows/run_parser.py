"""Parse the events or the reply of a workflow run into an output or an interrupt. No I/O.

The start of a run and each answer get one response, which ends when the run ends or is interrupted
(wire section 4.4). Nodes send their output in chunks; the result is the output of the end node, or
else of the node that started last.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pydantic_core import to_json

from langchain_coze import _hints as hints
from langchain_coze._api.effects import Close, Flow, Notify, Read
from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze._api.models import (
    ErrorReport,
    NodeMessage,
    RunHistory,
    RunInterrupt,
    RunReply,
    Usage,
    find_failure,
    parse_json,
)
from langchain_coze._api.replies import build_event_response
from langchain_coze._api.settings import DRAIN_SECONDS
from langchain_coze._api.sse import Decoder
from langchain_coze._convert.from_coze import to_usage_metadata
from langchain_coze._convert.questions import describe_fields, parse_fields, parse_question
from langchain_coze._convert.workflow_output import format_output, unwrap
from langchain_coze._workflows.errors import make_run_error
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import CozeError, CozeWorkflowInterrupt, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

_END_TITLES = frozenset({"", "End", "结束"})
_END_TYPES = frozenset({"End", "Exit"})
_END_NODE_KEY = "Output"  # the key of the end node's output in a run history
_WAITING_ON_STUDIO = "<UNSET>"  # the status of an asynchronous run that waits for an answer


class RunParser:
    """Parser for one response of a run: a stream, a reply or a history.

    Attributes:
        is_finished: Whether the run has ended or is interrupted.
        pending: The interrupt, or None.
    """

    def __init__(
        self, *, logid: str | None = None, token: str = "", earlier_messages: Sequence[Any] = ()
    ) -> None:
        """Create a parser that masks `token` in errors and continues the earlier messages."""
        self.is_finished = False
        self.pending: RunInterrupt | None = None
        self._logid = logid
        self._token = token
        self._messages: list[dict[str, Any]] = list(earlier_messages)
        self._last_output: list[str] = []  # of the node that started last, in chunks
        self._end_output: list[str] = []
        self._unfinished: dict[str, list[str]] = {}  # by node
        self._decoder = Decoder()
        self._debug_url = ""
        self._execute_id = ""
        self._data: str | None = None
        self._text: str | None = None
        self._usage = Usage()
        self._node_title = ""

    # --- Input ---------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Parse the next bytes of a stream; return the new complete messages."""
        count = len(self._messages)
        for name, payload in self._decoder.feed(data):
            if not self.is_finished:
                self._handle_event(name.lower(), payload)
        return self._messages[count:]

    def close(self) -> None:
        """Parse the rest of a stream; raise unless the run has ended or is interrupted."""
        for name, payload in self._decoder.close():
            self._handle_event(name.lower(), payload)
        if not self.is_finished:
            raise make_truncated_error("The stream ended before the run did.", logid=self._logid)

    def record_info(self, info: RunReply | RunHistory) -> None:
        """Record the trace URL, the id and the usage from a reply, a history or the last event."""
        self._debug_url = info.debug_url or self._debug_url
        self._execute_id = info.execute_id or self._execute_id
        self._record_usage(info.usage, info.token)

    def feed_reply(self, run: RunReply) -> None:
        """Read the reply of a run that was not streamed (wire section 4.2)."""
        self.record_info(run)
        self._data = run.data
        self.pending = run.interrupt
        self.is_finished = True

    def feed_history(self, history: RunHistory) -> None:
        """Read the history of a run that has ended or is interrupted (wire section 4.3)."""
        self.record_info(history)
        if history.execute_status == _WAITING_ON_STUDIO:
            raise CozeWorkflowInterrupt(
                "The workflow waits for an answer, but the server does not return the question "
                f"(execute_id {self._execute_id}).",
                hint=hints.UNKNOWN_QUESTION,
                **self._collect_error_context(),
            )
        self.pending = history.interrupt
        if history.execute_status != "Success" and self.pending is None:
            code = int(history.error_code) if history.error_code.isdecimal() else 0
            ended = f"The run ended with the status {history.execute_status}."
            raise self._make_error(code, history.error_message or ended)
        outputs = parse_json(history.output)
        self._data = history.output
        # Coze Studio omits the level with the key of the end node, so an end node with text and one
        # with the variable `output` look the same (wire section 4.3).
        if isinstance(outputs, dict) and _END_NODE_KEY in outputs:
            end_output = outputs[_END_NODE_KEY]
            self._data = end_output if isinstance(end_output, str) else to_json(end_output).decode()
        elif isinstance(outputs, dict) and outputs.keys() == {"output"}:
            self._text = outputs["output"] if isinstance(outputs["output"], str) else None
        self.is_finished = True

    def _handle_event(self, name: str, payload: bytes) -> None:
        body = parse_json(payload)
        if name == "message" and isinstance(body, dict):
            self._handle_message(body)
        elif name == "interrupt" and isinstance(body, dict):
            self._handle_interrupt(body)
        elif name == "done":
            self.record_info(RunReply.model_validate(body if isinstance(body, dict) else {}))
            self.is_finished = True
        elif name == "error" or (not name and find_failure(body) is not None):
            text = payload.decode("utf-8", "replace")
            failure = ErrorReport.parse(body if isinstance(body, dict) else {"msg": text})
            self._debug_url = failure.debug_url or self._debug_url
            response = build_event_response(text, self._token)
            raise self._make_error(failure.code, failure.message, response=response)
        elif name == "message":
            text = "The stream has a message that is not JSON."
            raise make_truncated_error(text, logid=self._logid)

    def _handle_message(self, body: dict[str, Any]) -> None:
        message = NodeMessage.model_validate(body)
        self._messages.append(body)
        self._record_usage(message.usage, message.token)
        key = message.node_execute_uuid or message.node_id or message.node_title
        if key not in self._unfinished:
            self._last_output = self._unfinished[key] = []
            if message.node_type in _END_TYPES or message.node_title in _END_TITLES:
                self._end_output = self._last_output
        self._unfinished[key].append(message.content)
        if message.node_is_finish:
            del self._unfinished[key]

    def _handle_interrupt(self, body: dict[str, Any]) -> None:
        reply = RunReply.model_validate(body)
        self.record_info(reply)
        self._node_title = NodeMessage.model_validate(body).node_title
        self.pending = reply.interrupt
        if self.pending is None:
            raise make_truncated_error(
                "The run asked a question without an event_id.", **self._collect_error_context()
            )
        self.is_finished = True

    def _record_usage(self, usage: Usage, token: int) -> None:
        if usage.token_count or usage.input_count or usage.output_count:
            self._usage = usage
        elif token:  # older accounts and Coze Studio get only a total
            self._usage = Usage(token_count=token)

    def _make_error(self, code: int, message: str, **context: Any) -> CozeError:
        text = redact(message, self._token) or "The run has failed."
        return make_run_error(code or None, text, **self._collect_error_context(), **context)

    def _collect_error_context(self) -> dict[str, Any]:
        return {"logid": self._logid, "debug_url": self._debug_url or None}

    # --- Output --------------------------------------------------------------------------------

    def build_run(self, workflow_id: str) -> WorkflowRun:
        """Return the run so far."""
        data = self._data
        if data is None:
            data = "".join(self._end_output or self._last_output)
        output = None if self.pending is not None else unwrap(data)
        return WorkflowRun(
            workflow_id=workflow_id,
            content=format_output(output, data) if self._text is None else self._text,
            output=output,
            data=data,
            messages=self._messages,
            execute_id=self._execute_id or _get_query_value(self._debug_url, "execute_id"),
            debug_url=self._debug_url or None,
            usage=to_usage_metadata(self._usage),
            logid=self._logid,
        )

    def build_interrupt(self, workflow_id: str) -> dict[str, Any] | None:
        """Return the interrupt as plain data, or None if the run has ended."""
        if self.pending is None:
            return None
        question, options = parse_question(self.pending.data)
        last_output = "".join(self._last_output)
        if parse_fields(last_output):  # the fields of an input node, not a question
            last_output = ""
        fields = self.pending.required_parameters or parse_fields(self.pending.data)
        return {
            "event_id": self.pending.event_id,
            "type": self.pending.type,
            "question": question or last_output or describe_fields(fields),
            "options": options,
            "node": self._node_title,
            "required_parameters": fields,
            "workflow_id": workflow_id,
        }


def _get_query_value(url: str, name: str) -> str | None:
    query = url.partition("?")[2].partition("#")[0]  # `urlsplit` rejects some damaged addresses
    values = parse_qs(query).get(name)
    return values[0] if values else None


def read_run_stream(parser: Any, stream: Any, reporter: Any) -> Flow[None]:
    """Read a stream until the run ends or is interrupted; report its messages; close it."""
    data: bytes | None = stream.buffered
    try:
        while data is not None:
            for message in parser.feed(data):
                if reporter is not None:
                    yield Notify(reporter, message)
            if parser.is_finished:
                break
            data = yield Read(stream)
        parser.close()
        with contextlib.suppress(CozeError):  # drain the end of the response
            yield Read(stream, time.monotonic() + DRAIN_SECONDS)
    except BaseException:
        yield Close(stream)
        raise
    yield Close(stream)
