"""Adapters: functions, generators and LangChain Runnables as streams of pieces."""

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from langchain_coze.local.pieces import Piece
from langchain_coze.local.runnables import blocking_pieces, is_runnable, runnable_pieces
from langchain_coze.local.text import small_pieces
from langchain_coze.local.turns import Turn

__all__ = ["PieceSource", "as_piece_source"]

PieceSource: TypeAlias = Callable[[Turn], AsyncGenerator[Piece, None]]

_PIECE_TYPES = get_args(Piece)
# How far a generator in a thread may run ahead of what has been sent.
_READ_AHEAD = 256
_END = object()


def as_piece_source(reply: Any) -> PieceSource:
    """Make a stream of pieces from whatever may serve as a reply.

    Args:
        reply: A LangChain Runnable, which gets the messages of the conversation; or a function.
            A function with one positional parameter is called ``reply(question)``; with a second
            one that has no default, or is named ``turn``, ``reply(question, turn)``. It may be
            ``async``, may be a generator of either kind, and may return a string, pieces, or a
            Runnable. A function that is not ``async`` runs in a thread of its own.

    Returns:
        A function from a turn to an async generator of pieces.

    Raises:
        TypeError: ``reply`` is neither, or takes no parameter.
    """
    if is_runnable(reply):
        return lambda turn: _of_runnable(reply, turn)
    if not callable(reply):
        raise TypeError(
            f"reply must be a function or a LangChain Runnable, not {type(reply).__name__}"
        )
    wants_turn = _wants_turn(reply)
    body = reply if inspect.isroutine(reply) else getattr(reply, "__call__", reply)  # noqa: B004
    in_loop = inspect.iscoroutinefunction(body) or inspect.isasyncgenfunction(body)

    async def source(turn: Turn) -> AsyncGenerator[Piece, None]:
        def call() -> Any:
            return reply(turn.question, turn) if wants_turn else reply(turn.question)

        reply_pieces = _in_loop(call(), turn) if in_loop else _in_thread(call, turn)
        async with contextlib.aclosing(reply_pieces) as pieces:
            async for piece in pieces:
                yield piece

    return source


async def _of_runnable(runnable: Any, turn: Turn) -> AsyncGenerator[Piece, None]:
    """The pieces of a Runnable; one that cannot be awaited is read in a thread."""
    begun = False
    try:
        async with contextlib.aclosing(runnable_pieces(runnable, turn)) as pieces:
            async for piece in pieces:
                begun = True
                yield piece
    except NotImplementedError:
        if begun:
            raise
        blocking = _in_thread(lambda: blocking_pieces(runnable, turn), turn)
        async with contextlib.aclosing(blocking) as pieces:
            async for piece in pieces:
                yield piece


def _wants_turn(reply: Callable[..., Any]) -> bool:
    parameters = inspect.signature(reply).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not positional:
        raise TypeError("a reply function needs a parameter for the question")
    # A second parameter with a default (``lambda q, i=i: …``) is the function's own affair.
    return any(p.default is p.empty or p.name == "turn" for p in positional[1:2])


async def _in_loop(result: Any, turn: Turn) -> AsyncGenerator[Piece, None]:
    """The pieces of a reply function's result, whatever kind of result it is."""
    if inspect.isawaitable(result):
        result = await result
    if is_runnable(result):
        result = _of_runnable(result, turn)
    if not isinstance(result, AsyncIterable):
        for item in _items(result):
            yield _checked(item)
        return
    async for item in result:
        yield _checked(item)


async def _in_thread(call: Callable[[], Any], turn: Turn) -> AsyncGenerator[Piece, None]:
    """The pieces of a reply function that may block."""
    async with contextlib.aclosing(_ReplyThread(call).items()) as items:
        async for item in items:
            if isinstance(item, _ForLoop):
                async for piece in _in_loop(item.result, turn):
                    yield piece
            else:
                yield item


def _items(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    if isinstance(result, str):
        return small_pieces(result)
    if isinstance(result, _PIECE_TYPES):
        return (result,)
    if isinstance(result, Iterable):
        return result
    raise TypeError(f"a reply cannot be a {type(result).__name__}")


def _checked(item: Any) -> Piece:
    if not isinstance(item, _PIECE_TYPES):
        raise TypeError(f"a reply cannot yield a {type(item).__name__}")
    piece: Piece = item
    return piece


@dataclass(frozen=True, slots=True)
class _ForLoop:
    """A result that only the event loop can work off: a coroutine, a Runnable, an async stream."""

    result: Any


class _ReplyThread:
    """A function that may block, in a thread of its own; what it yields is handed over as it comes.

    A thread for each call, not a pool: slow replies must not wait for each other, and a daemon
    thread that never returns does not keep the process alive.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._stopped = threading.Event()
        self._room = threading.Semaphore(_READ_AHEAD)
        self._error: BaseException | None = None

    async def items(self) -> AsyncGenerator[Any, None]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()

        def hand_over(item: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(queue.put_nowait, item)

        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._run, hand_over), name="local-coze-reply", daemon=True
        ).start()
        try:
            while (item := await queue.get()) is not _END:
                self._room.release()
                yield item
            if self._error is not None:
                raise self._error
        finally:
            self._stopped.set()
            self._room.release()

    def _run(self, hand_over: Callable[[Any], None]) -> None:
        try:
            self._iterate(hand_over)
        except Exception as error:  # noqa: BLE001 - it is raised again where the reply is awaited
            self._error = error
        finally:
            hand_over(_END)

    def _iterate(self, hand_over: Callable[[Any], None]) -> None:
        result = self._call()
        if inspect.isawaitable(result) or is_runnable(result) or isinstance(result, AsyncIterable):
            hand_over(_ForLoop(result))
            return
        iterator = iter(_items(result))
        for item in iterator:
            self._room.acquire()
            if self._stopped.is_set():
                break
            hand_over(_checked(item))
        if inspect.isgenerator(iterator):
            iterator.close()
