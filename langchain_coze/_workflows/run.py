r"""One run of a workflow: what its events tell, what it put out, and what it waits for. No I/O.

A run is told in legs: from its start, or from an answer, to its end or the next question (wire
section 4.4). Nodes speak in pieces; the end node says the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from langchain_core.messages.ai import UsageMetadata
from pydantic import BaseModel, ConfigDict
from pydantic_core import to_json

from langchain_coze._api.error_codes import cut_error
from langchain_coze._api.models import (
    Failure,
    History,
    Interrupt,
    NodeMessage,
    Run,
    Usage,
    failure_in,
    parse,
)
from langchain_coze._api.sse import Decoder
from langchain_coze._convert.from_coze import usage_metadata
from langchain_coze._convert.workflow_output import unwrapped
from langchain_coze._workflows.errors import run_error
from langchain_coze.errors import redact

_END_TITLES = frozenset({"", "End", "结束"})
_END_TYPES = frozenset({"End", "Exit"})
_INPUT = 5  # the type of an input node
_END_KEY = "Output"  # under which a history has what the end node put out


class WorkflowRun(BaseModel):
    """One run of a workflow, as far as it has come; the artifact of `CozeWorkflowTool`.

    After a checkpoint the artifact of a `ToolMessage` is a dict with the same keys: that is how
    LangGraph stores messages.

    Source: wire sections 4.2 to 4.4.
    """

    model_config = ConfigDict(defer_build=True)

    workflow_id: str = ""
    """The workflow."""

    content: str = ""
    """What the tool says to a model: the output as text."""

    output: Any = None
    """What the workflow put out: its variables, or a text."""

    data: str = ""
    """The output as Coze sent it: JSON in a str, or text."""

    messages: list[dict[str, Any]] = []
    """What the nodes said on the way, piece by piece, as Coze sent it."""

    execute_id: str | None = None
    """The run, where Coze told it."""

    debug_url: str | None = None
    """The page with the trace of the run, good for 7 days."""

    usage: UsageMetadata | None = None
    """Tokens, where Coze told them."""

    logid: str | None = None
    """Coze's log id, which its support asks for."""


