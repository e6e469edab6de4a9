"""The application of a local server: routes, tokens, faults and errors of every request."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from langchain_coze.local.faults.specs import REPLY_FAULTS, Fault, FaultPlan, read_faults
from langchain_coze.local.oauth_apps import OAuthRoutes
from langchain_coze.local.routes.body import drop_body, read_body
from langchain_coze.local.routes.catalog import ListingRoutes
from langchain_coze.local.routes.chat import ChatRoutes
from langchain_coze.local.routes.chatflows import ChatflowRoutes
from langchain_coze.local.routes.context import (
    Call,
    RouteEntry,
    RouteGroup,
    Settings,
    Site,
    as_json,
)
from langchain_coze.local.routes.conversations import ConversationRoutes, MessageRoutes
from langchain_coze.local.routes.files import FileRoutes
from langchain_coze.local.routes.responses import DamagedReply, Dropped
from langchain_coze.local.routes.run_histories import RunHistoryRoutes
from langchain_coze.local.routes.workflow_catalog import WorkflowListingRoutes
from langchain_coze.local.routes.workflows import WorkflowRoutes
from langchain_coze.local.wire.errors import Problem

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Awaitable, Callable, Mapping

    from langchain_coze.local.wire.cloud import CloudProfile

logger = logging.getLogger(__name__)

# Every group of routes that a server answers.
_GROUPS: tuple[type[RouteGroup], ...] = (
    ChatRoutes,
    ChatflowRoutes,
    WorkflowRoutes,
    RunHistoryRoutes,
    WorkflowListingRoutes,
    ConversationRoutes,
    MessageRoutes,
    FileRoutes,
    OAuthRoutes,
    ListingRoutes,
)
_MEGABYTE = 1024 * 1024
_LARGEST_BODY, _LARGEST_RUN = 15 * _MEGABYTE, 20 * _MEGABYTE  # wire 1.6
_FAULT_HEADER = "x-local-fault"


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request that the server received.

    Attributes:
        method: `GET` or `POST`.
        path: Without query.
        query: Query parameters.
        headers: Headers, their names in lower case.
        body: The decoded JSON; None when there was none, or it was not JSON.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)  # a token is among them
    body: Any


class LocalApp:
    """The application behind a `LocalCoze`; lives in one event loop.

    Args:
        settings: Bots, token and switches.
        requests: Where requests are recorded.
        profile: The wire shapes to write.
    """

    def __init__(
        self, settings: Settings, requests: deque[RecordedRequest], profile: CloudProfile
    ) -> None:
        """Build the routes."""
        self.site = Site(settings, profile)
        self._requests = requests
        entries = [entry for group in _GROUPS for entry in group(self.site).routes()]
        self.asgi = Starlette(
            routes=[
                Route(entry.path, self._endpoint(entry), methods=verbs)
                for entry in entries
                if (verbs := profile.verbs(entry.path, entry.verbs))
            ],
            exception_handlers={HTTPException: self._no_route},
        )
        # A path with a slash too many is another path.
        self.asgi.router.redirect_slashes = False

    def _endpoint(self, entry: RouteEntry) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            logid = self.site.profile.new_logid()
            try:
                response = await self._answer(request, entry, logid)
            except Problem as problem:
                response = self._problem(problem, request, logid)
            except ClientDisconnect:
                response = Dropped(self.site.connections)
            except asyncio.CancelledError:
                # The server stops. uvicorn would report the cancellation as a fault of ours.
                response = Dropped(self.site.connections)
            except Exception as error:
                logger.exception("%s %s failed", request.method, request.url.path)
                unknown = Problem(5000, f"{type(error).__name__}: {error}")
                response = self._problem(unknown, request, logid)
            response.headers[self.site.profile.log_header] = logid
            response.headers["Date"] = formatdate(self.site.now, usegmt=True)
            return response

        return endpoint

    async def _answer(self, request: Request, entry: RouteEntry, logid: str) -> Response:
        path, query, headers = request.url.path, dict(request.query_params), dict(request.headers)
        refused, owner = self._check_token(entry, headers.get("authorization", ""))
        # A route that takes files reads them itself.
        multipart = headers.get("content-type", "").startswith("multipart/")
        body = None if multipart else await _read_json(request, keep=not refused)
        self._requests.append(RecordedRequest(request.method, path, query, headers, body))
        if refused:
            raise refused
        plan = self._plan(path, headers, body)
        query |= request.path_params
        if instead := await self._reply_fault(plan):
            return instead
        call = Call(request, path, query, body, logid, plan, owner, self.site.profile)
        reply = await entry.handler(call)
        damaged = type(reply) is Response and not REPLY_FAULTS.isdisjoint(plan.values)
        return DamagedReply(reply, plan, self.site.connections) if damaged else reply

    def _check_token(self, entry: RouteEntry, authorization: str) -> tuple[Problem | None, str]:
        """What is wrong with the token of a request, or whose it is."""
        scheme, _, token = authorization.partition(" ")
        try:
            return None, "" if entry.open else self.site.owner(token if scheme == "Bearer" else "")
        except Problem as problem:
            return problem, ""

    # Faults -----------------------------------------------------------------------------------

    def _plan(self, path: str, headers: Mapping[str, str], body: Any) -> FaultPlan:
        """The faults that hit this request: the server's, the bot's, and those it asks for."""
        try:
            sources = {"server": read_faults(self.site.settings.faults)}
            if served := self.site.asked(path, body):
                sources[served.wire_id] = read_faults(served.faults)
            if _FAULT_HEADER in headers:
                sources["header"] = read_faults(headers[_FAULT_HEADER])
        except ValueError as error:
            raise Problem(4000, str(error)) from None
        values: dict[Fault, str] = {}
        for source, plan in sources.items():
            if plan.values and plan.hits(path) and self._still_hits(f"{source} {plan.text}", plan):
                values |= plan.values
        return FaultPlan({f: v for f, v in values.items() if f not in {Fault.TIMES, Fault.ON}})

    def _still_hits(self, key: str, plan: FaultPlan) -> bool:
        self.site.used[key] += 1
        return plan.times is None or self.site.used[key] <= plan.times

    async def _reply_fault(self, plan: FaultPlan) -> Response | None:
        faults = plan.values
        if Fault.SLOW_START in faults:
            await asyncio.sleep(float(faults[Fault.SLOW_START]))
        if Fault.ERROR in faults:
            raise Problem(int(faults[Fault.ERROR]))
        if Fault.HTTP_502 in faults:
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Response(page, 502, media_type="text/html")
        if Fault.HTTP_429 in faults:
            wait = {"Retry-After": faults[Fault.HTTP_429]}
            return Response("Too Many Requests", 429, wait, "text/plain")
        if Fault.CLOSE in faults:
            return Dropped(self.site.connections)
        if Fault.EMPTY_BODY in faults:
            return Response(b"", media_type="application/json; charset=utf-8")
        return None

    # Errors ------------------------------------------------------------------------------------

    def _problem(self, problem: Problem, request: Request, logid: str) -> Response:
        real_status = self.site.settings.error_status == "real"
        status, body = self.site.profile.problem(
            problem, request.url.path, logid, real_status=real_status
        )
        return as_json(body, status)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        profile = self.site.profile
        logid = profile.new_logid()
        status = error.status_code if isinstance(error, HTTPException) else 404
        body = profile.no_route(request.method, request.url.path, logid)
        if isinstance(body, str):
            # Studio's web framework does not tell another verb from another path.
            response = Response(body, 404, None, "text/plain")
        else:
            response = as_json(body, status)
            response.headers.update(getattr(error, "headers", None) or {})
        response.headers[profile.log_header] = logid
        return response


async def _read_json(request: Request, *, keep: bool) -> Any:
    """The decoded body; None when it is empty, or not JSON, or not to be kept."""
    if not keep:
        return await drop_body(request)
    is_run = request.url.path.startswith(("/v1/workflow/", "/v1/workflows/"))
    largest = _LARGEST_RUN if is_run else _LARGEST_BODY
    too_large = Problem(4000, f"the request body is over {largest // _MEGABYTE} MB")
    body = await read_body(request, largest, too_large)
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        return None
