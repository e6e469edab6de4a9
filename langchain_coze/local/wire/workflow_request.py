"""Reading and checking the bodies of requests that start or resume a run (wire 4.2, 4.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_coze.local.wire.errors import ApiError

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
    """Return the checked body of a request that starts a run.

    Args:
        body: The decoded JSON object. Unknown fields are ignored.

    Raises:
        ApiError: 4000, with a sentence that names the field.

    Source: Coze API, workflow run (wire 4.2).
    """
    ext = body.get("ext") or {}
    if not isinstance(ext, dict) or not all(isinstance(value, str) for value in ext.values()):
        raise ApiError(4000, "ext must be an object of strings")
    is_async = body.get("is_async") or False
    if not isinstance(is_async, bool):
        raise ApiError(4000, "is_async must be true or false")
    request = RunRequest(
        workflow_id=_read_string(body, "workflow_id", required=True),
        parameters=_read_parameters(body.get("parameters")),
        bot_id=_read_string(body, "bot_id"),
        app_id=_read_string(body, "app_id"),
        ext=ext,
        is_async=is_async,
    )
    if request.bot_id and request.app_id:
        raise ApiError(4000, "bot_id and app_id cannot be given together")
    return request


def read_resume_request(body: Mapping[str, Any]) -> ResumeRequest:
    """Return the checked body of a request that resumes a run.

    Args:
        body: The decoded JSON object. Unknown fields are ignored.

    Raises:
        ApiError: 4000, with a sentence that names the field.

    Source: Coze API, workflow resume (wire 4.4, 4.5).
    """
    kind = body.get("interrupt_type")
    if not isinstance(kind, int) or isinstance(kind, bool):
        raise ApiError(4000, "interrupt_type is required and must be a whole number")
    if not isinstance(body.get("resume_data"), str):
        raise ApiError(4000, "resume_data is required and must be a string")
    return ResumeRequest(
        workflow_id=_read_string(body, "workflow_id", required=True),
        event_id=_read_string(body, "event_id", required=True),
        interrupt_type=kind,
        resume_data=body["resume_data"],
    )


def _read_string(body: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise ApiError(4000, f"{name} must be a string")
    if required and not value:
        raise ApiError(4000, f"{name} is required and must be a string")
    return value


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
