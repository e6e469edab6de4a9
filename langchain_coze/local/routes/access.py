"""What happens around every request: its `Host` header is checked, and a line is logged."""

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
    """Refuses host names of other machines, unless `any_host`, and logs each request in one line.

    A page of another site can reach a server on this machine under another name (DNS rebinding);
    only the `Host` header shows that.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool) -> None:
        """Store the application."""
        self._app, self._any_host = app, any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        started, reply = time.monotonic(), _Reply(send)
        try:
            host = Headers(scope=scope).get("host", "")
            name = host[1:].partition("]")[0] if host[:1] == "[" else host.partition(":")[0]
            if self._any_host or is_loopback(name):
                await self._app(scope, receive, reply.send)
            else:
                text = f"{host!r} is not this machine: start the server with --host to allow it"
                await PlainTextResponse(text, 400)(scope, receive, reply.send)
        finally:
            milliseconds = (time.monotonic() - started) * 1000
            logger.info(
                "%s %s %s %s %.0f ms",
                *(scope["method"], scope["path"], reply.status, reply.code, milliseconds),
            )


class _Reply:
    """Passes a response on; remembers its status, and the `code` of a JSON body."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_json = False
        self.status, self.code = "closed", "-"

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = str(message["status"])
            self._is_json = "json" in Headers(raw=message["headers"]).get("content-type", "")
        elif self._is_json and logger.isEnabledFor(logging.INFO):
            self._is_json = False  # a reply is one message, unless a fault cuts it
            with contextlib.suppress(ValueError, AttributeError):  # not a JSON object
                self.code = str(json.loads(message["body"]).get("code", "-"))
        await self._send(message)


def is_loopback(host: str) -> bool:
    """Return whether a name or IP address means this machine."""
    name = host.rstrip(".").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
