"""Routes that run and resume workflows and return run histories (wire 4)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    build_json_response,
    route,
)
from langchain_coze.local.routes.state import find_by_id
from langchain_coze.local.routes.stream_responses import DroppedResponse, EventStreamResponse
from langchain_coze.local.runtime.event_queue import EventQueue
from langchain_coze.local.runtime.workflow_run import ASYNC, NOT_STREAMED, STREAM, SYNC, ServedRun
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.ids import generate_id
from langchain_coze.local.wire.requests import (
    ResumeRequest,
    RunRequest,
    read_resume_request,
    read_run_request,
)
from langchain_coze.local.wire.workflow_replies import RunDetails, get_workflow_profile
from langchain_coze.local.workflow_parts import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from langchain_coze.local.routes.state import ServerState
    from langchain_coze.local.workflows import LocalWorkflow

_STREAM_RESUME, _RESUME = "/v1/workflow/stream_resume", "/v1/workflows/resume"
_STUDIO_FAILURE = 777777775


class WorkflowRoutes(RouteGroup):
    """Runs of workflows, and their histories."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        super().__init__(state)
        self._profile = get_workflow_profile(state.profile)

    @route("/v1/workflow/run", "POST", "POST")
    async def _run(self, context: RequestContext) -> Response:
        request = read_run_request(context.json_object)
        try:
            run = self._start_run(request, context, ASYNC if request.is_async else SYNC)
        except ApiError as error:
            return self._build_error_response(error, context)
        return await self._wait_for_response(run, context)

    @route("/v1/workflow/stream_run", "POST", "POST")
    async def _stream_run(self, context: RequestContext) -> Response:
        try:
            request = read_run_request(context.json_object)
            run = self._start_run(request, context, STREAM)
        except ApiError as error:
            return self._build_stream_error_response(error, context)
        return self._stream(run, context)

    @route(_STREAM_RESUME, "POST", "POST")
    @route(_RESUME, "POST")
    async def _resume(self, context: RequestContext) -> Response:
        streamed = context.path == _STREAM_RESUME
        try:
            request = read_resume_request(context.json_object)
            run = self._resume_run(request, context, streamed=streamed)
        except ApiError as error:
            if context.profile.is_studio:  # Studio only streams
                return self._build_stream_error_response(error, context)
            return self._build_error_response(error, context)
        if streamed:
            return self._stream(run, context)
        return await self._wait_for_response(run, context)

    @route("/v1/workflows/{workflow_id}/run_histories/{execute_id}", cloud="GET")
    async def _retrieve_history(self, context: RequestContext) -> Response:
        run = self._get_run(context.require_query("execute_id"), context)
        if run.workflow.workflow_id != context.require_query("workflow_id"):
            raise ApiError(4314)
        return context.reply([self._profile.build_history(run.info)])

    @route("/v1/workflow/get_run_history", studio="GET")
    async def _retrieve_studio_history(self, context: RequestContext) -> Response:
        execute_id = context.require_query("execute_id")
        workflow_id = context.require_query("workflow_id")
        run = self._state.workflow_runs.get(execute_id)
        ids = (context.owner, workflow_id)
        if run is None or (run.info.owner, run.info.workflow_id) != ids:
            text = f"user {context.owner} does not have access to space 0"
            error = {"code": _STUDIO_FAILURE, "msg": f"Workflow operation failure: {text}"}
            return build_json_response(error | {"BaseResp": None})
        history = self._profile.build_history(run.info)
        return build_json_response({"data": [history], "BaseResp": None})

    # Runs -------------------------------------------------------------------------------------

    def _start_run(self, request: RunRequest, context: RequestContext, mode: int) -> ServedRun:
        """Validate a request and start its run."""
        state, owner = self._state, context.owner
        workflow = self._get_workflow(request, streamed=mode == STREAM)
        if mode == ASYNC and not workflow.paid and self._profile.requires_plan_for_async:
            raise ApiError(6003)
        uploads = state.get_files(owner)
        inputs = workflow.signature.read_inputs(request.parameters, uploads)
        if not state.consume_quota(workflow.workflow_id, workflow.quota):
            raise ApiError(4028)
        info = RunDetails(
            execute_id=generate_id(),
            workflow_id=workflow.workflow_id,
            returns_text=workflow.returns_text,
            wraps_text=workflow.wrapped,
            owner=owner,
            logid=context.logid,
            mode=mode,
            parameters=request.parameters,
            bot_id=request.bot_id,
            user_id=request.ext.get("user_id") or owner,
        )
        run_context = RunContext(
            workflow=workflow,
            execute_id=info.execute_id,
            parameters=request.parameters,
            bot_id=request.bot_id,
            app_id=request.app_id,
            ext=request.ext,
            profile=state.profile.name,
        )
        run = ServedRun(workflow, inputs, run_context, info, self._profile)
        state.workflow_runs[info.execute_id] = run
        state.start_task(run.execute(faults=context.faults))
        return run

    def _get_workflow(self, request: RunRequest, *, streamed: bool) -> LocalWorkflow:
        workflow = find_by_id(self._state.settings.workflows, request.workflow_id)
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

    def _get_run(self, execute_id: str, context: RequestContext) -> ServedRun:
        """Return a run; error 4314 if the account has no run with this id."""
        run = self._state.workflow_runs.get(execute_id)
        if run is None or run.info.owner != context.owner:
            raise ApiError(4314)
        return run

    def _resume_run(
        self, request: ResumeRequest, context: RequestContext, *, streamed: bool
    ) -> ServedRun:
        """Resume a run with the answer that it waits for.

        Only the errors 4314 and 4315 are documented.
        """
        execute_id = request.event_id.partition("/")[0]
        run = self._get_run(execute_id, context)
        pending, is_stream = run.info.pending, run.info.mode == STREAM
        if run.workflow.workflow_id != request.workflow_id:
            raise ApiError(4314)
        if run.ended:
            raise self._profile.create_late_answer_error(execute_id)
        if pending is None or pending.event_id != request.event_id:
            raise ApiError(4000, f"event_id {request.event_id!r} is not the pending one")
        if pending.type != request.interrupt_type:
            raise ApiError(4000, f"interrupt_type must be {pending.type}")
        if streamed != is_stream:
            path = _STREAM_RESUME if is_stream else _RESUME
            raise ApiError(4000, f"resume this run with {path}")
        uploads = self._state.get_files(context.owner)
        self._state.start_task(run.resume(request.resume_data, uploads))
        return run

    # Responses --------------------------------------------------------------------------------

    async def _wait_for_response(self, run: ServedRun, context: RequestContext) -> Response:
        """Wait for the run, up to the gateway timeout, and return its result."""
        info = run.info
        if info.mode == ASYNC:
            return self._build_response(self._profile.build_started_reply(info))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopped.wait(), run.workflow.gateway_timeout)
        is_interrupted = info.pending is not None
        if is_interrupted and not self._profile.allows_interrupt_without_stream:
            await run.abandon()
        if info.failure is not None:
            # Studio reports an interrupted run like one that was not started.
            started = None if info.failure[0] == NOT_STREAMED else info
            return self._build_error_response(ApiError(*info.failure), context, started)
        if not (run.ended or is_interrupted):
            # The run continues, or the server is being stopped.
            return DroppedResponse(self._state.connections)
        return self._build_response(self._profile.build_reply(info, context.logid))

    def _stream(self, run: ServedRun, context: RequestContext) -> Response:
        ping = run.workflow.ping if self._profile.sends_pings else 0.0
        connections = self._state.connections
        return EventStreamResponse(run.events, self._profile, context.faults, connections, ping)

    def _build_response(self, reply: Mapping[str, Any], status: int = 200) -> Response:
        return build_json_response(reply, status, raw=not self._state.profile.is_studio)

    def _build_error_response(
        self, error: ApiError, context: RequestContext, run: RunDetails | None = None
    ) -> Response:
        real_status = self._state.settings.error_status == "real"
        status, body = context.profile.build_error(
            error, context.path, context.logid, real_status=real_status
        )
        if isinstance(body, str):
            raise error
        return self._build_response(body | self._profile.build_error_fields(run), status)

    def _build_stream_error_response(self, error: ApiError, context: RequestContext) -> Response:
        if events := self._profile.build_refusal_events(error):
            queue, connections = EventQueue.of(events), self._state.connections
            return EventStreamResponse(queue, self._profile, context.faults, connections)
        response = build_json_response({"code": error.code, "msg": error.message})
        del response.headers["content-length"]  # Studio sends it in chunks
        return response
