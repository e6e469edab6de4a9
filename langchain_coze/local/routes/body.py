"""Reading the bodies of requests: within limits, and not for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from langchain_coze.local.wire.errors import Problem

BETWEEN_PARTS = 30.0
"""Seconds that a client may be silent in the middle of a body."""


async def bounded_parts(
    request: Request, largest: int, too_large: Problem
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives.

    One that is too large is still read to its end, though not kept, so that the client gets to see
    the answer.

    Args:
        request: The request.
        largest: Bytes that it may have.
        too_large: The error of one that has more.

    Raises:
        Problem: `too_large`, at the end of the body.
        ClientDisconnect: The client has left, or says nothing any more.
    """
    size = 0
    stream = aiter(request.stream())
    while (part := await _next_part(stream)) is not None:
        size += len(part)
        if size <= largest:
            yield part
    if size > largest:
        raise too_large


async def read_body(request: Request, largest: int, too_large: Problem) -> bytes:
    """The whole body.

    Args:
        request: The request.
        largest: Bytes that it may have.
        too_large: The error of one that has more.

    Raises:
        Problem: `too_large`.
        ClientDisconnect: The client has left, or says nothing any more.
    """
    return b"".join([part async for part in bounded_parts(request, largest, too_large)])


async def drop_body(request: Request) -> None:
    """Read the body of a stranger to its end, and keep nothing of it.

    Raises:
        ClientDisconnect: The client has left, or says nothing any more.
    """
    stream = aiter(request.stream())
    while await _next_part(stream) is not None:
        pass


async def _next_part(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(BETWEEN_PARTS):
            return await anext(stream, None)
    except TimeoutError:
        raise ClientDisconnect from None
