"""The application of a local server: it checks tokens, applies faults and builds error replies."""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from langchain_coze.local.faults.specs import CUTS, Fault, FaultSet, read_faults
from langchain_coze.local.request_log import RecordedRequest, RequestLog, decode_json
from langchain_coze.local.routes.access import AccessMiddleware
from langchain_coze.local.routes.catalog import CatalogRoutes
from langchain_coze.local.routes.chat import ChatRoutes
from langchain_coze.local.routes.conversations import ConversationRoutes
from langchain_coze.local.routes.datasets import DatasetRoutes
from langchain_coze.local.routes.files import FileRoutes
from langchain_coze.local.routes.oauth import OAuthRoutes
from langchain_coze.local.routes.page import PageMiddleware, PageSettings, list_served
from langchain_coze.local.routes.request_context import (
    RequestContext,
    RouteGroup,
    RouteSpec,
    build_json_response,
)
from langchain_coze.local.routes.state import BaseApp, ServerSettings, ServerState
from langchain_coze.local.routes.stream_responses import DroppedResponse, apply_byte_faults
from langchain_coze.local.routes.workflows import WorkflowRoutes
from langchain_coze.local.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from langchain_coze.local.wire.cloud_profile import CloudProfile

logger = logging.getLogger(__name__)

_GROUPS: tuple[type[RouteGroup], ...] = (
    ChatRoutes,
    WorkflowRoutes,
    ConversationRoutes,
    FileRoutes,
    OAuthRoutes,
    CatalogRoutes,
    DatasetRoutes,
)
_MEGABYTE = 1024 * 1024
_MAX_BODY_SIZE, _MAX_RUN_BODY_SIZE = 15 * _MEGABYTE, 20 * _MEGABYTE  # wire 1.6
_FAULT_HEADER = "x-local-fault"


