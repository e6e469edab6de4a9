"""Replies and events of workflows: of coze.cn and coze.com, and of Coze Studio (wire 4 and 8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud_profile import CloudProfile, build_usage
from langchain_coze.local.wire.events import EventEncoder, SseEvent
from langchain_coze.local.wire.ids import derive_id, generate_id
from langchain_coze.local.wire.input_node_forms import build_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_coze.local.wire.errors import ApiError

END_NODE, END_NODE_ID = "End", "900001"
_QUESTION_NODE, _INPUT_NODE = 2, 5


@dataclass(slots=True)
class RunDetails:
    """What the replies and events of a run contain besides its output.

    Attributes:
        execute_id: The id of the run.
        workflow_id: The id of the workflow.
        returns_text: Whether the End node returns a text instead of variables.
        wraps_text: Whether that text is wrapped where the run is not streamed (wire 4.2).
        usage: Input and output tokens so far.
    """

    execute_id: str
    workflow_id: str
    returns_text: bool = False
    wraps_text: bool = True
    usage: tuple[int, int] = (0, 0)


@dataclass
class OutputNode:
    """A node that sends messages.

    Attributes:
        title: Its name.
        kind: Its type, as Studio names it.
        id: Its id in the workflow.
        execute_uuid: The id of this execution of it.
        sequence: How many messages it has sent.
    """

    title: str
    node_type: str = "Message"
    id: str = ""
    execute_uuid: str = field(default_factory=generate_id)
    sequence: int = 0

    def __post_init__(self) -> None:
        """Set an id of the form that Coze's editor gives."""
        self.id = self.id or f"1{int(derive_id('node', self.title)) % 100_000:05}"


