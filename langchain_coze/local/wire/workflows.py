"""The wire shapes of workflows: of coze.cn and coze.com, and of Coze Studio (wire 4 and 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.runtime.workflow_stepping import Output
from langchain_coze.local.runtime.workflow_writer import END_NODE, Node
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.cloud import CloudProfile, Encoder, Event, token_usage
from langchain_coze.local.wire.forms import form_items
from langchain_coze.local.wire.ids import stable_id
from langchain_coze.local.workflow_parts import AskInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.runtime.workflow_run import Interrupt, WorkflowRun
    from langchain_coze.local.wire.errors import Problem
    from langchain_coze.local.workflows import LocalWorkflow


class CloudWorkflows:
    """Workflows of coze.cn and coze.com.

    Attributes:
        not_published: The code of a workflow that is not there for callers.
        most_resumes: How often a run may be resumed; None for any number of times.
        waits_without_stream: Whether a run that is not streamed may wait for an answer.
        charges_async: Whether only paid plans have runs that are polled.
        loses_errors: Whether the errors of requests for a stream come without a body.
        pings: Whether streams have heartbeats.
        counts_on: Whether the pieces of a node that speaks again are counted on, not from 0.
        form_type: The `content_type` of an input node's form.
        stream_headers: Headers of every stream.
    """

    not_published = 4200
    most_resumes: int | None = 3
    waits_without_stream = True
    charges_async = True
    loses_errors = False
    pings = True
    counts_on = False
    form_type = "text"
    stream_headers: Mapping[str, str] = CloudProfile.stream_headers

    def end_text(self, workflow: LocalWorkflow, output: Output) -> str:
        """What the End node says: the JSON text of its variables, or a text."""
        value = output.value
        if workflow.gives_text:
            return value if isinstance(value, str) else ("" if value is None else _json(value))
        if value is None:
            return "{}"
        return _json(value if isinstance(value, dict) else {"output": value})

    def data(self, run: WorkflowRun) -> str:
        """The output of a run as its reply tells it: always a string (wire 4.2)."""
        text = self.end_text(run.workflow, run.output or Output(None))
        wrapped = run.workflow.gives_text and run.workflow.wrapped
        return _json(self.wrapper(text)) if wrapped else text

    def wrapper(self, text: str) -> dict[str, Any]:
        """The wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "original_result": None, "type_for_model": 2}

    def debug_url(self, run: WorkflowRun) -> str:
        """The page that would show a run."""
        return (
            f"https://www.coze.cn/work_flow?execute_id={run.execute_id}"
            f"&space_id={stable_id('workspace', 'local')}&workflow_id={run.workflow.workflow_id}"
        )

    # Replies ----------------------------------------------------------------------------------

    def reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells the output of a run."""
        return {
            "code": 0,
            "data": self.data(run),
            "debug_url": self.debug_url(run),
            "msg": "",
            "usage": usage(run),
        }

    def waiting_reply(self, run: WorkflowRun, interrupt: Interrupt, logid: str) -> dict[str, Any]:
        """The reply of a run that waits for an answer."""
        return {
            "code": 0,
            "msg": "",
            "debug_url": self.debug_url(run),
            "interrupt_data": self.interrupt_data(interrupt),
            "execute_id": run.execute_id,
            "detail": {"logid": logid},
        }

    def started_reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells where the output of a run will be; the sample has no code."""
        return {"debug_url": self.debug_url(run), "execute_id": run.execute_id, "msg": ""}

    def refusal(
        self, problem: Problem, profile: CloudProfile, place: tuple[str, str], *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """An error: its HTTP status and body.

        Args:
            problem: The error.
            profile: The shapes of the installation.
            place: The route that was asked, and the log id.
            real_status: Whether the status is the matching one instead of 200.
        """
        return profile.problem(problem, *place, real_status=real_status)

    def failure(self, run: WorkflowRun) -> dict[str, Any]:
        """What the error of a failed run tells besides code and message.

        The API's page lists `debug_url` for every reply; no failed one is recorded.
        """
        return {"debug_url": self.debug_url(run)}

    def question_data(self, interrupt: Interrupt) -> str:
        """What an interrupt tells of its question."""
        question = interrupt.question
        if isinstance(question, AskInput):
            content = _json(form_items(question.parameters))
            return _json({"content_type": self.form_type, "content": content})
        return _json({"content_type": "text", "content": question.text})

    def interrupt_data(self, interrupt: Interrupt) -> dict[str, Any]:
        """What a run waits for."""
        data: dict[str, Any] = {"data": self.question_data(interrupt)}
        if isinstance(interrupt.question, AskInput):
            data["required_parameters"] = {
                parameter.name: parameter.as_json() for parameter in interrupt.question.parameters
            }
        return data | {"event_id": interrupt.event_id, "type": interrupt.type}

    # Streams ----------------------------------------------------------------------------------

    def encoder(self) -> Encoder:
        """How the events of one stream are written: numbered from 0, with spaces."""
        number = -1

        def encode(event: Event) -> bytes:
            nonlocal number
            number += 1
            text = f"id: {number}\nevent: {event.name}\ndata: {event.data}\n\n"
            return text.encode("utf-8", "replace")

        return encode

    def message(self, run: WorkflowRun, node: Node, text: str, *, finished: bool) -> Event:
        """A piece of what a node says; the last one of the End node tells the cost."""
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
            data |= {"token": sum(run.usage), "usage": usage(run)}
        return Event("Message", _json(data))

    def question_text(self, interrupt: Interrupt) -> str:
        """What a node says when it asks."""
        question = interrupt.question
        return self.question_data(interrupt) if isinstance(question, AskInput) else question.text

    def interrupt(self, run: WorkflowRun, interrupt: Interrupt, node: Node) -> Event:  # noqa: ARG002 - Studio tells it
        """The event that says what a run waits for; a question was told just before it."""
        data = self.interrupt_data(interrupt)
        if not isinstance(interrupt.question, AskInput):
            data["data"] = ""
        sorted_data = {name: data[name] for name in sorted(data)}
        return Event("Interrupt", _json({"interrupt_data": sorted_data, "node_title": node.title}))

    def error(self, run: WorkflowRun, code: int, msg: str) -> Event:  # noqa: ARG002 - as above
        """The event of a run that has failed."""
        return Event("Error", _json({"error_code": code, "error_message": msg}))

    def done(self, run: WorkflowRun) -> Event:
        """The last event of a run that has ended well."""
        return Event("Done", _json({"debug_url": self.debug_url(run)}))


class StudioWorkflows(CloudWorkflows):
    """Workflows of Coze Studio."""

    not_published = 6031
    most_resumes = None
    waits_without_stream = False
    charges_async = False
    loses_errors = True
    pings = False
    counts_on = True
    form_type = "form_schema"
    stream_headers: Mapping[str, str] = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "access-control-allow-origin": "*",
    }

    def wrapper(self, text: str) -> dict[str, Any]:
        """The wrapper around the text of an End node."""
        return {"content_type": 1, "data": text, "type_for_model": 2}

    def reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells the output of a run."""
        told = {"data": self.data(run), "token": sum(run.usage), "cost": "0.00000"}
        return self.started_reply(run) | told

    def started_reply(self, run: WorkflowRun) -> dict[str, Any]:
        """The reply that tells where the output of a run will be."""
        return {
            "code": 0,
            "msg": None,
            "data": None,
            "token": None,
            "cost": None,
            "debug_url": self.debug_url(run),
            "execute_id": run.execute_id,
            "BaseResp": None,
        }

    def refusal(
        self, problem: Problem, profile: CloudProfile, place: tuple[str, str], *, real_status: bool
    ) -> tuple[int, dict[str, Any]]:
        """An error that a workflow has found: status 200 with its own code (wire 1.5, 4.8)."""
        del profile, place, real_status
        return 200, {"code": problem.code, "msg": problem.message}

    def failure(self, run: WorkflowRun) -> dict[str, Any]:  # noqa: ARG002 - nothing is told
        """Nothing."""
        return {}

    def question_data(self, interrupt: Interrupt) -> str:
        """What an interrupt tells of its question: of a question node all that was said."""
        question = interrupt.question
        if isinstance(question, AskInput):
            return super().question_data(interrupt)
        asked: dict[str, Any] = {"type": "question", "content_type": "text"}
        asked["content"] = question.question
        if question.options:
            options = [{"name": option} for option in question.options]
            asked["content_type"] = "option"
            asked["content"] = {"options": options, "question": question.question}
        messages = [asked]
        for text in interrupt.answers:
            messages += [{"type": "answer", "content_type": "text", "content": text}, asked]
        return _json({"messages": messages})

    def message(self, run: WorkflowRun, node: Node, text: str, *, finished: bool) -> Event:
        """A piece of what a node says."""
        data: dict[str, Any] = {
            "content": text,
            "content_type": "text",
            "node_seq_id": str(node.sequence),
            "node_id": node.id,
            "node_is_finish": finished,
            "node_type": node.kind,
            "node_title": node.title,
        }
        if node.title == END_NODE and finished:
            data["token"] = sum(run.usage)
        return Event("Message", _json(data))

    def question_text(self, interrupt: Interrupt) -> str:
        """What a node says when it asks: the same as the interrupt tells."""
        return self.question_data(interrupt)

    def interrupt(self, run: WorkflowRun, interrupt: Interrupt, node: Node) -> Event:  # noqa: ARG002 - the cloud tells it
        """The event that says what a run waits for."""
        data = {
            "event_id": interrupt.event_id,
            "type": interrupt.type,
            "data": self.question_data(interrupt),
        }
        return Event("Interrupt", _json({"debug_url": self.debug_url(run), "interrupt_data": data}))

    def error(self, run: WorkflowRun, code: int, msg: str) -> Event:
        """The event of a run that has failed."""
        error = {"error_code": code, "error_message": msg}
        return Event("Error", _json({"debug_url": self.debug_url(run), **error}))


_SHAPES: Mapping[str, type[CloudWorkflows]] = {"cloud": CloudWorkflows, "studio": StudioWorkflows}


def workflow_shapes(profile: CloudProfile) -> CloudWorkflows:
    """The shapes that belong to a profile."""
    return _SHAPES[profile.name]()


def usage(run: WorkflowRun) -> dict[str, Any]:
    """The tokens of a run."""
    counts = token_usage(*run.usage)
    return {name: counts[name] for name in ("input_count", "token_count", "output_count")}


def _json(value: Any) -> str:
    return go_json.dumps(value)
