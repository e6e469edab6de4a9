"""The chat page for browsers at `/`: its files, and what it reads of the server.

No other site can read the token. `AccessMiddleware` answers only to loopback names; a browser hides
a reply from pages of other origins; and the token goes only into a reply to a request that a
browser has marked as one of this page. A page cannot set that mark, and neither can somebody who
makes another program on this machine fetch an address. A server that accepts any host name does not
give its token away at all: the page asks its user for it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from langchain_coze.local.bots import LocalBot
    from langchain_coze.local.routes.state import ServerSettings
    from langchain_coze.local.workflows import LocalWorkflow

_FOLDER = Path(__file__).parent.parent / "page"
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_MAX_TOPICS = 40


class PageServer(Protocol):
    """What the page reads of a `LocalCoze` or `LocalSite`, again at each request."""

    token: str

    @property
    def accepts_any_host(self) -> bool:
        """Whether requests may name any host; then the user has to know the token."""
        ...


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What the page shows of a server.

    Attributes:
        server: The server.
        profile: `"cloud"`, `"studio"` or `"site"`.
        is_known: Returns whether a token is valid.
        list_served: Returns what the server serves, as the page reads it.
    """

    server: PageServer
    profile: str
    is_known: Callable[[str], bool]
    list_served: Callable[[], list[dict[str, Any]]]


class PageMiddleware:
    """Answers the requests for the page; all others go to the API."""

    def __init__(self, app: ASGIApp, *, settings: PageSettings) -> None:
        """Store the application of the API."""
        self._app, self._settings = app, settings
        # Another one after a restart: the conversations that the page knows are gone.
        self._server_id = secrets.token_hex(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        name = "index.html" if scope["path"] == "/" else scope["path"].removeprefix("/page/")
        if name == scope["path"] or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        is_list = name == "served.json"
        response = self._describe_server(Request(scope)) if is_list else _load_file(name)
        await response(scope, receive, send)

    def _describe_server(self, request: Request) -> Response:
        settings, server, headers = self._settings, self._settings.server, request.headers
        reply: dict[str, Any] = {"server_id": self._server_id, "profile": settings.profile}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not (scheme == "Bearer" and settings.is_known(token)):
            if server.accepts_any_host or headers.get("sec-fetch-site") != "same-origin":
                return JSONResponse(reply, 401, _HEADERS)
            reply["token"] = server.token
        return JSONResponse(reply | {"served": settings.list_served()}, 200, _HEADERS)


def list_served(settings: ServerSettings) -> list[dict[str, Any]]:
    """Return the bots, chatflows and workflows that users can call."""
    bots = [_describe("bot", bot, topics=_list_topics(bot)) for bot in settings.bots]
    # A chatflow of the library runs in a bot, or in any app.
    bot_id = next((bot.bot_id for bot in settings.bots), "")
    chatflows = [
        _describe("chatflow", flow, app_id=flow.app_id or ("" if bot_id else "1"), bot_id=bot_id)
        for flow in settings.chatflows
    ]
    workflows = [_describe_workflow(workflow) for workflow in settings.workflows]
    return [item for item in bots + chatflows + workflows if item.pop("published")]


@lru_cache
def _list_files() -> frozenset[str]:
    return frozenset(path.name for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES)


def _load_file(name: str) -> Response:
    if name not in _list_files():
        return Response("no such file", 404, _HEADERS, "text/plain")
    path = _FOLDER / name
    # Of many tabs only the first loads the files.
    cache = {} if path.suffix == ".html" else {"Cache-Control": "max-age=60"}
    return Response(path.read_bytes(), 200, _HEADERS | cache, _MEDIA_TYPES[path.suffix])


def _describe(kind: str, served: Any, **fields: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": served.wire_id,
        "name": served.name,
        "description": served.description,
        "published": served.published,
        **fields,
    }


def _describe_workflow(workflow: LocalWorkflow) -> dict[str, Any]:
    inputs = workflow.signature.inputs_as_json()
    return _describe("workflow", workflow, app_id=workflow.app_id, inputs=inputs)


def _list_topics(bot: LocalBot) -> list[str]:
    """Return the names of the documents that a bot knows: something to ask about."""
    bases = (base.as_json("", "") for base in bot.bases)
    return [name for base in bases for name in base["file_list"]][:_MAX_TOPICS]
