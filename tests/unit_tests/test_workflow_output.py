from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_coze._convert.recall import parse_items, to_documents
from langchain_coze._convert.workflow_output import find_list, unwrap
from langchain_coze.errors import CozeInvalidRequestError

# wire 3.5: the output of a knowledge node; the id is above 2^53
FOUND = [{"documentId": 7611709418610606118, "output": "Tea grows on hills."}]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # wire 4.2, the sample of the API page
        (
            '{"output":"北京的经度为116.4074°E，纬度为39.9042°N。"}',
            {"output": "北京的经度为116.4074°E，纬度为39.9042°N。"},
        ),
        ('{"content_type":1,"data":"text","original_result":null,"type_for_model":2}', "text"),
        ('{"content_type":1,"data":"text","type_for_model":2}', "text"),
        ('{"content_type":1,"data":"text"}', {"content_type": 1, "data": "text"}),
        ("123", 123),
        ("plain text", "plain text"),
        ("{broken", "{broken"),
        ("", ""),
    ],
)
def test_data_is_unwrapped(data: str, value: Any) -> None:
    assert unwrap(data) == value


@pytest.mark.parametrize(
    "output",
    [
        {"outputList": FOUND},
        {"outputList": FOUND, "others": [1]},
        {"result": FOUND},
        {"result": {"outputList": FOUND}, "others": [1]},
        {"result": json.dumps(FOUND)},
        json.dumps(FOUND),
        json.dumps({"outputList": FOUND}),
        {"a": {"b": {"c": FOUND}}, "text": "[not json"},
        FOUND,
    ],
)
def test_the_list_is_found_at_any_depth(output: Any) -> None:
    assert find_list(output) == FOUND


@pytest.mark.parametrize(
    ("path", "output"),
    [
        ("hits", {"hits": FOUND, "outputList": []}),
        ("data.hits", {"data": {"hits": FOUND}}),
        ("data.hits", {"data": json.dumps({"hits": json.dumps(FOUND)})}),
        ("all.1", {"all": [[], FOUND]}),
        ("best", {"best": FOUND[0]}),
    ],
)
def test_a_path_leads_to_the_list(path: str, output: Any) -> None:
    assert find_list(output, path) == FOUND


@pytest.mark.parametrize(
    ("output", "path"),
    [
        ({"outputList": []}, None),
        ({"outputList": None}, None),
        ({"outputList": ""}, None),
        ({"hits": None}, None),
        ({"hits": None, "count": 0}, None),
        ({"output": {"outputList": None}}, None),
        ({"hits": None}, "hits"),
        ({"hits": ""}, "hits"),
        ([], None),
    ],
)
def test_empty_outputs_give_no_chunks(output: Any, path: str | None) -> None:
    assert find_list(output, path) == []


@pytest.mark.parametrize(
    ("output", "path", "message"),
    [
        ({"a": [1], "b": {"c": [2]}}, None, r"several lists: a, b\.c"),
        ({"x": {"outputList": []}, "y": {"outputList": []}}, None, r"several lists: x\.out.*, y"),
        ({"answer": "Tea"}, None, "no list: it is an object with the keys answer"),
        ("Tea", None, "no list: it is text"),
        ({}, None, "an empty object"),
        (None, None, "nothing"),
        ("", None, "it is nothing"),
        (7, None, "a value of type int"),
        (
            {"a": {"b": 1}},
            "a.c",
            r"'a\.c' does not lead to a list .* 'c' is an object with the keys b",
        ),
        ({"a": {"b": 1}}, "a.b", "does not lead to a list"),
        ({"a": [1]}, "a.1", "does not lead to a list"),
        ({"a": [1]}, "a.²", "does not lead to a list"),
    ],
)
def test_an_output_without_a_list_is_rejected_with_a_reason(
    output: Any, path: str | None, message: str
) -> None:
    with pytest.raises(CozeInvalidRequestError, match=message):
        find_list(output, path)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=10,
)


