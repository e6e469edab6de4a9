"""The two faces of the procedures: one blocking, one for asyncio."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import threading
import time
from typing import TYPE_CHECKING, Any

from langchain_coze._api import pool, transport
from langchain_coze._api.effects import (
    Close,
    Effect,
    Flow,
    GetAccountKey,
    Notify,
    Read,
    RefreshToken,
    Reply,
    Request,
    RetryPolicy,
    Sleep,
    T,
    Wait,
)
from langchain_coze._api.retry import send_with_retry

if TYPE_CHECKING:
    from langchain_coze._api.transport import Settings, TokenSource


class Client:
    """Carries out procedures against one server; holds no connection itself.

    Attributes:
        settings: How to reach the server.
        tokens: Where the token of each request comes from.
        policy: How often a request is repeated.
    """

    __slots__ = ("policy", "settings", "tokens")

    def __init__(self, settings: Settings, tokens: TokenSource, policy: RetryPolicy) -> None:
        """Take what is needed; nothing is opened."""
        self.settings = settings
        self.tokens = tokens
        self.policy = policy

    def run(self, flow: Flow[T]) -> T:
        """Carry out a procedure, blocking.

        Raises:
            CozeError: What the procedure raises.
        """
        try:
            effect = next(flow)
            while True:
                try:
                    result = self._do(effect)
                except BaseException as error:  # noqa: BLE001 - the procedure has to clean up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(result)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # what the generator returned
        finally:
            flow.close()

    async def arun(self, flow: Flow[T]) -> T:
        """Carry out a procedure on the running event loop.

        Raises:
            CozeError: What the procedure raises.
        """
        try:
            effect = next(flow)
            while True:
                try:
                    result = await self._ado(effect)
                except BaseException as error:  # noqa: BLE001 - the procedure has to clean up
                    effect = flow.throw(error)
                else:
                    effect = flow.send(result)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return] # what the generator returned
        finally:
            flow.close()

    def _do(self, effect: Effect) -> Any:
        result: Any = None
        match effect:
            case Request():
                result = transport.send(effect, self.settings, self.tokens.get())
            case Read(stream, until):
                result = stream.read(until)
            case Sleep(seconds):
                time.sleep(seconds)
            case Close(stream):
                stream.close()
            case Wait():
                result = _wait(effect)
            case Notify(listener, message):
                listener.emit(message)
            case GetAccountKey():
                result = self.tokens.cache_key or _fingerprint(self.tokens.get())
            case RefreshToken():
                result = self.tokens.invalidate()
        return result

    async def _ado(self, effect: Effect) -> Any:
        result: Any = None
        match effect:
            case Request():
                token = await self.tokens.aget()
                result = await transport.asend(effect, self.settings, token)
            case Read(stream, until):
                result = await stream.read(until)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
            case Close(stream):
                await stream.close()
            case Wait(future, seconds):
                waited = asyncio.wrap_future(future)
                result = bool((await asyncio.wait([waited], timeout=seconds))[0])
            case Notify(listener, message):
                await listener.aemit(message)
            case GetAccountKey():
                result = self.tokens.cache_key or _fingerprint(await self.tokens.aget())
            case RefreshToken():
                result = self.tokens.invalidate()
        return result

    def open(self, request: Request) -> Reply:
        """Open a stream of events, blocking; use `with reply.stream as stream` to read it.

        Raises:
            CozeError: Coze refuses, or could not be reached.
        """
        return self.run(send_with_retry(request, self.policy))

    async def aopen(self, request: Request) -> Reply:
        """Open a stream of events; use `async with reply.stream as stream` to read it.

        Raises:
            CozeError: Coze refuses, or could not be reached.
        """
        return await self.arun(send_with_retry(request, self.policy))

    def close(self) -> None:
        """Close the connections that this process holds to the server, blocking ones."""
        pool.close(self.settings.base_url)

    async def aclose(self) -> None:
        """Close the connections that the running event loop holds to the server."""
        await pool.aclose(self.settings.base_url)


def _wait(effect: Wait) -> bool:
    """Wait with this thread; never for something that only this thread can bring about."""
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


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