class LocalApp(BaseApp):
    """The application behind a `LocalCoze`; it belongs to one event loop."""

    def __init__(
        self, settings: ServerSettings, requests: RequestLog, profile: CloudProfile
    ) -> None:
        """Build the routes."""
        self.state: ServerState = ServerState(settings, profile)
        self._requests = requests
        specs = [spec for group in _GROUPS for spec in group(self.state).build_routes()]
        routes = [
            Route(spec.path, self._build_endpoint(spec), methods=spec.methods) for spec in specs
        ]
        page = PageSettings(
            server=settings,
            profile=profile.name,
            is_known=lambda token: self.state.authenticate(token) is not None,
            list_served=lambda: list_served(settings),
        )
        self.asgi = Starlette(
            routes=routes,
            middleware=[
                Middleware(AccessMiddleware, any_host=settings.accepts_any_host),
                Middleware(PageMiddleware, settings=page),
            ],
            exception_handlers={HTTPException: self._handle_no_route},
        )
        # A path with a trailing slash is a different path.
        self.asgi.router.redirect_slashes = False

    def _build_endpoint(self, spec: RouteSpec) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            logid = self.state.profile.create_logid()
            try:
                response = await self._handle(request, spec, logid)
            except ApiError as error:
                response = self._build_error_response(error, request, logid)
            except (ClientDisconnect, asyncio.CancelledError):
                # The server is stopping. uvicorn would log the cancellation as an error.
                response = DroppedResponse(self.state.connections)
            except Exception as error:
                logger.exception("%s %s failed", request.method, request.url.path)
                internal = ApiError(5000, f"{type(error).__name__}: {error}")
                response = self._build_error_response(internal, request, logid)
            response.headers[self.state.profile.logid_header] = logid
            response.headers["Date"] = formatdate(self.state.now, usegmt=True)
            return response

        return endpoint

    async def _handle(self, request: Request, spec: RouteSpec, logid: str) -> Response:
        path, query, headers = request.url.path, dict(request.query_params), dict(request.headers)
        authorization = headers.get("authorization", "")
        scheme, _, token = authorization.partition(" ")
        owner = "" if spec.public else self.state.authenticate(token if scheme == "Bearer" else "")
        # A route for uploads reads the form itself.
        is_multipart = headers.get("content-type", "").startswith("multipart/")
        content = b"" if is_multipart else await _read_content(request)
        body = decode_json(content)
        recorded = b"" if owner is None else content
        self._requests.append(RecordedRequest(request.method, path, query, headers, recorded))
        if owner is None:
            raise self._create_token_error(path, authorization, body)
        faults = self._collect_faults(path, headers, body)
        if faulty := await self._apply_faults_before_reply(faults):
            return faulty
        context = RequestContext(
            request=request,
            path=path,
            query=query | request.path_params,
            body=body,
            logid=logid,
            faults=faults,
            owner=owner,
            profile=self.state.profile,
        )
        response = await spec.handler(context)
        if type(response) is Response and not CUTS.isdisjoint(faults.values):
            return apply_byte_faults(response, faults, self.state.connections)
        return response

    def _create_token_error(self, path: str, authorization: str, body: Any) -> ApiError:
        """Return the error for a request without a valid token.

        For a chat, the hosted service looks up the bot before it checks the token (wire 1.5).
        """
        profile = self.state.profile
        names_bot = path == "/v3/chat" and authorization and isinstance(body, dict)
        bot_id = body.get("bot_id") if names_bot else None
        if isinstance(bot_id, str) and bot_id.isdecimal() and not profile.is_studio:
            try:
                self.state.get_bot(bot_id)
            except ApiError as error:
                return error
        return profile.create_token_error(path, authorization)

    # Faults -----------------------------------------------------------------------------------

    def _collect_faults(self, path: str, headers: Mapping[str, str], body: Any) -> FaultSet:
        """Return the faults for a request: from the server, its target and its header."""
        try:
            sources = {"server": read_faults(self.state.settings.faults)}
            if target := self.state.find_target(path, body):
                sources[target.wire_id] = read_faults(target.faults)
            if _FAULT_HEADER in headers:
                sources["header"] = read_faults(headers[_FAULT_HEADER])
        except ValueError as error:
            raise ApiError(4000, str(error)) from None
        values: dict[Fault, str] = {}
        for source, faults in sources.items():
            values |= self.state.use_faults(source, faults, path)
        return FaultSet({f: v for f, v in values.items() if f not in {Fault.TIMES, Fault.ON}})

    async def _apply_faults_before_reply(self, faults: FaultSet) -> Response | None:
        """Return the response that replaces the reply, if any."""
        values = faults.values
        await asyncio.sleep(faults.get_seconds(Fault.SLOW_START))
        if Fault.ERROR in values:
            raise ApiError(int(values[Fault.ERROR]))
        if Fault.HTTP_502 in values:
            page = "<html><body><h1>502 Bad Gateway</h1></body></html>"
            return Response(page, 502, media_type="text/html")
        if Fault.HTTP_429 in values:
            headers = {"Retry-After": values[Fault.HTTP_429]}
            return Response("Too Many Requests", 429, headers, "text/plain")
        if Fault.CLOSE in values:
            return DroppedResponse(self.state.connections)
        return None

    # Errors ------------------------------------------------------------------------------------

    def _build_error_response(self, error: ApiError, request: Request, logid: str) -> Response:
        real_status = self.state.settings.error_status == "real"
        status, body = self.state.profile.build_error(
            error, request.url.path, logid, real_status=real_status
        )
        if isinstance(body, str):
            return PlainTextResponse(body, status)
        return build_json_response(body, status)

    async def _handle_no_route(self, request: Request, error: Exception) -> Response:
        profile = self.state.profile
        logid = profile.create_logid()
        wrong_verb = isinstance(error, HTTPException) and error.status_code == 405  # noqa: PLR2004 - of HTTP
        status, body = profile.build_no_route(
            request.method, request.url.path, wrong_verb=wrong_verb
        )
        response = build_json_response(body, status)
        response.headers[profile.logid_header] = logid
        return response


async def _read_content(request: Request) -> bytes:
    """Return the body; read one that is too large to its end, so that the client sees the error."""
    is_run = request.url.path.startswith(("/v1/workflow/", "/v1/workflows/"))
    max_size = _MAX_RUN_BODY_SIZE if is_run else _MAX_BODY_SIZE
    size, chunks = 0, []
    async for chunk in request.stream():
        size += len(chunk)
        if size <= max_size:
            chunks.append(chunk)
    if size > max_size:
        raise ApiError(4000, f"the request body is over {max_size // _MEGABYTE} MB")
    return b"".join(chunks)