class Leg:
    """What the events of one leg of a run tell.

    Attributes:
        finished: Whether the run has ended, or waits.
        pending: What it waits for, or None.
    """

    def __init__(
        self, *, logid: str | None = None, secret: str = "", before: Sequence[Any] = ()
    ) -> None:
        """Begin with nothing seen.

        Args:
            logid: The log id of the response.
            secret: The token, which must not appear in errors.
            before: The messages of earlier legs.
        """
        self.finished = False
        self.pending: Interrupt | None = None
        self._logid = logid
        self._secret = secret
        self._messages: list[dict[str, Any]] = list(before)
        self._spoken: list[_Spoken] = []
        self._open: dict[str, _Spoken] = {}  # those who have not finished, by node
        self._decoder = Decoder()
        self._debug_url = ""
        self._execute_id = ""
        self._data: str | None = None
        self._usage = Usage()
        self._title = ""

    # --- What comes in -------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[dict[str, Any]]:
        """Take the next bytes of a stream, and return the messages that they hold.

        Args:
            data: Bytes as they were read; any length.

        Raises:
            CozeError: The run failed.
        """
        count = len(self._messages)
        for name, payload, _ in self._decoder.feed(data):
            if not self.finished:
                self._event(name.lower(), payload)
        return self._messages[count:]

    def close(self) -> None:
        """Take the end of a stream.

        Raises:
            CozeStreamError: The stream was cut: the run has neither ended nor asked.
            CozeError: Its last bytes report an error.
        """
        for name, payload, _ in self._decoder.close():
            self._event(name.lower(), payload)
        if not self.finished:
            raise cut_error("The stream ended before the run did.", logid=self._logid)

    def begun(self, run: Run) -> None:
        """Take the word that a run has begun, which goes on by itself."""
        self._about(run)

    def reply(self, run: Run) -> None:
        """Take the reply to a run that was not streamed (wire section 4.2)."""
        self._data = run.data
        self._about(run)
        self.pending = run.asks
        self.finished = True

    def history(self, history: History) -> None:
        """Take the history of a run that has ended or waits (wire section 4.3).

        Raises:
            CozeError: The run failed.
        """
        self._about(history)
        self.pending = history.asks
        if history.execute_status != "Success" and self.pending is None:
            code = int(history.error_code) if history.error_code.isdecimal() else None
            words = history.error_message or f"The run has ended: {history.execute_status}."
            raise run_error(code or None, redact(words, self._secret), **self._facts())
        outputs = parse(history.output.encode("utf-8", "replace"))
        self._data = history.output
        if isinstance(outputs, dict) and _END_KEY in outputs:  # Coze Studio has one level less
            told = outputs[_END_KEY]
            self._data = told if isinstance(told, str) else to_json(told).decode()
        self.finished = True

    def _event(self, name: str, payload: bytes) -> None:
        body = parse(payload)
        if name == "message" and isinstance(body, dict):
            self._message(body)
        elif name == "interrupt" and isinstance(body, dict):
            told = Run.model_validate(body)
            self._about(told)
            self._title = NodeMessage.model_validate(body).node_title
            self.pending = told.asks
            if self.pending is None:
                raise cut_error("The run asks something without an event_id.", **self._facts())
            self.finished = True
        elif name == "done":
            self._about(Run.model_validate(body if isinstance(body, dict) else {}))
            self.finished = True
        elif name == "error" or (not name and failure_in(body) is not None):
            self._failed(body, payload)
        elif name == "message":
            raise cut_error("The stream has a message that is not JSON.", logid=self._logid)

    def _message(self, body: dict[str, Any]) -> None:
        message = NodeMessage.model_validate(body)
        self._messages.append(body)
        self._count(message.usage, message.token)
        key = message.node_execute_uuid or message.node_id or message.node_title
        spoken = self._open.get(key)
        if spoken is None:
            spoken = self._open[key] = _Spoken(message)
            self._spoken.append(spoken)
        spoken.parts.append(message.content)
        if message.node_is_finish:
            del self._open[key]

    def _failed(self, body: Any, payload: bytes) -> None:
        told = body if isinstance(body, dict) else {"msg": payload.decode("utf-8", "replace")}
        failure = Failure.model_validate(told)
        self._debug_url = failure.debug_url or self._debug_url
        words = redact(failure.words, self._secret) or "The run has failed."
        raise run_error(failure.number or None, words, **self._facts())

    def _about(self, told: Run | History) -> None:
        """Note what a reply, a history or the last event tells of the run."""
        self._debug_url = told.debug_url or self._debug_url
        self._execute_id = told.execute_id or self._execute_id
        self._count(told.usage, told.token)

    def _count(self, usage: Usage, token: int) -> None:
        if usage.token_count or usage.input_count or usage.output_count:
            self._usage = usage
        elif token:  # what older accounts and Coze Studio are told
            self._usage = Usage(token_count=token)

    def _facts(self) -> dict[str, Any]:
        return {"logid": self._logid, "debug_url": self._debug_url or None}

    # --- What goes out -------------------------------------------------------------------------

    def run(self, workflow_id: str) -> WorkflowRun:
        """Return the run as far as it has come.

        Args:
            workflow_id: The workflow.
        """
        data = self._result() if self._data is None else self._data
        output = None if self.pending is not None else unwrapped(data)
        return WorkflowRun(
            workflow_id=workflow_id,
            content=text_of(output, data),
            output=output,
            data=data,
            messages=self._messages,
            execute_id=self._execute_id or _in_query(self._debug_url, "execute_id"),
            debug_url=self._debug_url or None,
            usage=usage_metadata(self._usage),
            logid=self._logid,
        )

    def question(self, workflow_id: str) -> dict[str, Any] | None:
        """Return what the run waits for as plain data, or None when it has ended.

        Args:
            workflow_id: The workflow.
        """
        if self.pending is None:
            return None
        asked, options = _asked(self.pending.data)
        told = self._spoken[-1].text if self._spoken else ""
        if _fields(told):  # the fields of an input node, which are no question
            told = ""
        wanted = self.pending.required_parameters or _fields(self.pending.data)
        question = asked or told or _wanted_text(wanted)
        return {
            "event_id": self.pending.event_id,
            "type": self.pending.type,
            "question": question,
            "options": options,
            "node": self._title,
            "required_parameters": wanted,
            "workflow_id": workflow_id,
        }

    def _result(self) -> str:
        """Return what the end node said, or else the node that spoke last."""
        ends = [spoken for spoken in self._spoken if spoken.is_end]
        return (ends or self._spoken)[-1].text if self._spoken else ""


