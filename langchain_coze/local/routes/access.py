"""A middleware that checks the `Host` header and logs each request."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import time
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AccessMiddleware:
    """Rejects host names of other machines, unless `any_host` is set; logs each request.

    A page from another site can reach a server on this machine under its own host name (DNS
    rebinding); only the `Host` header reveals that.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool) -> None:
        """Store the application."""
        self._app, self._any_host = app, any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started, status, code, is_json = time.monotonic(), "closed", "-", False

        async def record_and_send(message: Message) -> None:
            nonlocal status, code, is_json
            if message["type"] == "http.response.start":
                status = str(message["status"])
                is_json = "json" in Headers(raw=message["headers"]).get("content-type", "")
            elif is_json and logger.isEnabledFor(logging.INFO):
                is_json = False  # the body is one message, unless a fault cuts it
                with contextlib.suppress(ValueError, AttributeError):  # not a JSON object
                    code = str(json.loads(message["body"]).get("code", "-"))
            await send(message)

        try:
            host = Headers(scope=scope).get("host", "")
            name = host[1:].partition("]")[0] if host[:1] == "[" else host.partition(":")[0]
            if self._any_host or is_loopback(name):
                await self._app(scope, receive, record_and_send)
            else:
                text = f"{host!r} is not this machine: start the server with --host to allow it"
                await PlainTextResponse(text, 400)(scope, receive, record_and_send)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            values = (scope["method"], scope["path"], status, code, milliseconds)
            logger.info("%s %s %s %s %.0f ms", *values)


def is_loopback(host: str) -> bool:
    """Return whether a host name or IP address is a loopback address."""
    name = host.rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
