"""Replies and events of workflows: of coze.cn and coze.com (wire 4), and of Studio (wire 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import CloudProfile, build_debug_url, build_usage
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import EventEncoder, SseEvent, create_numbered_encoder
from langchain_coze.local.wire.ids import derive_id, get_time
from langchain_coze.local.wire.parameters import build_form
from langchain_coze.local.wire.studio_chatflows import (
    build_question_message,
    build_studio_debug_url,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


END_NODE, END_NODE_ID = "End", "900001"
_QUESTION_NODE, _INPUT_NODE = 2, 5
_UNKNOWN, _NOT_PUBLISHED, _NOT_PUBLISHED_STREAM = 720702004, 6031, 720702011
_EXECUTION_FAILED = 720701013
_END_TITLE = "结束"
_FIRST_NODE_CODE = 700_000_000  # smaller codes are those of requests


@dataclass(slots=True, kw_only=True)
class RunDetails:
    """The data of a run in its replies, events and history."""

    execute_id: str
    workflow_id: str
    returns_text: bool  # the End node returns a text instead of variables
    wraps_text: bool  # that text is wrapped unless the run is streamed (wire 4.2)
    owner: str
    logid: str
    mode: int  # the `run_mode` (wire 4.3)
    parameters: Mapping[str, Any]
    bot_id: str
    user_id: str
    created_at: int = field(default_factory=get_time)
    updated_at: int = field(default_factory=get_time)
    usage: tuple[int, int] = (0, 0)  # input and output tokens so far
    texts: dict[str, str] = field(default_factory=dict)  # of output nodes, by title
    status: str = "Running"  # or Success or Fail
    output: Any = None  # the value of the End node
    failure: tuple[int, str] | None = None  # code and message
    pending: PendingQuestion | None = None  # set while the run waits for an answer


@dataclass
class OutputNode:
    """A node that sends messages; `sequence` is their number so far."""

    title: str
    node_type: str = "Message"
    id: str = ""
    sequence: int = 0

    def __post_init__(self) -> None:
        """Set an id in the format of Coze's editor."""
        self.id = self.id or f"1{int(derive_id('node', self.title)) % 100_000:05}"


@dataclass(frozen=True, slots=True)
class PendingQuestion:
    """The question of an interrupted run."""

    event_id: str  # the id of the interrupt
    question: str = ""
    options: Sequence[str] = ()
    form: Mapping[str, Mapping[str, Any]] | None = None  # the schemas of an input node's fields
    rejected_answers: tuple[str, ...] = ()

    @property
    def type(self) -> int:
        """2 for a question node, 5 for an input node (wire 4.4)."""
        return _QUESTION_NODE if self.form is None else _INPUT_NODE

    @property
    def text(self) -> str:
        """The question and its options."""
        return "\n".join([self.question, *self.options])


