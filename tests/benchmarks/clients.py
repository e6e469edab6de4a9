"""The integrations of this environment, each behind the same few calls (`jobs.BenchmarkClient`)."""

import asyncio
import importlib
import ssl
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Any

import httpx

from tests.benchmarks import wire

LIMITS = httpx.Limits(max_connections=4000, max_keepalive_connections=100)
NOBODY = "https://127.0.0.1:9"  # the discard port: refused at once


def refused(call: Callable[[], object]) -> bool:
    """Tell whether a call failed by connecting: any earlier failure built no TLS context."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - the whole chain is looked at
        link: BaseException | None = error
        while link is not None:
            if isinstance(link, ConnectionRefusedError) or type(link).__name__ == "ConnectError":
                return True
            link = link.__cause__ or link.__context__
    return False


def _run(model: Any) -> None:
    asyncio.run(model.ainvoke("Hello"))


class RawHttpx:
    """httpx reading the bytes and parsing nothing: the floor under every httpx model."""

    path = "/v3/chat"
    dialect = "coze"

    def __init__(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {wire.TOKEN}"}
        self._sync = httpx.Client(base_url=url, headers=headers, timeout=120)
        self._async = httpx.AsyncClient(base_url=url, headers=headers, timeout=120, limits=LIMITS)

    @staticmethod
    def _body(question: str) -> dict[str, Any]:
        message = {
            "role": "user",
            "type": "question",
            "content": question,
            "content_type": "text",
        }
        return {
            "bot_id": wire.BOT_ID,
            "user_id": "bench",
            "stream": True,
            "auto_save_history": False,
            "additional_messages": [message],
        }

    def drain(self, question: str) -> list[bytes]:
        with self._sync.stream("POST", self.path, json=self._body(question)) as response:
            return list(response.iter_raw())

    async def adrain(self, question: str) -> list[bytes]:
        body = self._body(question)
        async with self._async.stream("POST", self.path, json=body) as response:
            return [piece async for piece in response.aiter_raw()]

    def stream(self, question: str) -> Iterator[bytes]:
        with self._sync.stream("POST", self.path, json=self._body(question)) as response:
            yield from response.iter_raw()

    async def astream(self, question: str) -> AsyncIterator[bytes]:
        body = self._body(question)
        async with self._async.stream("POST", self.path, json=body) as response:
            async for piece in response.aiter_raw():
                yield piece

    def _text(self, question: str, items: list[bytes]) -> str:
        """Return the text asked for if as many bytes came; nothing is parsed on the clock."""
        asked = wire.understand(question.encode())
        if asked is None:
            return ""
        if sum(map(len, items)) != len(wire.stream_bytes(self.dialect, asked.deltas)):
            return ""
        return wire.text(asked.deltas)

    def invoke(self, question: str) -> str:
        return self._text(question, self.drain(question))

    async def ainvoke(self, question: str) -> str:
        return self._text(question, await self.adrain(question))

    async def abatch(self, questions: list[str]) -> list[str]:
        return list(await asyncio.gather(*map(self.ainvoke, questions)))

    def recall(self, question: str) -> list[str]:
        body = b""
        with self._sync.stream("POST", self.path, json=self._body(question)) as response:
            for piece in response.iter_raw():
                body += piece
                if names := wire.recalled(body):
                    return names
        return []

    async def arecall(self, question: str) -> list[str]:
        body, asked = b"", self._body(question)
        async with self._async.stream("POST", self.path, json=asked) as response:
            async for piece in response.aiter_raw():
                body += piece
                if names := wire.recalled(body):
                    return names
        return []

    def piece(self, item: bytes) -> str:
        return "x" if item else ""

    def complete(self, items: list[bytes], deltas: int) -> bool:
        return b"".join(items) == wire.stream_bytes(self.dialect, deltas)

    def construct(self) -> float:
        start = time.process_time()
        httpx.Client()
        return time.process_time() - start

    def touch_tls(self) -> list[bool]:
        return []


class RawAiohttp(RawHttpx):
    """The same with aiohttp below httpx."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        client = importlib.import_module("httpx_aiohttp").HttpxAiohttpClient
        self._async = client(
            base_url=self._async.base_url,
            headers=self._async.headers,
            timeout=120,
            limits=LIMITS,
        )


class ModelCalls:
    """The calls of a LangChain chat model, `_model`."""

    _model: Any

    def drain(self, question: str) -> list[Any]:
        return list(self._model.stream(question))

    async def adrain(self, question: str) -> list[Any]:
        return [chunk async for chunk in self._model.astream(question)]

    def stream(self, question: str) -> Iterator[Any]:
        return self._model.stream(question)  # type: ignore[no-any-return]

    def astream(self, question: str) -> AsyncIterator[Any]:
        return self._model.astream(question)  # type: ignore[no-any-return]

    def piece(self, item: Any) -> str:
        return str(item.content)


