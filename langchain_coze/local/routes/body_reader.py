"""Reading request bodies, with limits of size and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from langchain_coze.local.wire.errors import ApiError

READ_TIMEOUT = 30.0
"""Seconds that a client may be silent in the middle of a body."""


async def iterate_body(
    request: Request, max_size: int, too_large: ApiError
) -> AsyncGenerator[bytes, None]:
    """Yield the body in chunks.

    A body that is too large is read to its end, so that the client can read the response.

    Args:
        request: The request.
        max_size: The largest size in bytes.
        too_large: The error of a larger body.

    Raises:
        ApiError: `too_large`, at the end of the body.
        ClientDisconnect: The client has left or was silent for too long.
    """
    size = 0
    stream = aiter(request.stream())
    while (chunk := await _read_chunk(stream)) is not None:
        size += len(chunk)
        if size <= max_size:
            yield chunk
    if size > max_size:
        raise too_large


async def read_body(request: Request, max_size: int, too_large: ApiError) -> bytes:
    """Return the whole body.

    Args:
        request: The request.
        max_size: The largest size in bytes.
        too_large: The error of a larger body.

    Raises:
        ApiError: `too_large`.
        ClientDisconnect: The client has left or was silent for too long.
    """
    return b"".join([chunk async for chunk in iterate_body(request, max_size, too_large)])


async def discard_body(request: Request) -> None:
    """Read the body of a request without a valid token, and keep nothing of it.

    Raises:
        ClientDisconnect: The client has left or was silent for too long.
    """
    stream = aiter(request.stream())
    while await _read_chunk(stream) is not None:
        pass


async def _read_chunk(stream: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            return await anext(stream, None)
    except TimeoutError:
        raise ClientDisconnect from None
