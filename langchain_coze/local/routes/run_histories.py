"""Routes of run histories (wire 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteSpec,
    build_data_response,
    build_json_response,
)
from langchain_coze.local.wire import go_json
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.workflow_replies import build_run_usage

if TYPE_CHECKING:
    from starlette.responses import Response

    from langchain_coze.local.routes.state import ServerState
    from langchain_coze.local.runtime.workflow_run import ServedRun


class RunHistoryRoutes:
    """Histories of runs; Studio has them on another path."""

    def __init__(self, state: ServerState) -> None:
        """Store the server's state."""
        self._state = state

    def build_routes(self) -> list[RouteSpec]:
        """Return the routes."""
        cloud_path = "/v1/workflows/{workflow_id}/run_histories/{execute_id}"
        routes = {
            "cloud": RouteSpec(cloud_path, ["GET"], self._retrieve),
            "studio": RouteSpec("/v1/workflow/get_run_history", ["GET"], self._retrieve_studio),
        }
        return [routes[self._state.profile.name]]

    async def _retrieve(self, context: RequestContext) -> Response:
        return build_data_response([_build_history(self._get_run(context))], context)

    async def _retrieve_studio(self, context: RequestContext) -> Response:
        history = _build_studio_history(self._get_run(context))
        return build_json_response({"data": [history], "BaseResp": None})

    def _get_run(self, context: RequestContext) -> ServedRun:
        execute_id = context.require_query("execute_id")
        run = self._state.get_workflow_run(execute_id, context.owner)
        if run.workflow.workflow_id != context.require_query("workflow_id"):
            raise ApiError(4314)
        return run


def _get_status(run: ServedRun) -> str:
    if run.failure is not None:
        return "Fail"
    return "Success" if run.output is not None else "Running"


def _build_history(run: ServedRun) -> dict[str, Any]:
    """Return a run; its output is JSON inside JSON: of the End node, and of each output node."""
    output = ""
    if run.output is not None:
        data = run.profile.build_output_data(run.info, run.output.value)
        output = go_json.dumps({"Output": data, **run.writer.texts})
    code, message = run.failure or ("", "")
    history: dict[str, Any] = {
        "execute_id": run.execute_id,
        "execute_status": _get_status(run),
        "bot_id": run.context.bot_id or "0",
        "connector_id": "1024",
        "connector_uid": run.context.ext.get("user_id") or run.origin.owner,
        "run_mode": run.origin.mode,
        "output": output,
        "create_time": run.created_at,
        "update_time": run.updated_at,
        "usage": build_run_usage(run.info),
        "token": str(sum(run.info.usage)),
        "logid": run.origin.logid,
        "debug_url": run.profile.build_debug_url(run.info),
        "error_code": str(code),
        "error_message": message,
        "is_output_trimmed": False,
    }
    if run.pending is not None:
        history["interrupt_data"] = run.profile.build_interrupt_data(run.pending)
    return history


def _build_studio_history(run: ServedRun) -> dict[str, Any]:
    """Return a run in Studio's form: ids are numbers, the output is not wrapped."""
    code, message = run.failure or (None, None)
    bot_id = run.context.bot_id
    output = run.profile.render_output(run.info, run.output.value) if run.output else None
    return {
        "execute_id": int(run.execute_id),
        "execute_status": _get_status(run),
        "bot_id": int(bot_id) if bot_id.isdecimal() else None,
        "connector_id": 1024,
        "connector_uid": run.context.ext.get("user_id") or run.origin.owner,
        "run_mode": run.origin.mode,
        "log_id": run.origin.logid,
        "create_time": run.created_at,
        "update_time": run.updated_at,
        "debug_url": run.profile.build_debug_url(run.info),
        "input": go_json.dumps(run.context.parameters),
        "output": output,
        "token": sum(run.info.usage),
        "cost": "0.00000",
        "cost_unit": None,
        "ext": None,
        "error_code": None if code is None else str(code),
        "error_msg": message,
    }