class CloudWorkflowProfile:
    """Workflows of coze.cn and coze.com."""

    max_resumes: int | None = 3  # None for no limit
    allows_interrupt_without_stream = True
    requires_plan_for_async = True  # asynchronous runs require a paid plan
    sends_pings = True
    continues_sequence = False  # when a node runs again
    form_content_type = "text"  # of an input node's form
    stream_headers: Mapping[str, str] = CloudProfile.stream_headers

    def __init__(self, base_url: str = "") -> None:
        """Store the address of the server."""
        self.base_url = base_url

    def create_lookup_error(self, workflow_id: str, *, exists: bool, streamed: bool) -> ApiError:  # noqa: ARG002 - Studio needs it
        """Return the error for a workflow that does not exist or is not published."""
        return ApiError(4200, "Workflow not found. Please verify the workflow exists.")

    def create_late_answer_error(self, execute_id: str) -> ApiError:  # noqa: ARG002 - as above
        """Return the error for an answer to a run that does not wait for one."""
        return ApiError(4315)

    def build_output_data(self, run: RunDetails, value: Any) -> str:
        """Return the output of a run in the format of a reply, always a string (wire 4.2)."""
        text = render_output(value, as_text=run.returns_text)
        wrapped = run.returns_text and run.wraps_text
        return go_json.dumps(self.build_wrapper(text)) if wrapped else text

    def build_wrapper(self, text: str) -> dict[str, Any]:
        """Return the wrapped text of an End node."""
        return {"content_type": 1, "data": text, "original_result": None, "type_for_model": 2}

    def build_debug_url(self, run: RunDetails) -> str:
        """Return the URL of the trace of a run."""
        return build_debug_url(run.execute_id, run.workflow_id)

    # Replies ----------------------------------------------------------------------------------

    def build_reply(self, run: RunDetails, logid: str) -> dict[str, Any]:
        """Return the reply with the output of a run, or with its question (wire 4.2)."""
        reply: dict[str, Any] = {"code": 0, "msg": ""}
        if run.pending is None:
            reply["data"] = self.build_output_data(run, run.output)
        reply["debug_url"] = self.build_debug_url(run)
        if run.pending is None:
            reply["usage"] = build_run_usage(run)
        else:
            reply["interrupt_data"] = self.build_interrupt_data(run.pending)
        return reply | {"execute_id": run.execute_id, "detail": {"logid": logid}}

    def build_started_reply(self, run: RunDetails) -> dict[str, Any]:
        """Return the reply of an asynchronous run."""
        ids = {"debug_url": self.build_debug_url(run), "execute_id": run.execute_id}
        return {"code": 0, **ids, "msg": "Success"}

    def build_error_fields(self, run: RunDetails | None) -> dict[str, Any]:
        """Return the additional fields of an error; `run` is None if it was not started.

        Coze documents `debug_url` for every reply; no failed reply is recorded.
        """
        return {"debug_url": self.build_debug_url(run)} if run else {}

    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        """Return the event of a rejected stream request (wire 4.4); if empty, reply with JSON."""
        data = {"node_execute_uuid": "", "error_message": error.message, "error_code": error.code}
        return [SseEvent("Error", go_json.dumps(data))]

    def build_question_data(self, question: PendingQuestion) -> str:
        """Return the `data` of an interrupt: its question or form."""
        if question.form is not None:
            content = go_json.dumps(build_form(question.form))
            return go_json.dumps({"content_type": self.form_content_type, "content": content})
        return go_json.dumps({"content_type": "text", "content": question.text})

    def build_interrupt_data(self, question: PendingQuestion) -> dict[str, Any]:
        """Return the `interrupt_data` of a run that waits for an answer."""
        data: dict[str, Any] = {"data": self.build_question_data(question)}
        if question.form is not None:
            data["required_parameters"] = dict(question.form)
        return data | {"event_id": question.event_id, "type": question.type}

    # Streams ----------------------------------------------------------------------------------

    def create_encoder(self) -> EventEncoder:
        """Return the encoder of one stream: events are numbered from 0, with spaces."""
        return create_numbered_encoder(0)

    def build_message_event(
        self, run: RunDetails, node: OutputNode, text: str, *, finished: bool
    ) -> SseEvent:
        """Return the event of a node's message; the last one of the End node has the usage."""
        data: dict[str, Any] = {
            "content_type": "text",
            "node_is_finish": finished,
            "node_seq_id": str(node.sequence),
            "node_title": node.title,
            "content": text,
            "node_type": node.node_type,
            "node_id": node.id,
            "node_execute_uuid": "",
        }
        if node.id == END_NODE_ID and finished:
            data["usage"] = build_run_usage(run)
        return SseEvent("Message", go_json.dumps(data))

    def build_question_text(self, question: PendingQuestion) -> str:
        """Return the message text of a question node."""
        return question.text if question.form is None else self.build_question_data(question)

    def build_interrupt_event(
        self,
        run: RunDetails,  # noqa: ARG002 - Studio needs it
        question: PendingQuestion,
        node: OutputNode,
    ) -> SseEvent:
        """Return the event of an interrupt; a message with the question precedes it."""
        data = self.build_interrupt_data(question)
        if question.form is None:
            data["data"] = ""
        sorted_data = {name: data[name] for name in sorted(data)}
        body = {"interrupt_data": sorted_data, "node_title": node.title}
        return SseEvent("Interrupt", go_json.dumps(body))

    def build_failure_events(self, run: RunDetails, code: int, msg: str) -> list[SseEvent]:
        """Return the events of a failed run; the code of a node is part of the message."""
        if code >= _FIRST_NODE_CODE:
            code, msg = 5000, f"[{code}] {msg}"
        url = self.build_debug_url(run)
        data = {"error_code": code, "node_execute_uuid": "", "error_message": msg, "debug_url": url}
        return [SseEvent("Error", go_json.dumps(data)), self.build_done_event(run)]

    def build_done_event(self, run: RunDetails) -> SseEvent:
        """Return the last event of a run."""
        data = {"node_execute_uuid": "", "debug_url": self.build_debug_url(run)}
        return SseEvent("Done", go_json.dumps(data))

    # Histories --------------------------------------------------------------------------------

    def build_history(self, run: RunDetails) -> dict[str, Any]:
        """Return the history of a run, with the outputs of its nodes as nested JSON.

        Recorded for a successful run (wire 4.3).
        """
        output = ""
        if run.status == "Success":
            data = self.build_output_data(run, run.output)
            output = go_json.dumps({"node_status": "{}", "Output": data, **run.texts})
        code, message = run.failure or ("0", "")
        history: dict[str, Any] = {
            "execute_id": run.execute_id,
            "execute_status": run.status,
            "bot_id": run.bot_id or "0",
            "connector_id": "1024",
            "connector_uid": run.user_id,
            "run_mode": run.mode,
            "output": output,
            "create_time": run.created_at,
            "update_time": run.updated_at,
            "usage": build_run_usage(run),
            "token": "0",
            "logid": run.logid,
            "debug_url": self.build_debug_url(run),
            "error_code": str(code),
            "error_message": message,
            "is_output_trimmed": False,
            "node_execute_status": {},
        }
        if run.pending is not None:
            history["interrupt_data"] = self.build_interrupt_data(run.pending)
        return history


