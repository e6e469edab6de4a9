"""Routes that tell how runs went (wire 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.context import Call, RouteEntry, Site, as_json, ok
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import Problem
from langchain_coze.local.wire.workflows import usage

if TYPE_CHECKING:
    from starlette.responses import Response

    from langchain_coze.local.runtime.workflow_run import WorkflowRun


class RunHistoryRoutes:
    """Histories of runs: the hosted service's, and Studio's on a path of its own."""

    def __init__(self, site: Site) -> None:
        """Take what all groups share."""
        self._site = site

    def routes(self) -> list[RouteEntry]:
        """Its routes."""
        hosted = "/v1/workflows/{workflow_id}/run_histories/{execute_id}"
        entries = {
            "cloud": RouteEntry(hosted, ["GET"], self._hosted),
            "studio": RouteEntry("/v1/workflow/get_run_history", ["GET"], self._studio),
        }
        return [entries[self._site.profile.name]]

    async def _hosted(self, call: Call) -> Response:
        return ok([_hosted_history(self._run(call))], call)

    async def _studio(self, call: Call) -> Response:
        return as_json({"data": [_studio_history(self._run(call))], "BaseResp": None})

    def _run(self, call: Call) -> WorkflowRun:
        run = self._site.workflow_run(call.required("execute_id"), call.owner)
        if run.workflow.workflow_id != call.required("workflow_id"):
            raise Problem(4314)
        return run


def _status(run: WorkflowRun) -> str:
    if run.failure is not None:
        return "Fail"
    return "Success" if run.output is not None else "Running"


def _hosted_history(run: WorkflowRun) -> dict[str, Any]:
    """A run; its output is text in JSON in JSON: of the End node, and of each output node."""
    output = ""
    if run.output is not None:
        output = go_json.dumps({"Output": run.shapes.data(run), **run.writer.texts})
    code, message = run.failure or ("", "")
    history: dict[str, Any] = {
        "execute_id": run.execute_id,
        "execute_status": _status(run),
        "bot_id": run.context.bot_id or "0",
        "connector_id": "1024",
        "connector_uid": run.context.ext.get("user_id") or run.facts.owner,
        "run_mode": run.facts.mode,
        "output": output,
        "create_time": run.created_at,
        "update_time": run.updated_at,
        "usage": usage(run),
        "token": str(sum(run.usage)),
        "logid": run.facts.logid,
        "debug_url": run.shapes.debug_url(run),
        "error_code": str(code),
        "error_message": message,
        "is_output_trimmed": False,
    }
    if run.waiting is not None:
        history["interrupt_data"] = run.shapes.interrupt_data(run.waiting)
    return history


def _studio_history(run: WorkflowRun) -> dict[str, Any]:
    """A run as Studio tells it: ids are numbers, the output stands as it is."""
    code, message = run.failure or (None, None)
    bot_id = run.context.bot_id
    return {
        "execute_id": int(run.execute_id),
        "execute_status": _status(run),
        "bot_id": int(bot_id) if bot_id.isdecimal() else None,
        "connector_id": 1024,
        "connector_uid": run.context.ext.get("user_id") or run.facts.owner,
        "run_mode": run.facts.mode,
        "log_id": run.facts.logid,
        "create_time": run.created_at,
        "update_time": run.updated_at,
        "debug_url": run.shapes.debug_url(run),
        "input": go_json.dumps(run.context.parameters),
        "output": run.shapes.end_text(run.workflow, run.output) if run.output else None,
        "token": sum(run.usage),
        "cost": "0.00000",
        "cost_unit": None,
        "ext": None,
        "error_code": None if code is None else str(code),
        "error_msg": message,
    }
