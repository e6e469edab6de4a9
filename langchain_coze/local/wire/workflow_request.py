"""Reading and checking the bodies of requests that start or resume a run (wire 4.2, 4.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.fields import read_boolean, read_string, read_string_map

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A checked request for a run; fields as on the wire."""

    workflow_id: str
    parameters: Mapping[str, Any]
    bot_id: str = ""
    app_id: str = ""
    ext: Mapping[str, str] = field(default_factory=dict)
    is_async: bool = False


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A checked request to resume a run; fields as on the wire."""

    workflow_id: str
    event_id: str
    interrupt_type: int
    resume_data: str


def read_run_request(body: Mapping[str, Any]) -> RunRequest:
    """Return the checked body of a request that starts a run (wire 4.2)."""
    request = RunRequest(
        workflow_id=read_string(body, "workflow_id", required=True),
        parameters=_read_parameters(body.get("parameters")),
        bot_id=read_string(body, "bot_id"),
        app_id=read_string(body, "app_id"),
        ext=read_string_map(body, "ext"),
        is_async=read_boolean(body, "is_async", default=False),
    )
    if request.bot_id and request.app_id:
        raise ApiError(4000, "bot_id and app_id cannot be given together")
    return request


def read_resume_request(body: Mapping[str, Any]) -> ResumeRequest:
    """Return the checked body of a request that resumes a run (wire 4.4, 4.5)."""
    kind = body.get("interrupt_type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise ApiError(4000, "interrupt_type is required and must be a whole number")
    if not isinstance(body.get("resume_data"), str):
        raise ApiError(4000, "resume_data is required and must be a string")
    return ResumeRequest(
        workflow_id=read_string(body, "workflow_id", required=True),
        event_id=read_string(body, "event_id", required=True),
        interrupt_type=kind,
        resume_data=body["resume_data"],
    )


def _read_parameters(value: Any) -> Mapping[str, Any]:
    """Return the parameters: an object, or its JSON text, which the API's pages also allow."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            raise ApiError(4000, "parameters is a string, but no JSON text") from None
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise ApiError(4000, "parameters must be an object, or the JSON text of one")
    return value
