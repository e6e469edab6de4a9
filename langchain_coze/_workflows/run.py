r"""Parser for workflow runs: turns events and replies into an output or an interrupt. No I/O.

The start of a run, and each answer, gets one response, which ends when the run ends or is
interrupted (wire section 4.4). Nodes send their output in chunks; the result is the output of the
end node.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict
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
from langchain_coze._api.sse import Decoder
from langchain_coze._convert.from_coze import to_usage_metadata
from langchain_coze._convert.workflow_output import unwrap
from langchain_coze._workflows.errors import make_run_error
from langchain_coze.errors import redact

_END_TITLES = frozenset({"", "End", "结束"})
_END_TYPES = frozenset({"End", "Exit"})
_INPUT_NODE = 5  # the interrupt type of an input node
_STUDIO_OUTPUT_KEY = "Output"  # the key of the end node's output in a run history


class WorkflowRun(BaseModel):
    """A workflow run, finished or so far; the artifact of `CozeWorkflowTool`.

    After a checkpoint the artifact of a `ToolMessage` is a dict with the same keys, because that is
    how LangGraph stores messages.

    Source: wire sections 4.2 to 4.4.
    """

    model_config = ConfigDict(defer_build=True)

    workflow_id: str = ""
    """The id of the workflow."""

    content: str = ""
    """The output as text: the content of the tool's message for the model."""

    output: Any = None
    """The output: a dict of variables, or text."""

    data: str = ""
    """The output as Coze sent it: JSON in a str, or text."""

    messages: list[dict[str, Any]] = []
    """The output chunks of all nodes, as Coze sent them."""

    execute_id: str | None = None
    """The id of the run, if Coze sent it."""

    debug_url: str | None = None
    """The URL of the run's trace, valid for 7 days."""

    usage: UsageMetadata | None = None
    """The token counts, if Coze sent them."""

    logid: str | None = None
    """Coze's log id, which Coze support asks for."""


