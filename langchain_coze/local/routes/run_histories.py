"""Routes of run histories (wire 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_data_response,
    build_json_response,
)
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.workflow_replies import RunRecord

if TYPE_CHECKING:
    from starlette.responses import Response

    from langchain_coze.local.runtime.workflow_run import ServedRun

_FAILED = 777777775  # Studio's own


class RunHistoryRoutes(RouteGroup):
    """Histories of runs; Studio has them on another path."""

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
        try:
            run = self._get_run(context)
        except ApiError:
            text = f"user {context.owner} does not have access to space 0"
            error = {"code": _FAILED, "msg": f"Workflow operation failure: {text}"}
            return build_json_response(error | {"BaseResp": None})
        return build_json_response({"data": [_build_history(run)], "BaseResp": None})

    def _get_run(self, context: RequestContext) -> ServedRun:
        execute_id = context.require_query("execute_id")
        run = self._state.get_workflow_run(execute_id, context.owner)
        if run.workflow.workflow_id != context.require_query("workflow_id"):
            raise ApiError(4314)
        return run


def _build_history(run: ServedRun) -> dict[str, Any]:
    status = "Fail" if run.failure else "Success" if run.output else "Running"
    return run.profile.build_history(
        RunRecord(
            info=run.info,
            status=status,
            output=run.output.value if run.output else None,
            failure=run.failure,
            question=run.pending,
            texts=run.writer.texts,
            parameters=run.context.parameters,
            bot_id=run.context.bot_id,
            user_id=run.context.ext.get("user_id") or run.origin.owner,
            mode=run.origin.mode,
            logid=run.origin.logid,
            created_at=run.created_at,
            updated_at=run.updated_at,
        )
    )
