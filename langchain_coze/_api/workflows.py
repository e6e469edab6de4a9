"""The workflow calls of the Coze API as flows; see `langchain_coze._api.effects`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_coze._api.accounts import fetch_pages
from langchain_coze._api.effects import Flow, Request
from langchain_coze._api.error_codes import is_missing_route
from langchain_coze._api.models import RunHistory, get_payload
from langchain_coze._api.retry import RetryPolicy, fetch_object, send_with_retry
from langchain_coze.errors import CozeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PAGE_SIZE = 30  # the maximum (wire section 4.7)
_RUN_NOT_FOUND = 4314  # no record of the run, for instance right after its start
_STUDIO_CODES = range(777777700, 777777800)  # Studio's workflow errors (wire section 4.8)


def build_run_request(
    body: Mapping[str, Any], *, stream: bool = False, endpoint: str | None = None
) -> Request:
    """Return the request that runs a workflow (wire sections 4.2 and 4.4).

    Without `stream`, and from the `endpoint` of a gateway, both events and JSON are accepted.
    """
    if endpoint:
        return Request(method="POST", path=f"/{endpoint.lstrip('/')}", body=body, stream=None)
    path = "/v1/workflow/stream_run" if stream else "/v1/workflow/run"
    return Request(method="POST", path=path, body=body, stream=stream or None)


def build_resume_request(body: Mapping[str, Any], *, stream: bool) -> Request:
    """Return the request that answers an interrupt of a run (wire sections 4.4 and 4.5).

    `stream` must be the same as at the start of the run.
    """
    path = "/v1/workflow/stream_resume" if stream else "/v1/workflows/resume"
    return Request(method="POST", path=path, body=body, stream=stream or None)


def fetch_run_history(
    workflow_id: str, execute_id: str, policy: RetryPolicy, read_timeout: float
) -> Flow[RunHistory | None]:
    """Return the history of a run, or None if Coze has no record of it yet (wire section 4.3).

    Coze Studio has a different endpoint.
    """
    path = f"/v1/workflows/{workflow_id}/run_histories/{execute_id}"
    query = {"workflow_id": workflow_id, "execute_id": execute_id}
    cloud = Request(method="GET", path=path, read_timeout=read_timeout)
    studio = cloud._replace(path="/v1/workflow/get_run_history", query=query)
    try:
        try:
            reply = yield from send_with_retry(cloud, policy)
        except CozeError as error:
            if not is_missing_route(error):
                raise
            reply = yield from send_with_retry(studio, policy)
    except CozeError as error:
        if error.code != _RUN_NOT_FOUND:
            raise
        return None
    runs = get_payload(reply.json)
    return RunHistory.parse(runs[0]) if isinstance(runs, list) and runs else None


def fetch_workflow_info(workflow_id: str, policy: RetryPolicy) -> Flow[Mapping[str, Any]]:
    """Return `workflow_detail`, `input` and `output` of a workflow (wire section 4.7)."""
    request = Request(
        method="GET",
        path=f"/v1/workflows/{workflow_id}",
        query={"include_input_output": "true"},
    )
    return (yield from fetch_object(request, policy))


def is_unsupported(error: CozeError) -> bool:
    """Return whether the server lacks workflow metadata, like Coze Studio (wire section 4.7)."""
    return is_missing_route(error) or error.code in _STUDIO_CODES


def list_workflows(query: Mapping[str, str], policy: RetryPolicy) -> Flow[list[Mapping[str, Any]]]:
    """Return the workflows of a workspace, selected by `query`, from all pages (wire 4.7)."""
    return fetch_pages(
        "/v1/workflows",
        query,
        policy,
        list_key="items",
        id_key="workflow_id",
        page_size=_PAGE_SIZE,
    )