class _Spoken:
    """What a node says, in pieces."""

    def __init__(self, message: NodeMessage) -> None:
        self.is_end = message.node_type in _END_TYPES or message.node_title in _END_TITLES
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)


def text_of(output: Any, data: str) -> str:
    """Return an output as a model should read it.

    Args:
        output: What a workflow put out.
        data: The same as Coze sent it. It is what is told of numbers and other words that are JSON
            by chance: `1.10` stays `1.10`.
    """
    if isinstance(output, str):
        return output
    if not isinstance(output, (dict, list)):
        return "" if output is None else data
    try:
        return json.dumps(output, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return data


def _in_query(url: str, name: str) -> str | None:
    values = parse_qs(urlsplit(url).query).get(name)
    return values[0] if values else None


def _asked(data: str) -> tuple[str, list[str]]:
    """Return the question that stands in the data of an interrupt, and the options it gives.

    It is text; or the questions and answers of a node, the last of which is open; or the fields of
    an input node, which are no question (wire section 4.4).
    """
    body = parse(data.encode("utf-8", "replace"))
    if not isinstance(body, dict):
        is_json = data.lstrip().startswith(("{", "[")) or data.strip() == "null"
        return ("" if is_json else data.strip()), []
    messages = body.get("messages")
    item = messages[-1] if isinstance(messages, list) and messages else body
    content = item.get("content") if isinstance(item, Mapping) else None
    if isinstance(content, str) and item.get("content_type") == "option":
        content = parse(content.encode("utf-8", "replace"))
    if isinstance(content, Mapping):
        names = [_name(option) for option in _list(content.get("options"))]
        return str(content.get("question") or ""), [name for name in names if name]
    if not isinstance(content, str) or isinstance(parse(content.encode()), list):
        return "", []
    return content, []


def _fields(data: str) -> dict[str, Any]:
    """Return the values that an input node asks for, from the data of its interrupt."""
    body = parse(data.encode("utf-8", "replace"))
    content = body.get("content") if isinstance(body, dict) else body
    listed = parse(content.encode("utf-8", "replace")) if isinstance(content, str) else content
    return {
        str(item["name"]): {k: v for k, v in item.items() if k != "name"}
        for item in _list(listed)
        if isinstance(item, Mapping) and item.get("name")
    }


def _wanted_text(wanted: Mapping[str, Any]) -> str:
    """Return a question for an input node that has none: the values that it wants."""
    told = [
        f"{name} ({field.get('type', 'string')})" if isinstance(field, Mapping) else name
        for name, field in wanted.items()
    ]
    return ", ".join(told)


def _name(option: Any) -> str:
    named = option.get("name") if isinstance(option, Mapping) else option
    return named if isinstance(named, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def placed(pending: Mapping[str, Any], answer: Any) -> Any:
    """Return an answer with the names of its values.

    Args:
        pending: What the run waits for.
        answer: Text; or a dict of the values that an input node asks for. A plain answer is the
            value, where an input node asks for one only.
    """
    wanted = pending.get("required_parameters") or {}
    if pending.get("type") != _INPUT or isinstance(answer, Mapping) or len(wanted) != 1:
        return answer
    given = parse(answer.encode("utf-8", "replace")) if isinstance(answer, str) else None
    return answer if isinstance(given, dict) else {next(iter(wanted)): answer}


def answer_text(answer: Any) -> str:
    """Return an answer as it is sent: always a str (wire section 4.4).

    Args:
        answer: Text or plain data.
    """
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
