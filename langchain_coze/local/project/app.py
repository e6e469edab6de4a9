"""The application of a `LocalSite`: the gateway, and the routes behind it (wire 9)."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from langchain_coze.local.faults.specs import SITE_FAULTS, FaultSet, SiteFault, read_faults
from langchain_coze.local.project.failures import (
    FailedRunError,
    build_failure_detail,
    classify_error,
)
from langchain_coze.local.project.streams import (
    AgentStream,
    Run,
    WorkflowStream,
    build_user_message,
    read_blocks,
)
from langchain_coze.local.project.tasks import Task
from langchain_coze.local.request_log import RecordedRequest, RequestLog
from langchain_coze.local.routes.access import AccessMiddleware
from langchain_coze.local.routes.page import PageMiddleware, PageSettings
from langchain_coze.local.routes.state import AppState, BaseApp, is_same_token
from langchain_coze.local.routes.stream_responses import DroppedResponse
from langchain_coze.local.wire.parameters import convert_json_schema

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from langchain_coze.local.project.project import Project

logger = logging.getLogger(__name__)

_NO_TOKEN = (
    "Missing authorization header. Please provide a valid Bearer token in the Authorization header"  # noqa: S105 - a message of the gateway
)
_CANCEL_TEXTS = {
    "success": "Cancellation signal sent, task will be cancelled at next await point",
    "not_found": "No active task found with this run_id. Task may have already completed or "
    "run_id is invalid.",
}
_CANCELLED_CODES = frozenset({"1", "TIMEOUT", "CANCELED"})
# The OpenAI routes fail: they need modules that a generated project does not contain.
_BROKEN = {"message": "No module named 'utils.helper'", "type": "internal_error", "code": "103002"}


class SiteSettings(Protocol):
    """The settings of a `LocalSite`, which the routes read at each request."""

    token: str
    run_timeout: float
    ping: float
    faults: str | Sequence[str]

    @property
    def accepts_any_host(self) -> bool:
        """Whether any host name is accepted."""
        ...


@dataclass
class SiteState(AppState):
    """The state of a running site.

    Attributes:
        runs: The runs that can be cancelled, by id.
        tasks: The asynchronous runs, by id.
    """

    runs: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def start(self, coroutine: Coroutine[Any, Any, Any], run_id: str = "") -> asyncio.Task[Any]:
        """Start a run; a run with an id can be cancelled."""
        task = self.start_task(coroutine)
        if run_id:
            self.runs[run_id] = task
            task.add_done_callback(lambda done: self._forget(run_id, done))
        return task

    def _forget(self, run_id: str, task: asyncio.Task[Any]) -> None:
        if self.runs.get(run_id) is task:
            del self.runs[run_id]


class SiteRequest(NamedTuple):
    """A request that a route is handling."""

    headers: Mapping[str, str]
    content: bytes
    path_id: str
    faults: FaultSet

    def parse(self, complaint: str) -> Any:
        """Return the decoded JSON.

        Raises:
            HTTPException: 400, the body is not JSON.
        """
        try:
            return json.loads(self.content)
        except ValueError as error:
            lines = "".join(traceback.format_exception(error)).splitlines()
            raise HTTPException(400, f"{complaint}{lines[:1] + lines[-1:]}") from None


Handler: TypeAlias = Callable[[SiteRequest], Awaitable[Response]]


class SiteApp(BaseApp):
    """The application behind a `LocalSite`; it belongs to one event loop."""

    def __init__(self, site: SiteSettings, project: Project, requests: RequestLog) -> None:
        """Build the routes."""
        self.state: SiteState = SiteState()
        self._site, self._project, self._requests = site, project, requests
        routes: dict[str, Handler] = {
            "POST /stream_run": self._stream_run,
            "POST /run": self._run,
            "POST /async_run": self._async_run,
            "GET /task/{id}": self._get_task,
            "POST /cancel/{id}": self._cancel,
            "GET /graph_parameter": self._get_schemas,
            "GET /health": self._get_health,
            "POST /v1/chat/completions": self._complete_chat,
        }
        page = PageSettings(
            server=site,
            profile="site",
            is_known=lambda token: is_same_token(token, site.token),
            list_served=self._list_served,
        )
        self.asgi = Starlette(
            routes=[
                Route(route.split()[1], self._build_endpoint(handler), methods=[route.split()[0]])
                for route, handler in routes.items()
            ],
            middleware=[
                Middleware(AccessMiddleware, any_host=site.accepts_any_host),
                Middleware(PageMiddleware, settings=page),
            ],
            exception_handlers={HTTPException: _handle_http_error},
        )

    def _list_served(self) -> list[dict[str, Any]]:
        """Return the agent or the workflow for the page."""
        project = self._project
        kind = "agent" if project.is_agent else "flow"
        inputs = convert_json_schema(project.schemas["input_schema"]).get("properties", {})
        served = {"kind": kind, "id": kind, "name": project.name, "description": ""}
        return [served | {"inputs": inputs}]

    # The gateway ------------------------------------------------------------------------------

    def _build_endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                content = await request.body()
            except (ClientDisconnect, asyncio.CancelledError):
                return DroppedResponse(self.state.connections)
            path, headers = request.url.path, dict(request.headers)
            authorization = headers.get("authorization", "")
            is_known = is_same_token(authorization, f"Bearer {self._site.token}")
            recorded = content if is_known else b""
            query = dict(request.query_params)
            self._requests.append(RecordedRequest(request.method, path, query, headers, recorded))
            faults = self._collect_faults(path, headers) if is_known else FaultSet()
            if not is_known or SiteFault.HTTP_401 in faults.values:
                return _reply({"msg": _NO_TOKEN}, 401)
            if SiteFault.HTTP_504 in faults.values:
                return PlainTextResponse("upstream failed to respond", 504)
            path_id = request.path_params.get("id", "")
            response = await handler(SiteRequest(headers, content, path_id, faults))
            if SiteFault.CUT in faults.values and type(response) is Response:
                half = response.body[: len(response.body) // 2]
                return Response(half, response.status_code, media_type=response.media_type)
            return response

        return endpoint

    def _collect_faults(self, path: str, headers: Mapping[str, str]) -> FaultSet:
        """Return the faults of the site and of the request that still apply."""
        sources = {"site": self._site.faults, "header": headers.get("x-local-fault", "")}
        values: dict[Any, str] = {}
        for source, text in sources.items():
            try:
                faults = read_faults(text, SITE_FAULTS)
            except ValueError as error:
                raise HTTPException(400, str(error)) from None
            is_poll = path.startswith("/task/") and SiteFault.NO_ASYNC in faults.values
            values |= self.state.use_faults(source, faults, "/async_run" if is_poll else path)
        return FaultSet(values)

    # Runs -------------------------------------------------------------------------------------

    def _create_run(self, request: SiteRequest) -> Run:
        headers = request.headers
        return Run(
            run_id=headers.get("x-run-id") or str(uuid.uuid4()),
            log_id=headers.get("x-tt-logid", ""),
            timeout=self._site.run_timeout,
            ping=self._site.ping,
            is_debug=headers.get("x-workflow-stream-mode", "").lower() == "debug",
            faults=request.faults,
        )

    async def _stream_run(self, request: SiteRequest) -> Response:
        body, run = request.parse("Invalid JSON format:"), self._create_run(request)
        stream_class = AgentStream if self._project.is_agent else WorkflowStream
        return _RunResponse(self.state, run, lambda: stream_class(self._project, body, run))

    async def _run(self, request: SiteRequest) -> Response:
        body, run = request.parse("Invalid JSON format, "), self._create_run(request)
        task = self.state.start(self._execute(body, run), run.run_id)
        await asyncio.wait({task}, timeout=run.timeout)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or (error and classify_error(error).code in _CANCELLED_CODES):
            text = "Execution was cancelled"  # the same text for a run that took too long
            return _reply({"status": "cancelled", "run_id": run.run_id, "message": text})
        if error is not None:
            if not isinstance(error, FailedRunError):
                logger.error("The run failed", exc_info=error)
            return _reply({"detail": build_failure_detail(error)}, 500)
        return _reply({**task.result(), "run_id": run.run_id})

    async def _execute(self, body: Any, run: Run) -> Any:
        await run.wait_for_faults()
        output = await self._project.run(body, run.run_id)
        run.apply_end_fault()
        return output

    async def _async_run(self, request: SiteRequest) -> Response:
        _reject_older_project(request.faults)
        body, run = request.parse("Invalid JSON: "), self._create_run(request)
        task_id = request.headers.get("x-run-id") or uuid.uuid4().hex
        if task_id in self.state.tasks:
            text = (
                "(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint"
            )
            text += f' "async_tasks_pkey"\nDETAIL:  Key (task_id)=({task_id}) already exists.\n'
            raise HTTPException(503, f"async-task storage unavailable: {text}")
        if self._project.is_agent and isinstance(body, dict) and "content" in body:
            body = {"messages": [build_user_message(read_blocks(body))]}
        task = Task(task_id, _read_deadline(request.headers.get("x-task-deadline-sec")))
        self.state.tasks[task_id] = task
        submission = task.build_submission()
        self.state.start(task.execute(self._execute(body, replace(run, run_id=task_id))))
        return _reply(submission)

    async def _get_task(self, request: SiteRequest) -> Response:
        _reject_older_project(request.faults)
        if request.path_id not in self.state.tasks:
            raise HTTPException(404, "task not found")
        return _reply(self.state.tasks[request.path_id].build_reply())

    async def _cancel(self, request: SiteRequest) -> Response:
        run_id = request.path_id
        task = self.state.runs.get(run_id)
        status = "not_found" if task is None else "success"
        if task is not None:
            task.cancel()
        return _reply({"status": status, "run_id": run_id, "message": _CANCEL_TEXTS[status]})

    # Other routes ---------------------------------------------------------------------------------

    async def _get_schemas(self, _request: SiteRequest) -> Response:
        return _reply(self._project.schemas)

    async def _get_health(self, _request: SiteRequest) -> Response:
        return _reply({"status": "ok", "message": "Service is running"})

    async def _complete_chat(self, request: SiteRequest) -> Response:
        try:
            body = dict(json.loads(request.content))
        except (ValueError, TypeError):
            raise HTTPException(400, "Invalid JSON format") from None
        error = {"type": "invalid_request_error"}
        if not body.get("session_id"):
            text = "session_id is required"
            return _reply({"error": {"message": text, **error, "code": "400001"}}, 400)
        if not any(message.get("role") == "user" for message in body.get("messages") or ()):
            text = "No user message found"
            return _reply({"error": {"message": text, **error, "code": "400002"}}, 400)
        if not body.get("stream"):
            return _reply({"error": _BROKEN}, 500)
        chunk = {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion.chunk"}
        text = json.dumps({**chunk, "error": _BROKEN})
        return Response(f"data: {text}\n\ndata: [DONE]\n\n", media_type="text/event-stream")


class _RunResponse(Response):
    """The stream of a run; the run is cancelled if the client disconnects."""

    def __init__(
        self, state: SiteState, run: Run, open_stream: Callable[[], AgentStream | WorkflowStream]
    ) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self._state, self._run, self._open_stream = state, run, open_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; drop the connection if the run was cancelled."""
        writer = self._state.start(self._write(send), self._run.run_id)
        disconnected = asyncio.ensure_future(receive())  # the body has been read: no other message
        try:
            await asyncio.wait({writer, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            if not writer.done():
                writer.cancel()
                await asyncio.wait({writer})
        finally:
            disconnected.cancel()
        if writer.cancelled() or writer.exception():
            await self._state.connections.drop(scope)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        stream = self._open_stream()
        remaining = int(self._run.faults.values.get(SiteFault.CUT, 0))
        try:
            async with aclosing(stream.iterate_bytes()) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    remaining -= 1
                    if remaining == 0:
                        return
        except asyncio.CancelledError:
            last = stream.encode_cancelled()
            await send({"type": "http.response.body", "body": last, "more_body": True})
            raise


def _reply(value: Any, status: int = 200) -> Response:
    content = to_json(value, fallback=str, inf_nan_mode="null")
    return Response(content, status, media_type="application/json")


async def _handle_http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = _reply({"detail": error.detail}, error.status_code)
    response.headers.update(error.headers or {})
    return response


def _reject_older_project(faults: FaultSet) -> None:
    if SiteFault.NO_ASYNC in faults.values:
        raise HTTPException(404)


def _read_deadline(text: str | None) -> int | None:
    if not text:
        return None
    complaint = f"invalid x-task-deadline-sec {text!r}: "
    try:
        seconds = int(text)
    except ValueError as error:
        raise HTTPException(400, f"{complaint}{error}") from None
    if seconds <= 0:
        raise HTTPException(400, f"{complaint}must be positive")
    return seconds
