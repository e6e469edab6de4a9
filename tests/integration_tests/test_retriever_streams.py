"""The retriever against scripted bytes: when it returns, and streams that break."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

from langchain_coze import CozeError, CozeRecallRetriever, CozeStreamError, CozeTimeoutError
from tests.conftest import wait_until
from tests.integration_tests.call_styles import use_aiohttp
from tests.integration_tests.scripted_server import ScriptedServer, serve_script
from tests.unit_tests.wire_fixtures import RECALL, TURN

CREATED = TURN[: TURN.index(b"event:conversation.message.delta")]
REST = TURN[len(CREATED) :]
MORE = RECALL.replace(b"7516861350000000001", b"2").replace(b'"text', b'"more')

SearchStyle = Callable[..., list[Document]]


def invoke(retriever: CozeRecallRetriever, query: str) -> list[Document]:
    return retriever.invoke(query)


def ainvoke(retriever: CozeRecallRetriever, query: str) -> list[Document]:
    return asyncio.run(retriever.ainvoke(query))


def ainvoke_aiohttp(retriever: CozeRecallRetriever, query: str) -> list[Document]:
    return ainvoke(use_aiohttp(retriever), query)


both_search_styles = pytest.mark.parametrize("search", [invoke, ainvoke, ainvoke_aiohttp])


def make_retriever_at(base_url: str, **fields: Any) -> CozeRecallRetriever:
    known = {"bot_id": "7497178257633607721", "api_key": "pat_x", "base_url": base_url}
    return CozeRecallRetriever(**{**known, "timeout": 10, **fields})


def get_texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


# --- How soon ------------------------------------------------------------------------------------


@both_search_styles
def test_documents_are_returned_long_before_the_answer(search: SearchStyle) -> None:
    with serve_script(CREATED, RECALL, REST[:300], 20.0) as server:
        search(make_retriever_at(server.base_url), "warm up")
        search(make_retriever_at(server.base_url), "Tea?")
        took = time.monotonic() - server.step_times[1]
        assert took < 0.15  # the recall was sent then; the answer lasts 20 s
        assert server.client_left.wait(2)


@both_search_styles
def test_silence_after_a_recall_ends_the_waiting(search: SearchStyle) -> None:
    with serve_script(CREATED, RECALL, 20.0) as server:
        search(make_retriever_at(server.base_url, recall_grace=0), "warm up")
        for grace in (0.05, 0.3):
            found = search(make_retriever_at(server.base_url, recall_grace=grace), "Tea?")
            took = time.monotonic() - server.step_times[1]
            assert get_texts(found) == ["text"]
            assert grace - 0.02 <= took < grace + 0.2  # the recall is read before its time is noted
        assert server.client_left.wait(2)


@both_search_styles
def test_a_second_recall_within_the_grace_is_taken(search: SearchStyle) -> None:
    with serve_script(CREATED, RECALL, 0.15, MORE, 0.15, REST, 20.0) as server:
        assert get_texts(search(make_retriever_at(server.base_url), "Tea?")) == ["text", "more"]
    with serve_script(CREATED, RECALL, 0.4, MORE, REST, 20.0) as server:
        found = search(make_retriever_at(server.base_url, recall_grace=0.1), "Tea?")
        assert get_texts(found) == ["text"]


@both_search_styles
def test_a_second_recall_that_is_slow_to_arrive_is_not_lost(search: SearchStyle) -> None:
    pieces: list[bytes | float] = []
    for begin in range(0, len(MORE), 60):
        pieces += [MORE[begin : begin + 60], 0.03]
    with serve_script(CREATED, RECALL, *pieces, REST, 20.0) as server:
        assert len(pieces) * 0.015 > 0.15
        found = search(make_retriever_at(server.base_url, recall_grace=0.15), "Tea?")
        assert get_texts(found) == ["text", "more"]
    with (
        serve_script(CREATED, RECALL, MORE[:80], 20.0) as server,
        pytest.warns(UserWarning, match="ended early"),
    ):
        assert get_texts(search(make_retriever_at(server.base_url, recall_grace=0.1), "Tea?")) == [
            "text"
        ]


@both_search_styles
def test_heartbeats_do_not_stretch_the_grace(search: SearchStyle) -> None:
    beats: list[bytes | float] = [b": still here\n\n", 0.05] * 40
    with serve_script(CREATED, RECALL, *beats, REST) as server:
        begin = time.monotonic()
        assert get_texts(search(make_retriever_at(server.base_url, recall_grace=0.2), "Tea?")) == [
            "text"
        ]
        assert time.monotonic() - begin < 1.0


# --- Streams that break --------------------------------------------------------------------------


@both_search_styles
def test_a_stream_that_ends_before_the_recall_is_not_an_empty_result(search: SearchStyle) -> None:
    with serve_script(CREATED) as server, pytest.raises(CozeStreamError) as caught:
        search(make_retriever_at(server.base_url), "Tea?")
    assert caught.value.chat_id == "7516861354884710427"


@both_search_styles
def test_chunks_recalled_before_a_break_are_kept(search: SearchStyle) -> None:
    with serve_script(CREATED, RECALL) as server:
        assert get_texts(search(make_retriever_at(server.base_url), "Tea?")) == ["text"]
    with (
        serve_script(CREATED, RECALL, 0.05, ConnectionResetError(), chunked=True) as server,
        pytest.warns(UserWarning, match="ended early"),
    ):
        assert get_texts(search(make_retriever_at(server.base_url), "Tea?")) == ["text"]


@both_search_styles
def test_a_turn_that_fails_after_its_recall_has_recalled(search: SearchStyle) -> None:
    failed = b'event:conversation.chat.failed\ndata:{"code":4028,"msg":"quota"}\n\n'
    with serve_script(CREATED, RECALL, failed, 5.0) as server:
        assert get_texts(search(make_retriever_at(server.base_url), "Tea?")) == ["text"]
    with serve_script(CREATED, failed, 5.0) as server, pytest.raises(CozeError) as caught:
        search(make_retriever_at(server.base_url), "Tea?")
    assert caught.value.code == 4028
    assert server.client_left.wait(2)


@both_search_styles
def test_a_search_takes_no_longer_than_max_duration(search: SearchStyle) -> None:
    with serve_script(CREATED, 20.0) as server:
        begin = time.monotonic()
        with pytest.raises(CozeTimeoutError):
            search(make_retriever_at(server.base_url, max_duration=0.3), "Tea?")
        assert time.monotonic() - begin < 2
    with serve_script(CREATED, RECALL, 20.0) as server:  # the documents have arrived
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = search(
                make_retriever_at(server.base_url, max_duration=0.3, recall_grace=9), "Tea?"
            )
        assert get_texts(found) == ["text"]


# --- Leaving, and clients of the user -------------------------------------------------------------


def test_a_cancelled_search_closes_its_stream() -> None:
    async def run(server: ScriptedServer) -> None:
        task = asyncio.create_task(make_retriever_at(server.base_url).ainvoke("Tea?"))
        await asyncio.to_thread(wait_until, lambda: server.step_times)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serve_script(CREATED, 20.0) as server:
        asyncio.run(run(server))
        assert server.client_left.wait(2)


@both_search_styles
def test_clients_of_the_user_are_used(search: SearchStyle) -> None:
    with serve_script(CREATED, RECALL, 20.0) as server, httpx.Client() as client:
        kind = "http_client" if search is invoke else "http_async_client"
        mine = client if search is invoke else httpx.AsyncClient()
        retriever = make_retriever_at(server.base_url, **{kind: mine})
        begin = time.monotonic()
        assert get_texts(search(retriever, "Tea?")) == ["text"]
        assert time.monotonic() - begin < 2
