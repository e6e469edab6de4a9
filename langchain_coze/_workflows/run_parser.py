"""Parser for workflow runs: turns events and replies into an output or an interrupt. No I/O.

The start of a run, and each answer, gets one response, which ends when the run ends or is
interrupted (wire section 4.4). Nodes send their output in chunks; the result is the output of the
end node.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from pydantic_core import to_json

from langchain_coze._api.error_codes import make_truncated_error
from langchain_coze._api.models import (
    NodeMessage,
    RunHistory,
    RunInterrupt,
    RunReply,
    Usage,
    find_failure,
    parse_json,
    read_failure,
)
from langchain_coze._api.replies import build_event_response
from langchain_coze._api.sse import Decoder
from langchain_coze._convert.from_coze import to_usage_metadata
from langchain_coze._convert.questions import describe_fields, parse_fields, parse_question
from langchain_coze._convert.workflow_output import format_output, unwrap
from langchain_coze._workflows.errors import make_run_error, make_unknown_interrupt
from langchain_coze._workflows.workflow_run import WorkflowRun
from langchain_coze.errors import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_coze.errors import CozeError

_END_TITLES = frozenset({"", "End", "结束"})
_END_TYPES = frozenset({"End", "Exit"})
_END_NODE_KEY = "Output"  # the key of the end node's output in a run history
_WAITING_ON_STUDIO = "<UNSET>"  # the status of an asynchronous run that waits for an answer


@dataclasses.dataclass(kw_only=True)
class _NodeOutput:
    """The output of a node, in chunks."""

    is_end: bool
    parts: list[str] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)


class RunParser:
    """Parser for one response of a run: a stream, a reply or a history.

    Attributes:
        is_finished: Whether the run has ended or is interrupted.
        pending: The interrupt, or None.
    """

    def __init__(
        self, *, logid: str | None = None, token: str = "", earlier_messages: Sequence[Any] = ()
    ) -> None:
        """Create a parser; it masks `token` in errors, and adds to the messages of the run."""
        self.is_finished = False
        self.pending: RunInterrupt | None = None
        self._logid = logid
        self._token = token
        self._messages: list[dict[str, Any]] = list(earlier_messages)
        self._node_outputs: list[_NodeOutput] = []
        self._unfinished: dict[str, _NodeOutput] = {}  # by node
        self._decoder = Decoder()
        self._debug_url = ""
        self._execute_id = ""
        self._data: str | None = None
        self._text: str | None = None
        self._usage = Usage()
        self._node_title = ""

    # --- Input ---------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Parse the next bytes of a stream; return the messages that they complete.

        Raises:
            CozeError: The run failed.
        """
        count = len(self._messages)
        for name, payload in self._decoder.feed(data):
            if not self.is_finished:
                self._handle_event(name.lower(), payload)
        return self._messages[count:]

    def close(self) -> None:
        """Parse the rest at the end of a stream.

        Raises:
            CozeStreamError: The stream was cut off: the run has neither ended nor interrupted.
            CozeError: The last bytes report an error.
        """
        for name, payload in self._decoder.close():
            self._handle_event(name.lower(), payload)
        if not self.is_finished:
            raise make_truncated_error("The stream ended before the run did.", logid=self._logid)

    def record_info(self, info: RunReply | RunHistory) -> None:
        """Keep the trace URL, the id and the usage of a reply, a history or the last event."""
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
        """Read the history of a run that has ended or is interrupted (wire section 4.3).

        Raises:
            CozeWorkflowInterrupt: The run waits for its user, and the server does not return the
                question.
            CozeError: The run failed.
        """
        self.record_info(history)
        if history.execute_status == _WAITING_ON_STUDIO:
            raise make_unknown_interrupt(self._execute_id, **self._collect_error_context())
        self.pending = history.interrupt
        if history.execute_status != "Success" and self.pending is None:
            code = int(history.error_code) if history.error_code.isdecimal() else 0
            message = (
                history.error_message or f"The run ended with the status {history.execute_status}."
            )
            raise self._make_error(code, message)
        outputs = parse_json(history.output.encode("utf-8", "replace"))
        self._data = history.output
        # Coze Studio has one level less: no key for the end node
        if isinstance(outputs, dict) and _END_NODE_KEY in outputs:
            end_output = outputs[_END_NODE_KEY]
            self._data = end_output if isinstance(end_output, str) else to_json(end_output).decode()
        else:
            self._text = _read_only_output(outputs)
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
            failure = read_failure(body if isinstance(body, dict) else {"msg": text})
            self._debug_url = failure.debug_url or self._debug_url
            response = build_event_response(text, self._token)
            raise self._make_error(failure.code, failure.message, response=response)
        elif name == "message":
            raise make_truncated_error(
                "The stream has a message that is not JSON.", logid=self._logid
            )

    def _handle_message(self, body: dict[str, Any]) -> None:
        message = NodeMessage.model_validate(body)
        self._messages.append(body)
        self._record_usage(message.usage, message.token)
        key = message.node_execute_uuid or message.node_id or message.node_title
        output = self._unfinished.get(key)
        if output is None:
            is_end = message.node_type in _END_TYPES or message.node_title in _END_TITLES
            output = self._unfinished[key] = _NodeOutput(is_end=is_end)
            self._node_outputs.append(output)
        output.parts.append(message.content)
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
        data = self._find_result() if self._data is None else self._data
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
        last_output = self._node_outputs[-1].text if self._node_outputs else ""
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

    def _find_result(self) -> str:
        """Return the output of the end node, or else of the node that started last."""
        ends = [output for output in self._node_outputs if output.is_end]
        return (ends or self._node_outputs)[-1].text if self._node_outputs else ""


def _read_only_output(outputs: Any) -> str | None:
    """Return the text of an end node in a history of Coze Studio.

    An end node with text and one with the variable `output` look the same there (wire section 4.3).
    """
    is_only = isinstance(outputs, dict) and outputs.keys() == {"output"}
    return outputs["output"] if is_only and isinstance(outputs["output"], str) else None


def _get_query_value(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None
