"""A connection whose request broke off is not used again; without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from langchain_coze._api.pool import ConnectionPool, mark_broken


class EndlessBody(httpx.AsyncByteStream):
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x"

    async def aclose(self) -> None:
        if self.fails:
            raise asyncio.CancelledError


class FakeTransport(httpx.AsyncBaseTransport):
    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        step = self.script.pop(0)
        if step == "cancel":
            raise asyncio.CancelledError
        return httpx.Response(200, stream=EndlessBody(fails=step == "cancel at the end"))

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("how", ["cancel", "cancel at the end", "broke", "fine"])
async def test_only_a_sound_connection_is_used_again(how: str) -> None:
    made: list[FakeTransport] = []

    def make() -> FakeTransport:
        made.append(FakeTransport(["fine"] if made else [how, "fine"]))
        return made[-1]

    coze = ConnectionPool(make)
    request = httpx.Request("GET", "http://127.0.0.1")

    async def once() -> None:
        response = await coze.handle_async_request(request)
        if how == "broke":
            mark_broken(response)
        await response.aclose()

    if how.startswith("cancel"):
        with pytest.raises(asyncio.CancelledError):
            await once()
    else:
        await once()
    assert made[0].closed is (how != "fine")
    await (await coze.handle_async_request(request)).aclose()
    assert len(made) == (1 if how == "fine" else 2)
    for transport in coze.close():
        await transport.aclose()
    assert all(fake.closed for fake in made)
