from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from langchain_coze import recalled_documents
from langchain_coze._convert.recall import Recall, parse_recall, to_citations
from tests.unit_tests.wire_fixtures import RECALL

# wire 3.1: the levels of a recall recorded on coze.cn, with the account data that Coze leaks
CHUNK = {
    "slice": "text of the chunk",
    "score": 0.50244140625,
    "meta": {
        "dataset": {"id": "7611703448279351315", "name": "customer_data"},
        "document": {
            "id": "7611709418610606118",
            "name": "customer_data",
            "format_type": 0,
            "source_type": 2,
        },
        "link": {"title": "customer_data_customer_data", "url": ""},
        "card": {"title": "customer_data", "con": "text of the chunk", "index": "1"},
    },
}
DATA = {"chunks": [CHUNK], "ori_req": '{"coze_api_key_id":"SECRET"}', "status_code": 0}


def make_content(data: Any, **outer: Any) -> str:
    return json.dumps({"msg_type": "knowledge_recall", "data": data, **outer})


def test_a_recall_of_the_hosted_service_gives_chunks() -> None:
    recall = parse_recall(
        "verbose", make_content(json.dumps(DATA), from_module=None, from_unit=None)
    )
    assert recall is not None
    (chunk,) = recall.chunks
    assert recall.status_code == 0
    assert chunk["page_content"] == "text of the chunk"
    assert chunk["metadata"] == {
        "score": 0.50244140625,
        "source": "customer_data",
        "title": "customer_data_customer_data",
        "dataset_id": "7611703448279351315",
        "dataset_name": "customer_data",
        "document_id": "7611709418610606118",
        "document_name": "customer_data",
        "link": "",
        "format_type": 0,
        "source_type": 2,
        "rank": 1,
    }
    assert "SECRET" not in str(recall)


def test_a_recall_is_read_from_the_recorded_stream() -> None:
    message = json.loads(RECALL.split(b"\ndata:")[1])
    recall = parse_recall(message["type"], message["content"])
    assert recall is not None
    assert recall.chunks[0]["metadata"]["link"] == "https://h/p?a=1&b=2"
    assert recall.chunks[0]["metadata"]["source"] == "https://h/p?a=1&b=2"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("knowledge", make_content(json.dumps(DATA))),  # Studio
        ("verbose", make_content(DATA)),  # the inner level already an object
        ("verbose", json.dumps({"verbose_type": "knowledge", "chunks": [CHUNK]})),  # deprecated
    ],
)
def test_every_variant_of_a_recall_is_read(kind: str, content: str) -> None:
    recall = parse_recall(kind, content)
    assert recall is not None
    assert recall.chunks[0]["metadata"]["score"] == 0.50244140625


def test_old_plain_text_is_one_chunk_without_a_score() -> None:
    recall = parse_recall("knowledge", "---\nrecall slice 1:xxxxxxx\n")
    assert recall is not None
    (chunk,) = recall.chunks
    assert chunk["page_content"] == "---\nrecall slice 1:xxxxxxx\n"
    assert "score" not in chunk["metadata"]


@pytest.mark.parametrize("chunks", [[], None])
def test_an_empty_recall_has_no_chunks(chunks: Any) -> None:
    assert parse_recall("verbose", make_content(json.dumps({"chunks": chunks}))) == Recall([], 0)


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        ('{"chunks":"junk"}', "its chunks are not a list"),
        ('{"chunks":{}}', "its chunks are not a list"),
        ('{"chunks":[{"score":1},{"slice":"good"}]}', "1 of its 2 chunks have no text"),
        ('{"chunks":[{"slice":"good"},{"sli', "its JSON is broken"),
        ('{"chunks":[{"slice":"good"},{"slice":oops},{"slice":"well"}]}', "its JSON is broken"),
        ("[]", "it is not a JSON object"),
        ("", "it is not a JSON object"),
        ("junk", "it is not a JSON object"),
    ],
)
def test_a_parse_error_is_reported_and_loses_nothing_else(data: str, damage: str) -> None:
    recall = parse_recall("verbose", make_content(data))
    assert recall is not None
    assert recall.parse_error == damage
    assert len(recall.chunks) == data.count("good") + data.count("well")