class RunStream:
    """Parser for one response of a run: a stream, a reply or a history.

    Attributes:
        is_finished: Whether the run has ended or is interrupted.
        pending: The interrupt, or None.
    """

    def __init__(
        self, *, logid: str | None = None, token: str = "", earlier_messages: Sequence[Any] = ()
    ) -> None:
        """Create a parser.

        Args:
            logid: The log id of the response.
            token: The token, to be redacted in errors.
            earlier_messages: The messages of earlier responses of the run.
        """
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
        self._usage = Usage()
        self._node_title = ""

    # --- Input ---------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Parse the next bytes of a stream; return the messages that they complete.

        Args:
            data: The bytes of one read, of any length.

        Raises:
            CozeError: The run failed.
        """
        count = len(self._messages)
        for name, payload in self._decoder.feed(data):
            if not self.is_finished:
                self._handle_event(name.lower(), payload)
        return self._messages[count:]

    def close(self) -> None:
        """Parse what is left at the end of a stream.

        Raises:
            CozeStreamError: The stream was cut off: the run has neither ended nor interrupted.
            CozeError: The last bytes report an error.
        """
        for name, payload in self._decoder.close():
            self._handle_event(name.lower(), payload)
        if not self.is_finished:
            raise make_truncated_error("The stream ended before the run did.", logid=self._logid)

    def record_start(self, run: RunReply) -> None:
        """Record the reply that starts an asynchronous run."""
        self._record_info(run)

    def feed_reply(self, run: RunReply) -> None:
        """Read the reply of a run that was not streamed (wire section 4.2)."""
        self._data = run.data
        self._record_info(run)
        self.pending = run.interrupt
        self.is_finished = True

    def feed_history(self, history: RunHistory) -> None:
        """Read the history of a run that has ended or is interrupted (wire section 4.3).

        Raises:
            CozeError: The run failed.
        """
        self._record_info(history)
        self.pending = history.interrupt
        if history.execute_status != "Success" and self.pending is None:
            code = int(history.error_code) if history.error_code.isdecimal() else None
            message = history.error_message or f"The run has ended: {history.execute_status}."
            raise make_run_error(
                code or None, redact(message, self._token), **self._collect_error_context()
            )
        outputs = parse_json(history.output.encode("utf-8", "replace"))
        self._data = history.output
        # Coze Studio has one level less: no key for the end node
        if isinstance(outputs, dict) and _STUDIO_OUTPUT_KEY in outputs:
            end_output = outputs[_STUDIO_OUTPUT_KEY]
            self._data = end_output if isinstance(end_output, str) else to_json(end_output).decode()
        self.is_finished = True

    def _handle_event(self, name: str, payload: bytes) -> None:
        body = parse_json(payload)
        if name == "message" and isinstance(body, dict):
            self._handle_message(body)
        elif name == "interrupt" and isinstance(body, dict):
            reply = RunReply.model_validate(body)
            self._record_info(reply)
            self._node_title = NodeMessage.model_validate(body).node_title
            self.pending = reply.interrupt
            if self.pending is None:
                raise make_truncated_error(
                    "The run asks something without an event_id.", **self._collect_error_context()
                )
            self.is_finished = True
        elif name == "done":
            self._record_info(RunReply.model_validate(body if isinstance(body, dict) else {}))
            self.is_finished = True
        elif name == "error" or (not name and find_failure(body) is not None):
            self._handle_failure(body, payload)
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
            output = self._unfinished[key] = _NodeOutput(message)
            self._node_outputs.append(output)
        output.parts.append(message.content)
        if message.node_is_finish:
            del self._unfinished[key]

    def _handle_failure(self, body: Any, payload: bytes) -> None:
        fields = body if isinstance(body, dict) else {"msg": payload.decode("utf-8", "replace")}
        failure = read_failure(fields)
        self._debug_url = failure.debug_url or self._debug_url
        message = redact(failure.message, self._token) or "The run has failed."
        raise make_run_error(failure.code or None, message, **self._collect_error_context())

    def _record_info(self, info: RunReply | RunHistory) -> None:
        """Keep the trace URL, the id and the usage of a reply, a history or the last event."""
        self._debug_url = info.debug_url or self._debug_url
        self._execute_id = info.execute_id or self._execute_id
        self._record_usage(info.usage, info.token)

    def _record_usage(self, usage: Usage, token: int) -> None:
        if usage.token_count or usage.input_count or usage.output_count:
            self._usage = usage
        elif token:  # older accounts and Coze Studio get only a total
            self._usage = Usage(token_count=token)

    def _collect_error_context(self) -> dict[str, Any]:
        return {"logid": self._logid, "debug_url": self._debug_url or None}

    # --- Output --------------------------------------------------------------------------------

    def build_run(self, workflow_id: str) -> WorkflowRun:
        """Return the run so far.

        Args:
            workflow_id: The workflow.
        """
        data = self._find_result() if self._data is None else self._data
        output = None if self.pending is not None else unwrap(data)
        return WorkflowRun(
            workflow_id=workflow_id,
            content=format_output(output, data),
            output=output,
            data=data,
            messages=self._messages,
            execute_id=self._execute_id or _get_query_value(self._debug_url, "execute_id"),
            debug_url=self._debug_url or None,
            usage=to_usage_metadata(self._usage),
            logid=self._logid,
        )

    def build_interrupt(self, workflow_id: str) -> dict[str, Any] | None:
        """Return the interrupt as plain data, or None if the run has ended.

        Args:
            workflow_id: The workflow.
        """
        if self.pending is None:
            return None
        question_text, options = _parse_question(self.pending.data)
        last_output = self._node_outputs[-1].text if self._node_outputs else ""
        if _parse_fields(last_output):  # the fields of an input node, not a question
            last_output = ""
        fields = self.pending.required_parameters or _parse_fields(self.pending.data)
        question = question_text or last_output or _describe_fields(fields)
        return {
            "event_id": self.pending.event_id,
            "type": self.pending.type,
            "question": question,
            "options": options,
            "node": self._node_title,
            "required_parameters": fields,
            "workflow_id": workflow_id,
        }

    def _find_result(self) -> str:
        """Return the output of the end node, or else of the node that started last."""
        ends = [spoken for spoken in self._node_outputs if spoken.is_end]
        return (ends or self._node_outputs)[-1].text if self._node_outputs else ""


class _NodeOutput:
    """The output of a node, in chunks."""

    def __init__(self, message: NodeMessage) -> None:
        self.is_end = message.node_type in _END_TYPES or message.node_title in _END_TITLES
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)


def format_output(output: Any, data: str) -> str:
    """Return an output as text for a model.

    Args:
        output: The output of a workflow.
        data: The same output as Coze sent it. It is used for text that is JSON by chance, such as
            numbers: `1.10` stays `1.10`.
    """
    if isinstance(output, str):
        return output
    if not isinstance(output, (dict, list)):
        return "" if output is None else data
    try:
        return json.dumps(output, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return data


def _get_query_value(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None


def _parse_question(data: str) -> tuple[str, list[str]]:
    """Return the question in the data of an interrupt, and its options.

    The data is text, the questions and answers of a node (the last one is open), or the fields of
    an input node, which are not a question (wire section 4.4).
    """
    body = parse_json(data.encode("utf-8", "replace"))
    if not isinstance(body, dict):
        is_json = data.lstrip().startswith(("{", "[")) or data.strip() == "null"
        return ("" if is_json else data.strip()), []
    messages = body.get("messages")
    item = messages[-1] if isinstance(messages, list) and messages else body
    content = item.get("content") if isinstance(item, Mapping) else None
    if isinstance(content, str) and item.get("content_type") == "option":
        content = parse_json(content.encode("utf-8", "replace"))
    if isinstance(content, Mapping):
        names = [_get_option_name(option) for option in _to_list(content.get("options"))]
        return str(content.get("question") or ""), [name for name in names if name]
    if not isinstance(content, str) or isinstance(parse_json(content.encode()), list):
        return "", []
    return content, []


def _parse_fields(data: str) -> dict[str, Any]:
    """Return the fields of an input node by name, from the data of its interrupt."""
    body = parse_json(data.encode("utf-8", "replace"))
    content = body.get("content") if isinstance(body, dict) else body
    items = parse_json(content.encode("utf-8", "replace")) if isinstance(content, str) else content
    return {
        str(item["name"]): {k: v for k, v in item.items() if k != "name"}
        for item in _to_list(items)
        if isinstance(item, Mapping) and item.get("name")
    }


def _describe_fields(fields: Mapping[str, Any]) -> str:
    """Return a question for an input node without one: the names and types of its fields."""
    descriptions = [
        f"{name} ({field.get('type', 'string')})" if isinstance(field, Mapping) else name
        for name, field in fields.items()
    ]
    return ", ".join(descriptions)


def _get_option_name(option: Any) -> str:
    named = option.get("name") if isinstance(option, Mapping) else option
    return named if isinstance(named, str) else ""


def _to_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def name_answer(pending: Mapping[str, Any], answer: Any) -> Any:
    """Return an answer; if it is a plain value for an input node with one field, add its name.

    Args:
        pending: The interrupt that the run waits on.
        answer: Text, or a dict with the values of an input node's fields.
    """
    fields = pending.get("required_parameters") or {}
    if pending.get("type") != _INPUT_NODE or isinstance(answer, Mapping) or len(fields) != 1:
        return answer
    parsed = parse_json(answer.encode("utf-8", "replace")) if isinstance(answer, str) else None
    return answer if isinstance(parsed, dict) else {next(iter(fields)): answer}


def serialize_answer(answer: Any) -> str:
    """Return an answer in Coze's form: always a str (wire section 4.4).

    Args:
        answer: Text or plain data.
    """
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
