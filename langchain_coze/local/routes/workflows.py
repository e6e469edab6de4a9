"""Routes that run and resume workflows (wire 4)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from langchain_coze.local.routes.context import Call, RouteEntry, Site, as_json
from langchain_coze.local.routes.responses import Dropped
from langchain_coze.local.runtime.workflow_run import ASYNC, STREAM, SYNC, RunFacts, WorkflowRun
from langchain_coze.local.runtime.workflow_stepping import RunContext
from langchain_coze.local.runtime.workflow_stream import RunStream
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.ids import new_id
from langchain_coze.local.wire.workflow_request import (
    ResumeRequest,
    RunRequest,
    read_resume_request,
    read_run_request,
)
from langchain_coze.local.wire.workflows import workflow_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_coze.local.workflows import LocalWorkflow


class WorkflowRoutes:
    """Runs of workflows."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site
        self._shapes = workflow_shapes(site.profile)

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [
            RouteEntry("/v1/workflow/run", ["POST"], self._run),
            RouteEntry("/v1/workflow/stream_run", ["POST"], self._stream_run),
            RouteEntry("/v1/workflow/stream_resume", ["POST"], self._stream_resume),
            RouteEntry("/v1/workflows/resume", ["POST"], self._resume),
        ]

    # Routes -----------------------------------------------------------------------------------

    async def _run(self, call: Call) -> Response:
        request = read_run_request(call.json_object)
        try:
            run = self._begin(request, call, ASYNC if request.is_async else SYNC)
        except Problem as problem:
            return self._refused(problem, call)
        return await self._answer(run, call)

    async def _stream_run(self, call: Call) -> Response:
        request = read_run_request(call.json_object)
        try:
            run = self._begin(request, call, STREAM)
        except Problem as problem:
            return self._refused_stream(problem, call)
        return RunStream(run, call, self._site.connections)

    async def _stream_resume(self, call: Call) -> Response:
        request = read_resume_request(call.json_object)
        try:
            run = self._go_on(request, call, streamed=True)
        except Problem as problem:
            return self._refused_stream(problem, call)
        return RunStream(run, call, self._site.connections)

    async def _resume(self, call: Call) -> Response:
        request = read_resume_request(call.json_object)
        try:
            run = self._go_on(request, call, streamed=False)
        except Problem as problem:
            return self._refused(problem, call)
        return await self._answer(run, call)

    # Runs -------------------------------------------------------------------------------------

    def _begin(self, request: RunRequest, call: Call, mode: int) -> WorkflowRun:
        """Check what is asked for, and start it."""
        workflow = self._workflow(request)
        if mode == ASYNC and not workflow.paid and self._shapes.charges_async:
            raise Problem(6003)
        inputs = workflow.signature.read(request.parameters, self._site.store.files_of(call.owner))
        self._site.count_chat(workflow.workflow_id, workflow.quota)
        context = RunContext(
            workflow=workflow,
            execute_id=new_id(),
            parameters=request.parameters,
            bot_id=request.bot_id,
            app_id=request.app_id,
            ext=request.ext,
            profile=self._site.profile.name,
        )
        facts = RunFacts(call.owner, call.logid, mode)
        run = WorkflowRun(workflow, inputs, context, facts, self._shapes)
        self._site.workflow_runs[run.execute_id] = run
        self._site.start(run.execute())
        return run

    def _workflow(self, request: RunRequest) -> LocalWorkflow:
        workflow = self._site.find_workflow(request.workflow_id)
        if workflow is None or not workflow.published:
            raise Problem(
                self._shapes.not_published,
                f"workflow_id {request.workflow_id!r} does not exist or is not published",
            )
        if workflow.app_id and request.app_id != workflow.app_id:
            raise Problem(4000, f"the workflow belongs to an app: app_id must be {workflow.app_id}")
        if request.bot_id:
            self._site.bot(request.bot_id)
        return workflow

    def _go_on(self, request: ResumeRequest, call: Call, *, streamed: bool) -> WorkflowRun:
        """Give a run the answer that it waits for."""
        run = self._waiting(request, call)
        if streamed != (run.facts.mode == STREAM):
            # The API's pages say which of the two belongs to which; not what the other answers.
            right = (
                "/v1/workflow/stream_resume" if run.facts.mode == STREAM else "/v1/workflows/resume"
            )
            raise Problem(4000, f"this run is resumed with {right}")
        self._site.start(
            run.take_answer(request.resume_data, self._site.store.files_of(call.owner))
        )
        return run

    def _waiting(self, request: ResumeRequest, call: Call) -> WorkflowRun:
        """The run that waits for what the request answers.

        Of these errors only the numbers of the first two are documented.
        """
        run = self._site.workflow_run(request.event_id.partition("/")[0], call.owner)
        if run.workflow.workflow_id != request.workflow_id:
            raise Problem(4314)
        if run.ended:
            raise Problem(4315)
        if run.waiting is None or run.waiting.event_id != request.event_id:
            raise Problem(4000, f"event_id {request.event_id!r} is not what the run waits for")
        if run.waiting.type != request.interrupt_type:
            raise Problem(4000, f"interrupt_type must be {run.waiting.type}")
        return run

    # Replies ----------------------------------------------------------------------------------

    async def _answer(self, run: WorkflowRun, call: Call) -> Response:
        """Wait for the run, as long as a gateway would, and tell how it went."""
        if run.facts.mode == ASYNC:
            return as_json(self._shapes.started_reply(run))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopped.wait(), run.workflow.gateway_timeout)
        if run.waiting is not None:
            if self._shapes.waits_without_stream:
                return as_json(self._shapes.waiting_reply(run, run.waiting, call.logid))
            await run.abandon()
        if run.failure is not None:
            return self._refused(Problem(*run.failure), call, self._shapes.failure(run))
        if run.output is None:
            # It goes on, or the server is being stopped.
            return Dropped(self._site.connections)
        return as_json(self._shapes.reply(run))

    def _refused(
        self, problem: Problem, call: Call, more: Mapping[str, Any] | None = None
    ) -> Response:
        real_status = self._site.settings.error_status == "real"
        status, body = self._shapes.refusal(
            problem, call.profile, (call.path, call.logid), real_status=real_status
        )
        return as_json({**body, **(more or {})}, status)

    def _refused_stream(self, problem: Problem, call: Call) -> Response:
        if self._shapes.loses_errors:
            # Studio writes it where nobody reads it (wire 8).
            return Response(b"", media_type="application/json; charset=utf-8")
        return self._refused(problem, call)
