"""Replies and events of workflows of Coze Studio (wire 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.events import SseEvent
from langchain_coze.local.wire.studio_chatflows import (
    build_question_message,
    build_studio_debug_url,
)
from langchain_coze.local.wire.workflow_replies import (
    END_NODE_ID,
    CloudWorkflowProfile,
    OutputNode,
    PendingQuestion,
    RunDetails,
    render_output,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.wire.cloud_profile import CloudProfile

_UNKNOWN, _NOT_PUBLISHED, _NOT_PUBLISHED_STREAM = 720702004, 6031, 720702011
_EXECUTION_FAILED = 720701013
_END_TITLE = "结束"


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
        """Return the additional fields of an error; before a run ids are 0."""
        url = self.build_debug_url(run) if run else build_studio_debug_url(self.base_url)
        nothing = {"data": None, "token": None, "cost": None}
        return nothing | {"debug_url": url, "execute_id": None, "BaseResp": None}

    @override
    def build_refusal_events(self, error: ApiError) -> list[SseEvent]:
        return []

    @override
    def build_question_data(self, question: PendingQuestion) -> str:
        """Return the `data` of an interrupt; that of a question node has all messages so far."""
        if question.form is not None:
            return super().build_question_data(question)
        messages = [build_question_message(question.question, question.options)]
        for number, text in enumerate(question.rejected_answers, 1):
            messages.append({"type": "answer", "content_type": "text", "content": text})
            asked = build_question_message(question.question, question.options, number)
            messages.append(asked)
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
        """Return the message of a node that asks a question: the `data` of the interrupt."""
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
        """Return the event of a run that has failed; nothing follows it."""
        error = {"error_code": code, "error_message": msg}
        body = {"debug_url": self.build_debug_url(run), **error}
        return [SseEvent("Error", go_json.dumps_raw(body))]

    @override
    def build_done_event(self, run: RunDetails) -> SseEvent:
        """Return the last event of a run that has succeeded."""
        return SseEvent("Done", go_json.dumps_raw({"debug_url": self.build_debug_url(run)}))

    @override
    def build_history(self, run: RunDetails) -> dict[str, Any]:
        """Return a run: ids are numbers, the output is not wrapped, a question is not shown."""
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