class StudioWorkflowProfile(CloudWorkflowProfile):
    """Workflows of Coze Studio."""

    max_resumes = None
    allows_interrupt_without_stream = False
    requires_plan_for_async = False
    sends_pings = False
    continues_sequence = True
    form_content_type = "form_schema"
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "access-control-allow-origin": "*",
    }

    @override
    def create_lookup_error(self, workflow_id: str, *, exists: bool, streamed: bool) -> ApiError:
        if not exists:
            text = "not found, please check if the workflow exists and not deleted"
            return ApiError(_UNKNOWN, f"workflow {workflow_id} {text}")
        return ApiError(
            _NOT_PUBLISHED_STREAM if streamed else _NOT_PUBLISHED,
            "Workflow not published. The requested operation cannot be performed on an "
            "unpublished workflow. Please publish the workflow and try again.",
        )

    @override
    def create_late_answer_error(self, execute_id: str) -> ApiError:
        text = f"workflow execution {execute_id} is not interrupted, status is 2, cannot resume"
        return ApiError(_EXECUTION_FAILED, f"Workflow execution failure: {text}")

    @override
    def build_wrapper(self, text: str) -> dict[str, Any]:
        return {"content_type": 1, "data": text, "type_for_model": 2}

    @override
    def build_debug_url(self, run: RunDetails) -> str:
        return build_studio_debug_url(self.base_url, run.execute_id, run.workflow_id)

    @override
    def build_reply(self, run: RunDetails, logid: str) -> dict[str, Any]:
        return self.build_started_reply(run) | {
            "data": self.build_output_data(run, run.output),
            "token": sum(run.usage),
            "cost": "0.00000",
        }

    @override
    def build_started_reply(self, run: RunDetails) -> dict[str, Any]:
        fields = self.build_error_fields(run) | {"execute_id": run.execute_id}
        return {"code": 0, "msg": None} | fields

    @override
    def build_error_fields(self, run: RunDetails | None) -> dict[str, Any]:
        """Return the additional fields of an error; the ids are 0 before a run."""
        url = self.build_debug_url(run) if run else build_studio_debug_url(self.base_url)
        nothing = {"data": None, "token": None, "cost": None}
        return nothing | {"debug_url": url, "execute_id": None, "BaseResp": None}

    @override
    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        return []

    @override
    def build_question_data(self, question: PendingQuestion) -> str:
        """Return the `data` of an interrupt; for a question node it has all messages so far."""
        if question.form is not None:
            return super().build_question_data(question)
        messages = [build_question_message(question.question, question.options)]
        for number, text in enumerate(question.rejected_answers, 1):
            messages.append({"type": "answer", "content_type": "text", "content": text})
            messages.append(build_question_message(question.question, question.options, number))
        return go_json.dumps({"messages": messages})

    @override
    def build_message_event(
        self, run: RunDetails, node: OutputNode, text: str, *, finished: bool
    ) -> SseEvent:
        data: dict[str, Any] = {
            "content": text,
            "content_type": "text",
            "node_seq_id": str(node.sequence),
            "node_id": node.id,
            "node_is_finish": finished,
            "node_type": node.node_type,
            "node_title": _END_TITLE if node.id == END_NODE_ID else node.title,
        }
        return SseEvent("Message", go_json.dumps_raw(data))

    @override
    def build_question_text(self, question: PendingQuestion) -> str:
        """Return the message text of a question node: the `data` of the interrupt."""
        return self.build_question_data(question)

    @override
    def build_interrupt_event(
        self, run: RunDetails, question: PendingQuestion, node: OutputNode
    ) -> SseEvent:
        data = {
            "event_id": question.event_id,
            "type": question.type,
            "data": self.build_question_data(question),
        }
        body = {"debug_url": self.build_debug_url(run), "interrupt_data": data}
        return SseEvent("Interrupt", go_json.dumps_raw(body))

    @override
    def build_failure_events(self, run: RunDetails, code: int, msg: str) -> list[SseEvent]:
        """Return the last event of a failed run."""
        error = {"error_code": code, "error_message": msg}
        body = {"debug_url": self.build_debug_url(run), **error}
        return [SseEvent("Error", go_json.dumps_raw(body))]

    @override
    def build_done_event(self, run: RunDetails) -> SseEvent:
        """Return the last event of a successful run."""
        return SseEvent("Done", go_json.dumps_raw({"debug_url": self.build_debug_url(run)}))

    @override
    def build_history(self, run: RunDetails) -> dict[str, Any]:
        """Return the history of a run; ids are numbers, and the output is not wrapped."""
        output = ""
        if run.status == "Success":
            value = {"output": run.output} if run.returns_text else run.output
            output = render_output(value, as_text=False)
        code, message = run.failure or ("", "")
        return {
            "execute_id": int(run.execute_id),
            "execute_status": "<UNSET>" if run.pending else run.status,
            "bot_id": int(run.bot_id) if run.bot_id.isdecimal() else None,
            "connector_id": 1024,
            "connector_uid": run.user_id,
            "run_mode": run.mode,
            "log_id": run.logid,
            "create_time": run.created_at,
            "update_time": run.updated_at,
            "debug_url": self.build_debug_url(run),
            "input": go_json.dumps(run.parameters),
            "output": output,
            "token": sum(run.usage),
            "cost": "0.00000",
            "cost_unit": None,
            "ext": None,
            "error_code": str(code),
            "error_msg": message,
        }


def get_workflow_profile(profile: CloudProfile) -> CloudWorkflowProfile:
    """Return the profile of workflows of the same installation."""
    kind = StudioWorkflowProfile if profile.is_studio else CloudWorkflowProfile
    return kind(profile.base_url)


def render_output(value: Any, *, as_text: bool) -> str:
    """Return the text of the End node: the JSON of its variables, or its text."""
    if as_text and (value is None or isinstance(value, str)):
        return value or ""
    if not as_text and not isinstance(value, dict):
        value = {} if value is None else {"output": value}
    return go_json.dumps(value)


def build_run_usage(run: RunDetails) -> dict[str, Any]:
    """Return the tokens of a run."""
    counts = build_usage(*run.usage)
    return {name: counts[name] for name in ("input_count", "token_count", "output_count")}
