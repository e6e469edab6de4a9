"""The two drivers of flows: one sync, one async. See `langchain_coze._api.effects`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_coze._api import transport
from langchain_coze._api.effects import (
    CallBlocking,
    Close,
    Effect,
    Flow,
    GetAccountKey,
    Notify,
    Read,
    RefreshToken,
    Reply,
    Request,
    Sleep,
    T,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pydantic import SecretStr

    from langchain_coze._api.pool import ConnectionPools
    from langchain_coze._api.settings import Settings
    from langchain_coze._api.token_sources import TokenSource


class Driver:
    """Runs flows against one server, sync or async. Holds no connection itself."""

    __slots__ = ("_heartbeat", "_pools", "settings", "token_source")

    def __init__(
        self,
        settings: Settings,
        token_source: TokenSource,
        pools: ConnectionPools,
        heartbeat: Callable[[], None] | None = None,
    ) -> None:
        """Create a driver without opening a connection.

        `heartbeat` is called whenever the server has sent something.
        """
        self._heartbeat = heartbeat
        self.settings = settings
        self.token_source = token_source
        self._pools = pools

    def run(self, flow: Flow[T]) -> T:
        """Run a flow and return its result."""
        try:
            effect = next(flow)
            while True:
                try:
                    result = self._do(effect)
                except BaseException as error:  # noqa: BLE001 - the flow must clean up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(result)
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            flow.close()

    async def arun(self, flow: Flow[T]) -> T:
        """Async version of `run`."""
        try:
            effect = next(flow)
            while True:
                try:
                    result = await self._ado(effect)
                except BaseException as error:  # noqa: BLE001 - the flow must clean up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(result)
        except StopIteration as done:
            value: T = done.value
            return value
        finally:
            flow.close()

    def _do(self, effect: Effect) -> Any:
        result: Any = None
        match effect:
            case Request():
                token = self.token_source.get(effect.deadline)
                result = transport.send(effect, self.settings, token, self._pools)
                self._report(result, _beat)
            case Read(stream, deadline):
                result = stream.read(deadline)
            case Sleep(seconds):
                time.sleep(seconds)
            case Close(stream):
                stream.close()
            case Wait():
                result = _wait(effect)
            case Notify(reporter, message):
                reporter.emit(message)
            case CallBlocking(function):
                result = function()
            case GetAccountKey(deadline):
                source = self.token_source
                result = source.cache_key or _hash_token(source.get(deadline))
            case RefreshToken():
                result = self.token_source.invalidate()
        return result

    async def _ado(self, effect: Effect) -> Any:
        result: Any = None
        match effect:
            case Request():
                token = await self.token_source.aget(effect.deadline)
                result = await transport.asend(effect, self.settings, token, self._pools)
                self._report(result, _abeat)
            case Read(stream, deadline):
                result = await stream.read(deadline)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Close(stream):
                await stream.close()
            case Wait(future, seconds):
                waited = asyncio.wrap_future(future)
                result = bool((await asyncio.wait([waited], timeout=seconds))[0])
            case Notify(reporter, message):
                await reporter.aemit(message)
            case CallBlocking(function):
                result = await asyncio.to_thread(function)
            case GetAccountKey(deadline):
                source = self.token_source
                result = source.cache_key or _hash_token(await source.aget(deadline))
            case RefreshToken():
                result = self.token_source.invalidate()
        return result

    def _report(self, reply: Reply, watch: Callable[..., Any]) -> None:
        """Report a reply, and later the chunks of its stream, as signs of life."""
        if self._heartbeat is None:
            return
        self._heartbeat()
        if reply.stream is not None:
            reply.stream.chunks = watch(reply.stream.chunks, self._heartbeat)

    def close(self) -> None:
        """Close the sync connections of this process to the server."""
        self._pools.close(self.settings.base_url)

    async def aclose(self) -> None:
        """Close the connections of the running event loop to the server."""
        await self._pools.aclose(self.settings.base_url)


def _beat(chunks: Iterator[bytes], heartbeat: Callable[[], None]) -> Iterator[bytes]:
    for chunk in chunks:
        heartbeat()
        yield chunk


async def _abeat(
    chunks: AsyncIterator[bytes], heartbeat: Callable[[], None]
) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        heartbeat()
        yield chunk


def _wait(effect: Wait) -> bool:
    """Block this thread until the future is done, unless only this thread can complete it."""
    if effect.future.done():
        return True
    if effect.thread == threading.get_ident() or _in_loop():
        return False
    return bool(concurrent.futures.wait([effect.future], timeout=effect.seconds).done)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _hash_token(token: SecretStr) -> str:
    return hashlib.sha256(token.get_secret_value().encode()).hexdigest()