class UnparsedModel(ModelCalls, RawHttpx):
    """raw httpx inside a LangChain model that parses nothing.

    Async requests have a connection each, as in this package: httpx's own pool searches all of its
    connections for each request.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        model = importlib.import_module("tests.benchmarks.unparsed").UnparsedChatModel
        self._model = model(reads=partial(RawHttpx.stream, self), areads=self._aread)
        pool = importlib.import_module("langchain_coze._api.pool").ConnectionPool
        context = ssl.create_default_context()  # one for all, because each takes 20 ms
        self._pool = pool(partial(httpx.AsyncHTTPTransport, verify=context))

    async def _aread(self, question: str) -> AsyncIterator[bytes]:
        request = self._async.build_request("POST", self.path, json=self._body(question))
        async with aclosing(await self._pool.handle_async_request(request)) as response:
            async for part in response.stream:
                yield part

    def complete(self, items: list[Any], deltas: int) -> bool:
        return len(items) > deltas


class UnparsedAiohttpModel(UnparsedModel):
    """The same on aiohttp."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._raw = RawAiohttp(port)

    async def _aread(self, question: str) -> AsyncIterator[bytes]:
        async for part in self._raw.astream(question):
            yield part

    def complete(self, items: list[Any], deltas: int) -> bool:
        del deltas  # aiohttp joins what has arrived
        return bool(items)


class RawSite(RawHttpx):
    """The same for the bytes of an agent at coze.site."""

    path = "/stream_run"
    dialect = "site"

    @staticmethod
    def _body(question: str) -> dict[str, Any]:
        prompt = [{"type": "text", "content": {"text": question}}]
        return {"content": {"query": {"prompt": prompt}}, "type": "query", "session_id": "bench"}


class LangChainClient(ModelCalls):
    """A LangChain chat model; subclasses say how one is made."""

    def __init__(self, port: int) -> None:
        self._origin = f"http://127.0.0.1:{port}"
        self._model = self.make(self._origin)

    @abstractmethod
    def make(self, origin: str, **more: Any) -> Any: ...

    def invoke(self, question: str) -> str:
        return str(self._model.invoke(question).content)

    async def ainvoke(self, question: str) -> str:
        return str((await self._model.ainvoke(question)).content)

    async def abatch(self, questions: list[str]) -> list[str]:
        return [str(x.content) for x in await self._model.abatch(questions)]

    def complete(self, items: list[Any], deltas: int) -> bool:
        return "".join(map(self.piece, items)) == wire.text(deltas)

    def construct(self) -> float:
        start = time.process_time()
        self.make(self._origin)
        return time.process_time() - start

    def touch_tls(self) -> list[bool]:
        """Let two models call nobody, sync and async: they fail, but only when connecting."""
        calls = []
        for model in (self.make(NOBODY, max_retries=0), self.make(NOBODY, max_retries=0)):
            calls.append(refused(partial(model.invoke, "Hello")))
            calls.append(refused(partial(_run, model)))
        return calls


class Coze(LangChainClient):
    """The model of this package, with its default constructor."""

    def make(self, origin: str, **more: Any) -> Any:
        model = importlib.import_module("langchain_coze").ChatCoze
        return model(bot_id=wire.BOT_ID, api_key=wire.TOKEN, base_url=origin, **more)

    def recall(self, question: str) -> list[str]:
        """Wait for the whole answer: what there is without a retriever."""
        return self._names(self._model.invoke(question))

    async def arecall(self, question: str) -> list[str]:
        return self._names(await self._model.ainvoke(question))

    @staticmethod
    def _names(message: Any) -> list[str]:
        read = importlib.import_module("langchain_coze").recalled_documents
        return [document.metadata["document_name"] for document in read(message)]


class Site(LangChainClient):
    """The model of this package for agents at coze.site, with its default constructor."""

    def make(self, origin: str, **more: Any) -> Any:
        model = importlib.import_module("langchain_coze").ChatCozeSite
        return model(api_key=wire.TOKEN, base_url=origin, **more)


class CozeAiohttp(Coze):
    """The model of this package, with async requests by aiohttp."""

    def make(self, origin: str, **more: Any) -> Any:
        return super().make(origin, http_backend="aiohttp", **more)


class SiteAiohttp(Site):
    """The model for coze.site, with async requests by aiohttp."""

    def make(self, origin: str, **more: Any) -> Any:
        return super().make(origin, http_backend="aiohttp", **more)


class Retriever:
    """The retriever of this package, with its default constructor."""

    def __init__(self, port: int) -> None:
        retriever = importlib.import_module("langchain_coze").CozeRecallRetriever
        origin = f"http://127.0.0.1:{port}"
        self._retriever = retriever(bot_id=wire.BOT_ID, api_key=wire.TOKEN, base_url=origin)

    def recall(self, question: str) -> list[str]:
        return [x.metadata["document_name"] for x in self._retriever.invoke(question)]

    async def arecall(self, question: str) -> list[str]:
        return [x.metadata["document_name"] for x in await self._retriever.ainvoke(question)]


class Naive(LangChainClient):
    """The toy of `naive.py`."""

    def make(self, origin: str, **more: Any) -> Any:
        more.pop("max_retries", None)
        return importlib.import_module("tests.benchmarks.naive").NaiveCoze(base_url=origin, **more)


class OpenAI(LangChainClient):
    """LangChain's OpenAI integration."""

    def make(self, origin: str, **more: Any) -> Any:
        model = importlib.import_module("langchain_openai").ChatOpenAI
        return model(
            model="gpt-4.1-mini", api_key="sk-bench", base_url=f"{origin}/openai/v1", **more
        )


class Mistral(LangChainClient):
    """LangChain's Mistral integration, the leanest of the peers."""

    def make(self, origin: str, **more: Any) -> Any:
        model = importlib.import_module("langchain_mistralai").ChatMistralAI
        url = f"{origin}/mistral/v1"
        return model(model_name="mistral-small-latest", api_key="bench", base_url=url, **more)
