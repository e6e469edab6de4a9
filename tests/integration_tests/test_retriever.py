"""The retriever against the local server; over sockets."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.load import dumps

from langchain_coze import (
    CozeAuthenticationError,
    CozeInvalidRequestError,
    CozeNotFoundError,
    CozeRecallError,
    CozeRecallRetriever,
    recalled_documents,
)
from langchain_coze.local import (
    ClientTool,
    LocalBot,
    LocalCoze,
    LocalKnowledge,
    LocalWorkflow,
    Pause,
    knowledge_workflow,
)
from tests.conftest import finish_cancels, make_chat, serve
from tests.integration_tests.stream_faults import serve_with_faults

QUESTION = "Where does tea grow?"
TEXTS = ["Tea grows on hills.", "Tea likes rain.", "Green tea and black tea are one plant."]
SearchStyle = Callable[..., list[Document]]


def invoke(retriever: CozeRecallRetriever, query: Any, **kwargs: Any) -> list[Document]:
    return retriever.invoke(query, **kwargs)


def ainvoke(retriever: CozeRecallRetriever, query: Any, **kwargs: Any) -> list[Document]:
    return asyncio.run(retriever.ainvoke(query, **kwargs))


both_search_styles = pytest.mark.parametrize("search", [invoke, ainvoke])


def answer(_: str) -> Iterator[Any]:
    yield "On hills."
    yield Pause(20)
    yield "And so on."


def ask(_: str) -> Iterator[Any]:
    yield ClientTool("f", {})


BASE = LocalKnowledge(TEXTS, name="tea", min_score=0)
BOT = LocalBot(answer, name="tea", knowledge=BASE)
TWO = LocalBot(answer, name="two", knowledge=[BASE, LocalKnowledge(["Tea is drunk."], name="use")])
QUICK = LocalBot(lambda _: "On hills.", name="quick", knowledge=BASE)
ASKS, BARE = LocalBot(ask, name="asks"), LocalBot(lambda _: "Hills.", name="bare")


def other_shape(question: str) -> dict[str, Any]:
    found = [{"text": text, "score": 0.9 - n / 10} for n, text in enumerate(TEXTS)]
    return {"data": {"hits": found}, "asked": question, "others": [1]}


def texts(question: str) -> dict[str, Any]:
    return {"answer": TEXTS, "asked": question}


def fails(question: str) -> str:
    raise RuntimeError(f"the node is broken: {question}")


FLOW = knowledge_workflow(BASE, name="find_tea")
OTHER, PLAIN, FAILS = LocalWorkflow(other_shape), LocalWorkflow(texts), LocalWorkflow(fails)

coze = serve(
    [BOT, TWO, ASKS, BARE, QUICK],
    workflows=[FLOW, OTHER, PLAIN, FAILS],
    profiles=["cloud", "studio"],
    stop_timeout=0,
)


def make_retriever(coze: LocalCoze, local: LocalBot = BOT, **fields: Any) -> CozeRecallRetriever:
    known = {"bot_id": local.bot_id, "api_key": coze.token, "base_url": coze.base_url}
    return CozeRecallRetriever(**{**known, "timeout": 10, **fields})


def make_workflow_retriever(
    coze: LocalCoze, flow: LocalWorkflow = FLOW, **fields: Any
) -> CozeRecallRetriever:
    known = {"workflow_id": flow.workflow_id, "api_key": coze.token, "base_url": coze.base_url}
    return CozeRecallRetriever(**{**known, "timeout": 10, **fields})


def get_texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


# --- Bot mode ------------------------------------------------------------------------------------


@both_search_styles
def test_a_bot_gives_its_documents_with_metadata_and_stable_ids(
    coze: LocalCoze, search: SearchStyle
) -> None:
    found = search(make_retriever(coze), QUESTION)
    assert sorted(get_texts(found)) == sorted(TEXTS)
    first = found[0].metadata
    named = "" if coze.profile == "studio" else "tea"  # Studio tells no name
    assert (first["dataset_name"], first["rank"]) == (named, 1)
    assert 0 < first["score"] <= 1
    assert found[0].id
    assert found == search(make_retriever(coze), QUESTION)  # the ids are stable


@both_search_styles
def test_one_request_that_leaves_nothing_behind(coze: LocalCoze, search: SearchStyle) -> None:
    search(make_retriever(coze, user_id="42", custom_variables={"a": 1}), QUESTION)
    (request,) = coze.requests
    assert (request.method, request.path, request.query) == ("POST", "/v3/chat", {})
    assert request.body == {
        "bot_id": BOT.bot_id,
        "user_id": "42",
        "additional_messages": [
            {"role": "user", "type": "question", "content": QUESTION, "content_type": "text"}
        ],
        "stream": True,
        "auto_save_history": False,
        "custom_variables": {"a": "1"},
    }


@both_search_styles
def test_k_and_threshold_of_the_retriever_and_of_a_call(
    coze: LocalCoze, search: SearchStyle
) -> None:
    whole = search(make_retriever(coze), QUESTION)
    middle = whole[1].metadata["score"]
    assert search(make_retriever(coze, k=2), QUESTION) == whole[:2]
    assert search(make_retriever(coze, k=2), QUESTION, k=1) == whole[:1]
    assert search(make_retriever(coze, k=2), QUESTION, k=None) == whole
    good = [found for found in whole if found.metadata["score"] >= middle]
    assert search(make_retriever(coze, score_threshold=middle), QUESTION) == good
    assert search(make_retriever(coze), QUESTION, score_threshold=middle) == good
    assert search(make_retriever(coze, k=9), QUESTION, score_threshold=1e9) == []


@both_search_styles
def test_a_call_may_name_another_bot_and_user(coze: LocalCoze, search: SearchStyle) -> None:
    assert len(search(make_retriever(coze, BARE), QUESTION, bot_id=BOT.bot_id, user_id="7")) == 3
    assert coze.requests[0].body["user_id"] == "7"


@both_search_styles
def test_documents_of_several_knowledge_bases_are_ranked_together(
    coze: LocalCoze, search: SearchStyle
) -> None:
    found = search(make_retriever(coze, TWO), "Tea is drunk. Where does it grow?")
    assert len({document.metadata["dataset_id"] for document in found}) == 2
    assert [document.metadata["rank"] for document in found] == list(range(1, len(found) + 1))


@both_search_styles
def test_an_empty_recall_gives_no_documents(coze: LocalCoze, search: SearchStyle) -> None:
    if coze.profile == "cloud":  # Studio sends no recall then
        coze.faults = "recall_empty"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert search(make_retriever(coze), QUESTION) == []
    coze.faults = ""
    with warnings.catch_warnings(), serve_with_faults(coze, "recall_null") as base_url:
        warnings.simplefilter("error")
        assert search(make_retriever(coze, QUICK, base_url=base_url), QUESTION) == []


@both_search_styles
def test_a_failed_search_is_an_error(coze: LocalCoze, search: SearchStyle) -> None:
    coze.faults = "recall_failed=708882003"
    with pytest.raises(CozeRecallError, match="708882003") as caught:
        search(make_retriever(coze), QUESTION)
    error = caught.value
    assert error.code == 708882003
    assert error.chat_id
    assert error.logid
    assert "云盘" in str(error)


@both_search_styles
@pytest.mark.parametrize("local", [BARE, QUICK])
def test_a_missing_recall_is_warned_about_once(
    coze: LocalCoze, search: SearchStyle, local: LocalBot
) -> None:
    coze.faults = "recall_missing"
    with pytest.warns(UserWarning, match="sent no recall") as caught:
        assert search(make_retriever(coze, local), QUESTION) == []
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_bot_that_waits_for_a_tool_has_recalled_nothing(coze: LocalCoze) -> None:
    if coze.profile == "studio":
        pytest.skip("Studio has no tools of the client (wire section 8)")
    with pytest.warns(UserWarning, match="sent no recall"):
        assert make_retriever(coze, ASKS).invoke(QUESTION) == []


@both_search_styles
def test_late_recalls_are_complete(coze: LocalCoze, search: SearchStyle) -> None:
    whole = search(make_retriever(coze), QUESTION)
    coze.faults = "recall_late=0.3"
    assert search(make_retriever(coze), QUESTION) == whole


@both_search_styles
@pytest.mark.parametrize("fault", ["recall_split", "recall_flat", "recall_object"])
def test_all_forms_of_a_recall_give_the_same_documents(
    coze: LocalCoze, search: SearchStyle, fault: str
) -> None:
    whole = search(make_retriever(coze, QUICK), QUESTION)
    with serve_with_faults(coze, fault) as base_url:
        assert search(make_retriever(coze, QUICK, base_url=base_url), QUESTION) == whole


@both_search_styles
def test_a_recall_of_plain_text_has_no_scores(coze: LocalCoze, search: SearchStyle) -> None:
    with (
        serve_with_faults(coze, "recall_plain") as base_url,
        pytest.warns(UserWarning, match="no scores"),
    ):
        found = search(
            make_retriever(coze, QUICK, base_url=base_url), QUESTION, score_threshold=0.1
        )
    assert "Tea" in found[0].page_content
    assert "score" not in found[0].metadata


@both_search_styles
@pytest.mark.parametrize("fault", ["recall_broken", "recall_cut"])
def test_a_damaged_recall_loses_no_good_chunk(
    coze: LocalCoze, search: SearchStyle, fault: str
) -> None:
    whole = search(make_retriever(coze, QUICK), QUESTION)
    with (
        serve_with_faults(coze, fault) as base_url,
        pytest.warns(UserWarning, match="damaged") as caught,
    ):
        found = search(make_retriever(coze, QUICK, base_url=base_url), QUESTION)
    assert len(caught) == 1
    assert get_texts(found) == get_texts(whole[1:] if fault == "recall_broken" else whole[:-1])


@both_search_styles
def test_the_answer_of_a_chat_has_the_same_documents(coze: LocalCoze, search: SearchStyle) -> None:
    message = make_chat(coze, QUICK).invoke(QUESTION)
    assert recalled_documents(message) == search(make_retriever(coze, QUICK), QUESTION)


@both_search_styles
def test_private_data_of_a_recall_goes_nowhere(coze: LocalCoze, search: SearchStyle) -> None:
    retriever = make_retriever(coze)
    found = search(retriever, QUESTION)
    text = f"{found!r} {retriever!r} {[d.metadata for d in found]}"
    for word in ("ori_req", "coze_api_key", "connector_uid", coze.token):
        assert word not in text


# --- Leaving -------------------------------------------------------------------------------------


def count_cancels(coze: LocalCoze) -> int:
    return sum(request.path == "/v3/chat/cancel" for request in coze.requests)


@both_search_styles
@pytest.mark.parametrize("wanted", [True, False])
def test_the_turn_is_cancelled_only_with_cancel_on_close(
    coze: LocalCoze, search: SearchStyle, *, wanted: bool
) -> None:
    search(make_retriever(coze, cancel_on_close=wanted), QUESTION)
    finish_cancels()
    assert count_cancels(coze) == wanted


def test_many_searches_at_once_are_answered(coze: LocalCoze) -> None:
    retriever = make_retriever(coze, k=1)

    async def run() -> list[list[Document]]:
        return await retriever.abatch([QUESTION] * 100)

    found = asyncio.run(run())
    assert {len(documents) for documents in found} == {1}
    assert {len(documents) for documents in retriever.batch([QUESTION] * 40)} == {1}


def test_a_retriever_can_be_pickled(coze: LocalCoze) -> None:
    retriever = pickle.loads(pickle.dumps(make_retriever(coze, k=1)))
    assert len(retriever.invoke(QUESTION)) == 1


# --- Workflow mode -------------------------------------------------------------------------------


@both_search_styles
def test_a_workflow_gives_its_documents(coze: LocalCoze, search: SearchStyle) -> None:
    found = search(make_workflow_retriever(coze), QUESTION)
    assert sorted(get_texts(found)) == sorted(TEXTS)
    assert int(found[0].metadata["document_id"]) > 2**53
    assert [document.metadata["rank"] for document in found] == [1, 2, 3]
    (request,) = coze.requests
    assert (request.method, request.path) == ("POST", "/v1/workflow/run")
    assert request.body == {"workflow_id": FLOW.workflow_id, "parameters": {"input": QUESTION}}
    assert search(make_workflow_retriever(coze, k=2), QUESTION) == found[:2]
    assert search(make_workflow_retriever(coze), QUESTION, k=1) == found[:1]


@both_search_styles
def test_the_bot_of_the_environment_is_not_used_for_a_workflow(
    coze: LocalCoze, search: SearchStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COZE_BOT_ID", BOT.bot_id)
    assert len(search(make_workflow_retriever(coze), QUESTION)) == 3
    assert "bot_id" not in coze.requests[0].body
    search(
        make_workflow_retriever(
            coze, bot_id=BOT.bot_id, user_id="7", parameters={}, bot_version="3"
        ),
        QUESTION,
    )
    sent = coze.requests[1].body
    assert (sent["bot_id"], sent["ext"]) == (BOT.bot_id, {"user_id": "7"})
    assert sent["workflow_version"] == "3"


@both_search_styles
def test_other_names_and_shapes_of_a_workflow_can_be_configured(
    coze: LocalCoze, search: SearchStyle
) -> None:
    retriever = make_workflow_retriever(
        coze, OTHER, query_parameter="question", output_path="data.hits"
    )
    found = search(retriever, QUESTION, score_threshold=0.75)
    assert get_texts(found) == TEXTS[:2]
    assert found[1].metadata["score"] == pytest.approx(0.8)
    retriever = make_workflow_retriever(coze, PLAIN, query_parameter="question")
    assert get_texts(search(retriever, QUESTION)) == TEXTS
    with pytest.warns(UserWarning, match="no scores"):
        assert len(search(retriever, QUESTION, score_threshold=0.5)) == 3


@both_search_styles
def test_a_workflow_that_finds_nothing_gives_no_documents(
    coze: LocalCoze, search: SearchStyle
) -> None:
    assert search(make_workflow_retriever(coze), "zzz") == []


@both_search_styles
def test_a_wrong_output_path_is_refused(coze: LocalCoze, search: SearchStyle) -> None:
    with pytest.raises(CozeInvalidRequestError, match="keys outputList") as caught:
        search(make_workflow_retriever(coze, output_path="hits"), QUESTION)
    assert caught.value.logid
    assert caught.value.debug_url
    with pytest.raises(CozeInvalidRequestError, match=r"several lists: data\.hits, others"):
        search(make_workflow_retriever(coze, OTHER, query_parameter="question"), QUESTION)


@both_search_styles
def test_a_workflow_that_fails_is_a_recall_error(coze: LocalCoze, search: SearchStyle) -> None:
    with pytest.raises(CozeRecallError, match="the node is broken") as caught:
        search(make_workflow_retriever(coze, FAILS, query_parameter="question"), QUESTION)
    assert caught.value.code
    assert caught.value.logid
    with pytest.raises(CozeInvalidRequestError, match="query_parameter"):
        search(make_workflow_retriever(coze, OTHER), QUESTION)  # it has no such parameter


@both_search_styles
def test_an_unknown_workflow_is_not_found(coze: LocalCoze, search: SearchStyle) -> None:
    with pytest.raises(CozeNotFoundError):
        search(make_workflow_retriever(coze, workflow_id="7000000000000000001"), QUESTION)


@both_search_styles
def test_a_wrong_token_is_an_authentication_error(coze: LocalCoze, search: SearchStyle) -> None:
    for retriever in (
        make_retriever(coze, api_key="pat_wrong"),
        make_workflow_retriever(coze, api_key="pat_wrong"),
    ):
        with pytest.raises(CozeAuthenticationError):
            search(retriever, QUESTION)


# --- What cannot be searched ---------------------------------------------------------------------


@both_search_styles
@pytest.mark.parametrize(
    ("query", "kwargs", "message"),
    [
        ("", {}, "The query is empty"),
        (" \n", {}, "The query is empty"),
        ({"question": "Tea?"}, {}, "The query is of type dict"),
        (None, {}, "The query is of type NoneType"),
        ("Tea?", {"k": 0}, "k is 0"),
        ("Tea?", {"k": -1}, "k is -1"),
        ("Tea?", {"k": "3"}, "k is '3'"),
        ("Tea?", {"k": True}, "k is True"),
        ("Tea?", {"score_threshold": -0.1}, "score_threshold is -0.1"),
        ("Tea?", {"score_threshold": float("nan")}, "score_threshold is nan"),
        ("Tea?", {"score_threshold": "high"}, "score_threshold is 'high'"),
    ],
)
def test_bad_input_is_refused_before_any_request(
    coze: LocalCoze, search: SearchStyle, query: Any, kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(CozeInvalidRequestError, match=message):
        search(make_retriever(coze), query, **kwargs)
    assert coze.requests == []


@both_search_styles
def test_a_very_long_query_is_sent_as_it_is(coze: LocalCoze, search: SearchStyle) -> None:
    query = "Where does tea grow? " * 20_000
    assert search(make_retriever(coze), query)
    assert coze.requests[0].body["additional_messages"][0]["content"] == query


@both_search_styles
def test_unknown_arguments_of_a_call_are_warned_about(coze: LocalCoze, search: SearchStyle) -> None:
    with pytest.warns(UserWarning, match="CozeRecallRetriever has no argument top"):
        search(make_retriever(coze), QUESTION, top=3)
    with pytest.warns(UserWarning, match="accepts recall_grace only in its constructor"):
        search(make_retriever(coze), QUESTION, recall_grace=3)


# --- In a graph ----------------------------------------------------------------------------------


def test_a_search_stays_out_of_the_user_s_conversation(coze: LocalCoze) -> None:
    config = {"configurable": {"coze_conversation_id": "7516861345346813988"}}
    assert make_retriever(coze).invoke(QUESTION, config)  # type: ignore[arg-type] # a dict is one
    assert coze.requests[0].query == {}


@both_search_styles
def test_a_search_may_be_put_into_a_conversation(coze: LocalCoze, search: SearchStyle) -> None:
    made = (
        make_chat(coze, QUICK)
        .invoke("Hi", auto_save_history=True)
        .response_metadata["conversation_id"]
    )
    for _ in range(2):  # the first has released the lock of the conversation
        search(make_retriever(coze, QUICK, conversation_id=made, max_duration=5), QUESTION)
    assert coze.requests[-1].query == {"conversation_id": made}


def test_threads_share_a_retriever(coze: LocalCoze) -> None:
    retriever, found = make_retriever(coze, k=1), list[int]()
    threads = [
        threading.Thread(target=lambda: found.append(len(retriever.invoke(QUESTION))))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 20


def test_traces_show_no_secret(coze: LocalCoze) -> None:

    retriever = make_retriever(coze)
    assert coze.token not in dumps(retriever)
    assert json.loads(dumps(retriever))["kwargs"]["api_key"]["id"] == ["COZE_API_TOKEN"]
