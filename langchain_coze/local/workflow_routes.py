"""Routes that run workflows (wire 4)."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from langchain_coze.local.calls import Call, RouteEntry, Site, as_json
from langchain_coze.local.problems import Problem
from langchain_coze.local.runs import RunRequest, WorkflowRun, new_context, read_run_request
from langchain_coze.local.streams import Dropped
from langchain_coze.local.workflow_shapes import workflow_shapes
from langchain_coze.local.workflows import LocalWorkflow

__all__ = ["WorkflowRoutes"]


class WorkflowRoutes:
    """Runs of workflows."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site
        self._shapes = workflow_shapes(site.profile)

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        return [RouteEntry("/v1/workflow/run", ["POST"], self._run)]

    async def _run(self, call: Call) -> Response:
        request = read_run_request(call.json_object)
        try:
            run = self._begin(request, call)
        except Problem as problem:
            return self._refused(problem, call)
        return await self._answer(run, call)

    def _begin(self, request: RunRequest, call: Call) -> WorkflowRun:
        """Check what is asked for, and start it."""
        workflow = self._workflow(request)
        files = self._site.store.files
        uploads = {i: stored for i, stored in files.items() if stored.owner in {"", call.owner}}
        inputs = workflow.signature.read(request.parameters, uploads)
        self._site.count_chat(workflow.workflow_id, workflow.quota)
        context = new_context(workflow, request, self._site.profile.name)
        run = WorkflowRun(workflow, inputs, context, call.owner)
        self._site.start(run.execute())
        return run

    def _workflow(self, request: RunRequest) -> LocalWorkflow:
        self._site.profile.check_id("workflow_id", request.workflow_id)
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

    async def _answer(self, run: WorkflowRun, call: Call) -> Response:
        """Wait for the run, as long as a gateway would, and tell how it went."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.stopped.wait(), run.workflow.gateway_timeout)
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
