"""The server's side of one connection: clients that never finish asking are not waited for."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["PatientProtocol"]

HEADERS_WITHIN = 30.0
"""Seconds that a client has to send the head of a request."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with an end to the waiting for the head of a request.

    uvicorn itself limits the size of a head, and the silence between two requests, but not how long
    a client may take to send one.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take bytes; wait on where they do not complete a head."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._leave_off()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._leave_off()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEADERS_WITHIN, self.transport.abort)

    def _leave_off(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
