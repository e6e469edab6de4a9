"""One integration in a process of its own, obeying a line protocol.

Standard input brings a job as one line of JSON, standard output gives its sample as one.
The first line out is a greeting with the versions in use, or with what is missing.
"""

import asyncio
import contextlib
import importlib
import importlib.metadata
import json
import os
import ssl
import sys
from typing import Any, TextIO, cast

from tests.benchmarks import jobs, server

CLIENTS = {
    "raw httpx": ("tests.benchmarks.clients", "RawHttpx", "httpx"),
    "raw httpx, coze.site": ("tests.benchmarks.clients", "RawSite", "httpx"),
    "raw httpx in LangChain": ("tests.benchmarks.clients", "UnparsedModel", "langchain-core"),
    "aiohttp in LangChain": ("tests.benchmarks.clients", "UnparsedAiohttpModel", "aiohttp"),
    "naive model": ("tests.benchmarks.clients", "Naive", "langchain-core"),
    "ChatCoze": ("tests.benchmarks.clients", "Coze", "langchain-coze"),
    "ChatCoze, aiohttp": ("tests.benchmarks.clients", "CozeAiohttp", "aiohttp"),
    "aiohttp, nothing parsed": ("tests.benchmarks.clients", "RawAiohttp", "aiohttp"),
    "ChatCozeSite, aiohttp": ("tests.benchmarks.clients", "SiteAiohttp", "aiohttp"),
    "ChatCozeSite": ("tests.benchmarks.clients", "Site", "langchain-coze"),
    "CozeRecallRetriever": ("tests.benchmarks.clients", "Retriever", "langchain-coze"),
    "ChatOpenAI": ("tests.benchmarks.clients", "OpenAI", "langchain-openai"),
    "ChatMistralAI": ("tests.benchmarks.clients", "Mistral", "langchain-mistralai"),
    "cozepy": ("tests.benchmarks.client_cozepy", "Cozepy", "cozepy"),
}


class ContextCounter:
    """Counts the SSL contexts that this process makes."""

    def __init__(self) -> None:
        self.made = 0
        original = ssl.SSLContext.__new__

        def counting(cls: type[ssl.SSLContext], *args: Any, **kwargs: Any) -> ssl.SSLContext:
            self.made += 1
            return original(cls, *args, **kwargs)

        # A class attribute is replaced on purpose: every way to a context passes here.
        ssl.SSLContext.__new__ = counting  # type: ignore[method-assign,assignment]


with contextlib.suppress(ImportError):  # aiohttp makes two contexts, and langsmith imports it
    importlib.import_module("httpx_aiohttp")
CONTEXTS = ContextCounter()  # from here on, before anything else is imported


def construct(client: jobs.BenchmarkClient, job: jobs.Job) -> jobs.Sample:
    """Per model: constructing, from the second on; and the SSL contexts made."""
    client.construct()
    before = CONTEXTS.made
    spans = [client.construct() for _ in range(job.repeat)]
    by_constructing = CONTEXTS.made - before
    reached = client.touch_tls()
    figures = {
        "us": sum(spans) / len(spans) * 1e6,
        "contexts made": float(by_constructing),
        "contexts in all": float(CONTEXTS.made),
        "failed": float(reached.count(False)),
    }
    note = "" if all(reached) else "a call failed before it tried to connect"
    return jobs.Sample(figures, reached.count(True), len(reached), note)


def load(name: str, port: int) -> jobs.BenchmarkClient:
    module, attribute, _ = CLIENTS[name]
    return cast("jobs.BenchmarkClient", getattr(importlib.import_module(module), attribute)(port))


def perform(client: jobs.BenchmarkClient, runner: asyncio.Runner, job: jobs.Job) -> jobs.Sample:
    if job.kind == "construct":
        return construct(client, job)
    if job.kind in jobs.SYNC:
        return jobs.SYNC[job.kind](client, job)
    return cast("jobs.Sample", runner.run(jobs.ASYNC[job.kind](client, job)))


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def obey(out: TextIO, name: str, port: int) -> None:
    """Greet, then do every job until standard input closes."""
    try:
        client = load(name, port)
        version = importlib.metadata.version(CLIENTS[name][2])
    except Exception as error:  # noqa: BLE001 - whatever stops it, the table names it
        _say(out, {"missing": f"{type(error).__name__}: {error}"})
        return
    _say(out, {"version": version})
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            try:
                sample = perform(client, runner, jobs.Job(**json.loads(line)))
            except Exception as error:  # noqa: BLE001 - a failed run is a row, not a crash
                note = f"{type(error).__name__}: {error}"[:200]
                sample = jobs.Sample({}, 0, 1, note)
            _say(out, sample.to_json())


def main() -> None:
    """Keep standard output for the protocol alone, whatever libraries print."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for variable in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGCHAIN_DEBUG"):
        os.environ.pop(variable, None)
    server.allow_many_sockets()
    obey(out, sys.argv[1], int(sys.argv[2]))
    out.close()
    os._exit(0)  # connection pools of closed loops have nothing worth waiting for


if __name__ == "__main__":
    main()