@given(junk, st.none() | st.text(max_size=6))
def test_any_output_gives_a_list_or_our_error(output: Any, path: str | None) -> None:
    try:
        found = find_list(output, path)
    except CozeInvalidRequestError:
        return
    assert isinstance(found, list)


# --- Items to documents --------------------------------------------------------------------------


def test_items_of_a_knowledge_node_give_chunks() -> None:
    (document,) = to_documents(parse_items(FOUND).chunks)
    assert document.page_content == "Tea grows on hills."
    assert document.metadata == {"document_id": "7611709418610606118", "rank": 1}
    assert document.id


def test_items_of_a_knowledge_node_may_be_json_text() -> None:
    assert parse_items([json.dumps(item) for item in FOUND]) == parse_items(FOUND)
    row = '{"name":"tea","output":"green"}'  # a row of a table
    assert parse_items([row]).chunks[0]["page_content"] == row


def test_texts_give_chunks_and_empty_ones_are_reported() -> None:
    found = parse_items(["Tea.", "", "Rice."])
    assert [chunk["page_content"] for chunk in found.chunks] == ["Tea.", "Rice."]
    assert [chunk["metadata"]["rank"] for chunk in found.chunks] == [1, 2]
    assert found.parse_error == "1 of its 3 items have no text"


def test_items_of_other_nodes_keep_their_values() -> None:
    item = {
        "content": "Tea.",
        "score": "0.5",
        "document_name": "tea.md",
        "url": "https://h/p?a=1\\u0026b=2",
        "page": 3,
        "rank": 9,
        "nested": {"dropped": 1},
        "ori_req": "SECRET",
        "user_id": "SECRET",
        "connector_uid": "SECRET",
    }
    (chunk,) = parse_items([item]).chunks
    assert chunk["metadata"] == {
        "score": 0.5,
        "source": "https://h/p?a=1&b=2",
        "title": "tea.md",
        "document_name": "tea.md",
        "link": "https://h/p?a=1&b=2",
        "page": 3,
        "rank": 1,
    }


def test_chunks_of_a_recall_are_read() -> None:
    chunk = {"slice": "Tea.", "score": 0.5, "meta": {"document": {"id": "7", "name": "tea"}}}
    (read,) = parse_items([{**chunk, "ori_req": "SECRET", "more": "x"}]).chunks
    assert read["metadata"] == {
        "score": 0.5,
        "source": "tea",
        "title": "tea",
        "document_id": "7",
        "document_name": "tea",
        "more": "x",
        "rank": 1,
    }


@pytest.mark.parametrize(
    "item",
    [
        {"output": None, "content": "Tea."},
        {"output": "Tea.", "meta": {"document": {"id": "7"}}},
        {"output": "Tea.", "coze_api_key_owner_id": "SECRET", "bot_context": "SECRET"},
        {"output": "Tea.", "connectorUid": "SECRET", "space_id": "SECRET", "ori_req": "SECRET"},
    ],
)
def test_unusual_items_are_read(item: dict[str, Any]) -> None:
    found = parse_items([item])
    assert [chunk["page_content"] for chunk in found.chunks] == ["Tea."]
    assert not found.parse_error
    assert "SECRET" not in str(found)


@given(st.lists(junk, max_size=5), st.lists(junk, max_size=5))
def test_a_bad_item_never_loses_a_good_one(before: list[Any], after: list[Any]) -> None:
    found = parse_items([*before, *FOUND, *after])
    assert "Tea grows on hills." in [chunk["page_content"] for chunk in found.chunks]
    json.dumps(found.chunks, allow_nan=False)


@given(st.dictionaries(st.sampled_from(["output", "documentId", "score", "url", "title"]), junk))
def test_any_item_is_accepted(item: dict[str, Any]) -> None:
    for document in to_documents(parse_items([item]).chunks):
        assert document.page_content == item["output"]