def test_a_failed_search_is_reported() -> None:
    content = make_content(json.dumps({"chunks": [], "status_code": 708882003}))
    recall = parse_recall("verbose", content)
    assert recall is not None
    assert recall.status_code == 708882003


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("answer", make_content(json.dumps(DATA))),
        ("verbose", ""),
        ("verbose", "empty result"),
        ("verbose", '{"msg_type":"generate_answer_finish","data":""}'),
        ("verbose", "[1]"),
        ("knowledge", ""),
    ],
)
def test_other_messages_are_not_recalls(kind: str, content: str) -> None:
    assert parse_recall(kind, content) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
parts = st.dictionaries(st.sampled_from(["dataset", "document", "link", "card"]), junk)


@given(st.lists(junk, max_size=5), st.lists(junk, max_size=5), junk)
def test_a_bad_chunk_never_loses_a_good_one(before: list[Any], after: list[Any], rest: Any) -> None:
    data = {"chunks": [*before, CHUNK, *after], "ori_req": rest, "status_code": rest}
    recall = parse_recall("verbose", make_content(json.dumps(data)))
    assert recall is not None
    assert "text of the chunk" in [chunk["page_content"] for chunk in recall.chunks]


@given(meta=junk | parts, score=junk)
def test_a_chunk_with_strange_details_keeps_its_text(meta: Any, score: Any) -> None:
    data = {"chunks": [{"slice": "s", "score": score, "meta": meta}]}
    recall = parse_recall("verbose", make_content(json.dumps(data)))
    assert recall is not None
    assert [chunk["page_content"] for chunk in recall.chunks] == ["s"]
    json.dumps(recall.chunks, allow_nan=False)