@dataclass(frozen=True, slots=True)
class PendingQuestion:
    """The question that a run waits for an answer to.

    Attributes:
        event_id: The id of the interrupt.
        question: The question of a question node.
        options: Answers to choose from.
        form: The schemas of an input node's fields by name; None for a question node.
        rejected_answers: The answers so far; none of them was valid.
    """

    event_id: str
    question: str = ""
    options: Sequence[str] = ()
    form: Mapping[str, Mapping[str, Any]] | None = None
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
    """Workflows of coze.cn and coze.com.

    Attributes:
        not_published_code: The error code for a workflow that does not exist or is not published.
        max_resumes: How often a run may be resumed; None for any number of times.
        allows_interrupt_without_stream: Whether a run that is not streamed may wait for an answer.
        requires_plan_for_async: Whether only paid plans have asynchronous runs.
        hides_stream_errors: Whether errors of requests for a stream have no body.
        sends_pings: Whether streams have heartbeats.
        continues_sequence: Whether a node that is executed again continues its sequence numbers.
        form_content_type: The `content_type` of an input node's form.
        stream_headers: Headers of every stream.
    """

    not_published_code = 4200
    max_resumes: int | None = 3
    allows_interrupt_without_stream = True
    requires_plan_for_async = True
    hides_stream_errors = False
    sends_pings = True
    continues_sequence = False
    form_content_type = "text"
    stream_headers: Mapping[str, str] = CloudProfile.stream_headers

    def render_output(self, info: RunDetails, value: Any) -> str:
        """Return the text of the End node: the JSON of its variables, or its text."""
        if info.returns_text:
            if isinstance(value, str):
                return value
            return "" if value is None else go_json.dumps(value)
        if value is None:
            return "{}"
        return go_json.dumps(value if isinstance(value, dict) else {"output": value})

    def build_output_data(self, info: RunDetails, value: Any) -> str:
        """Return the output of a run as its reply has it: always a string (wire 4.2)."""
        text = self.render_output(info, value)
        wrapped = info.returns_text and info.wraps_text
        return go_json.dumps(self.build_wrapper(text)) if wrapped else text

    def build_wrapper(self, text: str) -> dict[str, Any]:
        """Return the wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "original_result": None, "type_for_model": 2}

    def build_debug_url(self, info: RunDetails) -> str:
        """Return the address of the page that would show a run."""
        return (
            f"https://www.coze.cn/work_flow?execute_id={info.execute_id}"
            f"&space_id={derive_id('workspace', 'local')}&workflow_id={info.workflow_id}"
        )

    # Replies ----------------------------------------------------------------------------------

    def build_reply(self, info: RunDetails, value: Any) -> dict[str, Any]:
        """Return the reply with the output of a run."""
        return {
            "code": 0,
            "data": self.build_output_data(info, value),
            "debug_url": self.build_debug_url(info),
            "msg": "",
            "usage": build_run_usage(info),
        }

    def build_interrupt_reply(
        self, info: RunDetails, question: PendingQuestion, logid: str
    ) -> dict[str, Any]:
        """Return the reply of a run that waits for an answer."""
        return {
            "code": 0,
            "msg": "",
            "debug_url": self.build_debug_url(info),
            "interrupt_data": self.build_interrupt_data(question),
            "execute_id": info.execute_id,
            "detail": {"logid": logid},
        }

    def build_started_reply(self, info: RunDetails) -> dict[str, Any]:
        """Return the reply of an asynchronous run; the API's sample has no code."""
        return {
            "debug_url": self.build_debug_url(info),
            "execute_id": info.execute_id,
            "msg": "",
        }

    def build_error(
        self, error: ApiError, profile: CloudProfile, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body of an error.

        Args:
            error: The error.
            profile: The profile of the installation.
            path: The path of the request.
            logid: The log id.
            real_status: Whether the status is the matching one instead of 200.
        """
        return profile.build_error(error, path, logid, real_status=real_status)

    def build_failure_fields(self, info: RunDetails) -> dict[str, Any]:
        """Return what the error of a failed run has besides code and message.

        The API's page lists `debug_url` for every reply; no failed one is recorded.
        """
        return {"debug_url": self.build_debug_url(info)}

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
        number = -1

        def encode(event: SseEvent) -> bytes:
            nonlocal number
            number += 1
            text = f"id: {number}\nevent: {event.name}\ndata: {event.data}\n\n"
            return text.encode("utf-8", "replace")

        return encode

    def build_message_event(
        self, info: RunDetails, node: OutputNode, text: str, *, finished: bool
    ) -> SseEvent:
        """Return a message of a node; the last one of the End node has the cost."""
        data: dict[str, Any] = {"content": text, "content_type": "text"}
        is_last = node.title == END_NODE and finished
        if is_last:
            data["cost"] = "0.00"
        data |= {
            "node_execute_uuid": node.execute_uuid,
            "node_id": node.id,
            "node_is_finish": finished,
            "node_seq_id": str(node.sequence),
            "node_title": node.title,
        }
        if is_last:
            data |= {"token": sum(info.usage), "usage": build_run_usage(info)}
        return SseEvent("Message", go_json.dumps(data))

    def build_question_text(self, question: PendingQuestion) -> str:
        """Return the message of a node that asks a question."""
        return question.text if question.form is None else self.build_question_data(question)

    def build_interrupt_event(
        self,
        info: RunDetails,  # noqa: ARG002 - Studio needs it
        question: PendingQuestion,
        node: OutputNode,
    ) -> SseEvent:
        """Return the event of an interrupt; a message with the question was sent before it."""
        data = self.build_interrupt_data(question)
        if question.form is None:
            data["data"] = ""
        sorted_data = {name: data[name] for name in sorted(data)}
        body = {"interrupt_data": sorted_data, "node_title": node.title}
        return SseEvent("Interrupt", go_json.dumps(body))

    def build_error_event(self, info: RunDetails, code: int, msg: str) -> SseEvent:  # noqa: ARG002 - as above
        """Return the event of a run that has failed."""
        return SseEvent("Error", go_json.dumps({"error_code": code, "error_message": msg}))

    def build_done_event(self, info: RunDetails) -> SseEvent:
        """Return the last event of a run that has succeeded."""
        return SseEvent("Done", go_json.dumps({"debug_url": self.build_debug_url(info)}))


class StudioWorkflowProfile(CloudWorkflowProfile):
    """Workflows of Coze Studio."""

    not_published_code = 6031
    max_resumes = None
    allows_interrupt_without_stream = False
    requires_plan_for_async = False
    hides_stream_errors = True
    sends_pings = False
    continues_sequence = True
    form_content_type = "form_schema"
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "access-control-allow-origin": "*",
    }

    def build_wrapper(self, text: str) -> dict[str, Any]:
        """Return the wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "type_for_model": 2}

    def build_reply(self, info: RunDetails, value: Any) -> dict[str, Any]:
        """Return the reply with the output of a run."""
        return self.build_started_reply(info) | {
            "data": self.build_output_data(info, value),
            "token": sum(info.usage),
            "cost": "0.00000",
        }

    def build_started_reply(self, info: RunDetails) -> dict[str, Any]:
        """Return the reply of an asynchronous run."""
        return {
            "code": 0,
            "msg": None,
            "data": None,
            "token": None,
            "cost": None,
            "debug_url": self.build_debug_url(info),
            "execute_id": info.execute_id,
            "BaseResp": None,
        }

    def build_error(
        self, error: ApiError, profile: CloudProfile, path: str, logid: str, *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """Return the status and body of an error: 200 with its own code (wire 1.5, 4.8)."""
        del profile, path, logid, real_status
        return 200, {"code": error.code, "msg": error.message}

    def build_failure_fields(self, info: RunDetails) -> dict[str, Any]:  # noqa: ARG002 - the cloud needs it
        """Return nothing."""
        return {}

    def build_question_data(self, question: PendingQuestion) -> str:
        """Return the `data` of an interrupt; that of a question node has all messages so far."""
        if question.form is not None:
            return super().build_question_data(question)
        message: dict[str, Any] = {"type": "question", "content_type": "text"}
        message["content"] = question.question
        if question.options:
            options = [{"name": option} for option in question.options]
            message["content_type"] = "option"
            message["content"] = {"options": options, "question": question.question}
        messages = [message]
        for text in question.rejected_answers:
            messages += [{"type": "answer", "content_type": "text", "content": text}, message]
        return go_json.dumps({"messages": messages})

    def build_message_event(
        self, info: RunDetails, node: OutputNode, text: str, *, finished: bool
    ) -> SseEvent:
        """Return a message of a node."""
        data: dict[str, Any] = {
            "content": text,
            "content_type": "text",
            "node_seq_id": str(node.sequence),
            "node_id": node.id,
            "node_is_finish": finished,
            "node_type": node.node_type,
            "node_title": node.title,
        }
        if node.title == END_NODE and finished:
            data["token"] = sum(info.usage)
        return SseEvent("Message", go_json.dumps(data))

    def build_question_text(self, question: PendingQuestion) -> str:
        """Return the message of a node that asks a question: the `data` of the interrupt."""
        return self.build_question_data(question)

    def build_interrupt_event(
        self,
        info: RunDetails,
        question: PendingQuestion,
        node: OutputNode,  # noqa: ARG002 - the cloud needs it
    ) -> SseEvent:
        """Return the event of an interrupt."""
        data = {
            "event_id": question.event_id,
            "type": question.type,
            "data": self.build_question_data(question),
        }
        body = {"debug_url": self.build_debug_url(info), "interrupt_data": data}
        return SseEvent("Interrupt", go_json.dumps(body))

    def build_error_event(self, info: RunDetails, code: int, msg: str) -> SseEvent:
        """Return the event of a run that has failed."""
        error = {"error_code": code, "error_message": msg}
        body = {"debug_url": self.build_debug_url(info), **error}
        return SseEvent("Error", go_json.dumps(body))


_PROFILES: Mapping[str, type[CloudWorkflowProfile]] = {
    "cloud": CloudWorkflowProfile,
    "studio": StudioWorkflowProfile,
}


def get_workflow_profile(profile: CloudProfile) -> CloudWorkflowProfile:
    """Return the workflow profile of the same installation."""
    return _PROFILES[profile.name]()


def build_run_usage(info: RunDetails) -> dict[str, Any]:
    """Return the tokens of a run."""
    counts = build_usage(*info.usage)
    return {name: counts[name] for name in ("input_count", "token_count", "output_count")}
