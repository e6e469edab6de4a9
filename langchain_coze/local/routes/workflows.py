"""Routes that run and resume workflows (wire 4)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_json_response,
)
from langchain_coze.local.routes.stream_responses import (
    DroppedResponse,
    EventStreamResponse,
    RunStreamResponse,
)
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.workflow_run import (
    ASYNC,
    NOT_STREAMED,
    STREAM,
    SYNC,
    RunOrigin,
    ServedRun,
)
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import generate_id
from langchain_coze.local.wire.studio_workflows import get_workflow_profile
from langchain_coze.local.wire.workflow_request import (
    ResumeRequest,
    RunRequest,
    read_resume_request,
    read_run_request,
)
from langchain_coze.local.workflow_parts import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.routes.state import ServerState
    from langchain_coze.local.wire.workflow_replies import RunDetails
    from langchain_coze.local.workflows import LocalWorkflow


class WorkflowRoutes(RouteGroup):
    """Runs of workflows."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        super().__init__(state)
        self._profile = get_workflow_profile(state.profile)

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        return [
            RouteSpec("/v1/workflow/run", ["POST"], self._run),
            RouteSpec("/v1/workflow/stream_run", ["POST"], self._stream_run),
            RouteSpec("/v1/workflow/stream_resume", ["POST"], self._stream_resume),
            RouteSpec("/v1/workflows/resume", ["POST"], self._resume),
        ]

    # Routes -----------------------------------------------------------------------------------

    async def _run(self, context: RequestContext) -> Response:
        request = read_run_request(context.json_object)
        try:
            run = self._start_run(request, context, ASYNC if request.is_async else SYNC)
        except ApiError as error:
            return self._build_error_response(error, context)
        return await self._wait_for_response(run, context)

    async def _stream_run(self, context: RequestContext) -> Response:
        try:
            request = read_run_request(context.json_object)
            run = self._start_run(request, context, STREAM)
        except ApiError as error:
            return self._build_stream_error_response(error, context)
        return RunStreamResponse(run, context.faults, self._state.connections)

    async def _stream_resume(self, context: RequestContext) -> Response:
        try:
            request = read_resume_request(context.json_object)
            run = self._resume_run(request, context, streamed=True)
        except ApiError as error:
            if self._state.profile.is_studio:
                return self._build_stream_error_response(error, context)
            return self._build_error_response(error, context)
        return RunStreamResponse(run, context.faults, self._state.connections)

    async def _resume(self, context: RequestContext) -> Response:
        request = read_resume_request(context.json_object)
        try:
            run = self._resume_run(request, context, streamed=False)
        except ApiError as error:
            return self._build_error_response(error, context)
        return await self._wait_for_response(run, context)

    # Runs -------------------------------------------------------------------------------------

    def _start_run(self, request: RunRequest, context: RequestContext, mode: int) -> ServedRun:
        """Check a request and start its run."""
        state, owner = self._state, context.owner
        workflow = self._get_workflow(request, streamed=mode == STREAM)
        if mode == ASYNC and not workflow.paid and self._profile.requires_plan_for_async:
            raise ApiError(6003)
        uploads = state.store.get_files(owner)
        inputs = workflow.signature.read_inputs(request.parameters, uploads)
        if not state.consume_quota(workflow.workflow_id, workflow.quota):
            raise ApiError(4028)
        run_context = RunContext(
            workflow=workflow,
            execute_id=generate_id(),
            parameters=request.parameters,
            bot_id=request.bot_id,
            app_id=request.app_id,
            ext=request.ext,
            profile=state.profile.name,
        )
        origin = RunOrigin(owner, context.logid, mode)
        run = ServedRun(workflow, inputs, run_context, origin, self._profile)
        state.workflow_runs[run.execute_id] = run
        state.start_task(run.execute(faults=context.faults))
        return run

    def _get_workflow(self, request: RunRequest, *, streamed: bool) -> LocalWorkflow:
        workflow = self._state.find_workflow(request.workflow_id)
        if workflow is None or not workflow.published:
            raise self._profile.create_lookup_error(
                request.workflow_id, exists=workflow is not None, streamed=streamed
            )
        if workflow.app_id and request.app_id != workflow.app_id:
            raise ApiError(
                4000, f"the workflow belongs to an app: app_id must be {workflow.app_id}"
            )
        if request.bot_id:
            self._state.get_bot(request.bot_id)
        return workflow

    def _resume_run(
        self, request: ResumeRequest, context: RequestContext, *, streamed: bool
    ) -> ServedRun:
        """Resume a run with the answer that it waits for."""
        run = self._get_pending_run(request, context)
        if streamed != (run.origin.mode == STREAM):
            # The API's pages say which route resumes which run, not what the other one returns.
            path = (
                "/v1/workflow/stream_resume"
                if run.origin.mode == STREAM
                else "/v1/workflows/resume"
            )
            raise ApiError(4000, f"this run is resumed with {path}")
        uploads = self._state.store.get_files(context.owner)
        self._state.start_task(run.resume(request.resume_data, uploads))
        return run

    def _get_pending_run(self, request: ResumeRequest, context: RequestContext) -> ServedRun:
        """Return the run that waits for the answer of a request.

        Of these errors only the codes of the first two are documented.
        """
        execute_id = request.event_id.partition("/")[0]
        run = self._state.get_workflow_run(execute_id, context.owner)
        if run.workflow.workflow_id != request.workflow_id:
            raise ApiError(4314)
        if run.ended:
            raise self._profile.create_late_answer_error(ApiError(4315), execute_id)
        if run.pending is None or run.pending.event_id != request.event_id:
            raise ApiError(4000, f"event_id {request.event_id!r} is not what the run waits for")
        if run.pending.type != request.interrupt_type:
            raise ApiError(4000, f"interrupt_type must be {run.pending.type}")
        return run

    # Responses --------------------------------------------------------------------------------

    async def _wait_for_response(self, run: ServedRun, context: RequestContext) -> Response:
        """Wait for the run, as long as a gateway would, and return its result."""
        if run.origin.mode == ASYNC:
            return self._build_response(self._profile.build_started_reply(run.info))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopped.wait(), run.workflow.gateway_timeout)
        if run.pending is not None:
            if self._profile.allows_interrupt_without_stream:
                reply = self._profile.build_interrupt_reply(run.info, run.pending, context.logid)
                return self._build_response(reply)
            await run.abandon()
        if run.failure is not None:
            # Studio tells of a run that asks as of one that was not started.
            info = None if run.failure[0] == NOT_STREAMED else run.info
            return self._build_error_response(ApiError(*run.failure), context, info)
        if run.output is None:
            # The run continues, or the server is being stopped.
            return DroppedResponse(self._state.connections)
        reply = self._profile.build_reply(run.info, run.output.value, context.logid)
        return self._build_response(reply)

    def _build_response(self, reply: Mapping[str, Any], status: int = 200) -> Response:
        return build_json_response(reply, status, raw=not self._state.profile.is_studio)

    def _build_error_response(
        self, error: ApiError, context: RequestContext, info: RunDetails | None = None
    ) -> Response:
        real_status = self._state.settings.error_status == "real"
        status, body = context.profile.build_error(
            error, context.path, context.logid, real_status=real_status
        )
        if isinstance(body, str):
            raise error
        return self._build_response(body | self._profile.build_error_fields(info), status)

    def _build_stream_error_response(self, error: ApiError, context: RequestContext) -> Response:
        if events := self._profile.build_refusal_events(error):
            queue, connections = EventQueue.of(events), self._state.connections
            return EventStreamResponse(queue, self._profile, context.faults, connections)
        response = build_json_response({"code": error.code, "msg": error.message})
        del response.headers["content-length"]  # Studio sends it in chunks
        return response