@given(st.sampled_from(["verbose", "knowledge", "answer"]), junk | st.text())
def test_any_content_is_accepted(kind: str, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    recall = parse_recall(kind, text)
    assert recall is None or isinstance(recall.chunks, list)


def test_a_payload_cut_anywhere_keeps_the_chunks_before_the_cut() -> None:
    chunks = [{**CHUNK, "slice": f"number {number}"} for number in range(3)]
    data = json.dumps({"chunks": chunks, "status_code": 0})
    one = data.index(json.dumps(chunks[1]))
    for cut in range(one, len(data)):
        recall = parse_recall("verbose", make_content(data[:cut]))
        assert recall is not None
        assert recall.chunks[0]["page_content"] == "number 0"
    whole = make_content(data)
    recall = parse_recall("verbose", whole[:-5])
    assert recall is not None
    assert len(recall.chunks) >= 2


def test_chunks_are_found_in_invalid_json() -> None:
    chunks = [
        f'{{"slice":"{text}","score":0.5,"meta":{{"document":{{"id":"{text}"}}}}}}'
        for text in ("one", "bad \\x", "three")
    ]
    data = f'{{"status_code":0,"chunks":[{",".join(chunks)}]}}'
    recall = parse_recall("verbose", make_content(data))
    assert recall is not None
    assert [found["page_content"] for found in recall.chunks] == ["one", "three"]
    assert recall.parse_error


@pytest.mark.parametrize("broken", ['"from_module":nul}', '"x":"\\x"}', "oops}"])
def test_a_recall_in_a_broken_message_is_a_recall(broken: str) -> None:
    whole = make_content(json.dumps(DATA))
    recall = parse_recall("verbose", f"{whole[:-1]},{broken}")
    assert recall is not None
    assert [chunk["page_content"] for chunk in recall.chunks] == ["text of the chunk"]
    assert recall.parse_error
    recall = parse_recall("verbose", '{"msg_type":"knowledge_recall","data":nul}')
    assert recall is not None
    assert (recall.chunks, recall.parse_error) == ([], "it is not a JSON object")


def test_line_breaks_in_a_text_are_not_damage() -> None:
    recall = parse_recall("verbose", make_content('{"chunks":[{"slice":"a\nb"}]}'))
    assert recall is not None
    assert (recall.chunks[0]["page_content"], recall.parse_error) == ("a\nb", "")


@pytest.mark.parametrize(
    "content", ['{"chunks":[' + '{"slice":[1,1,' * 20_000 + "x", '{"slice":' * 60_000]
)
def test_hostile_payloads_are_rejected_quickly(content: str) -> None:
    begin = time.process_time()
    recall = parse_recall("verbose", make_content(content))
    assert recall is not None
    assert recall.chunks == []
    assert time.process_time() - begin < 2


@pytest.mark.parametrize("text", ['{"name": "table row"}', "{{name}} is the template", "5", "[1]"])
def test_plain_text_may_look_like_json(text: str) -> None:
    recall = parse_recall("knowledge", text)
    assert recall is not None
    assert [chunk["page_content"] for chunk in recall.chunks] == [text]


def test_junk_in_the_metadata_of_a_message_is_ignored() -> None:
    junk: list[Any] = [None, 5, "x", {}, {"page_content": 5}, {"page_content": "good"}]
    message = AIMessage("", response_metadata={"knowledge_recall": junk})
    assert [found.page_content for found in recalled_documents(message)] == ["good"]


def test_documents_of_one_name_are_two_sources() -> None:
    chunks = [{"slice": "a", "meta": {"document": {"id": n, "name": "faq"}}} for n in "12"]
    recall = parse_recall("verbose", make_content(json.dumps({"chunks": chunks})))
    assert recall is not None
    assert len(to_citations(recall.chunks)) == 2


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://h/p?a=1&b=2", "https://h/p?a=1&b=2"),
        ("https://h/p?a=1\\u0026b=2", "https://h/p?a=1&b=2"),
        ("https://h/p?a=1u0026b=2", "https://h/p?a=1&b=2"),
        ("https://h/u0026/x", "https://h/u0026/x"),
        ("https://h/p?a=1&u0026=2", "https://h/p?a=1&u0026=2"),
    ],
)
def test_ampersands_of_links_are_unescaped(url: str, link: str) -> None:
    data = {"chunks": [{"slice": url, "meta": {"link": {"url": url}}}]}
    recall = parse_recall("verbose", make_content(json.dumps(data)))
    assert recall is not None
    assert recall.chunks[0]["metadata"]["link"] == link
    assert recall.chunks[0]["page_content"] == url


def test_documents_have_stable_ids_and_own_metadata() -> None:
    first, second = (
        parse_recall("verbose", make_content(json.dumps(DATA)), rank=r) for r in (1, 5)
    )
    assert first is not None
    assert second is not None
    assert first.chunks[0]["id"] == second.chunks[0]["id"]
    assert second.chunks[0]["metadata"]["rank"] == 5
    message = AIMessage("x", response_metadata={"knowledge_recall": first.chunks})
    (document,) = recalled_documents(message)
    document.metadata["score"] = 7
    assert recalled_documents(message)[0].metadata["score"] == 0.50244140625
    assert document.id == first.chunks[0]["id"]


def test_messages_without_a_recall_have_no_documents() -> None:
    assert recalled_documents(AIMessage("x")) == []
    assert recalled_documents(AIMessage("x", response_metadata={"knowledge_recall": None})) == []


def test_each_source_is_cited_once_by_its_best_chunk() -> None:
    def chunk(text: str, source: str | None) -> dict[str, Any]:
        metadata = {"source": source, "score": 0.5} if source else {}
        return {"id": text, "page_content": text, "metadata": metadata}

    found = to_citations([chunk("a", "s1"), chunk("b", "s1"), chunk("c", "s2"), chunk("d", None)])
    assert [c["cited_text"] for c in found] == ["a", "c", "d"]
