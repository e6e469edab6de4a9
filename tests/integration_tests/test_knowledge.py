"""CozeKnowledge against the local server: adding, replacing, waiting, deleting, failing."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from pydantic import ValidationError

from langchain_coze import (
    CozeAuthenticationError,
    CozeConnectionError,
    CozeContentError,
    CozeError,
    CozeInvalidRequestError,
    CozeKnowledge,
    CozeKnowledgeError,
    CozeNotFoundError,
    CozePermissionError,
    CozeQuotaError,
    CozeRecallRetriever,
    CozeServerError,
    CozeTimeoutError,
)
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge, knowledge_workflow
from langchain_coze.local.wire.datasets import UploadedDocument
from tests.conftest import serve
from tests.integration_tests.scripted_server import serve_script

PLANTS = LocalKnowledge((), name="plants", k=10)
coze = serve(
    LocalBot(knowledge=PLANTS),
    workflows=knowledge_workflow(PLANTS, name="find"),
    more_tokens=["pat_other"],
)
CREATE, LIST, DELETE = (
    f"/open_api/knowledge/document/{verb}" for verb in ("create", "list", "delete")
)
TEA = Document("Tea grows on hills.", metadata={"title": "Tea", "n": 1}, id="tea")
RICE = Document("Rice grows in water.", metadata={"source": "rice.md"}, id="rice")
MINT = Document("Mint grows in shade.", id="mint")


@pytest.fixture(autouse=True)
def _empty() -> None:
    PLANTS.documents.clear()


def make(coze: LocalCoze, **fields: Any) -> CozeKnowledge:
    defaults = {
        "dataset_id": PLANTS.dataset_id,
        "api_key": coze.token,
        "base_url": coze.base_url,
        "poll_interval": 0.02,
        "max_retries": 0,
    }
    return CozeKnowledge(**{**defaults, **fields})


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call a method of an object, or its asynchronous twin."""

    def run(target: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        if request.param == "sync":
            return getattr(target, name)(*args, **kwargs)
        return asyncio.run(getattr(target, f"a{name}")(*args, **kwargs))

    return run


def list_paths(coze: LocalCoze) -> list[str]:
    return [request.path.rpartition("/")[2] for request in coze.requests]


def list_bases(coze: LocalCoze) -> list[list[Any]]:
    return [r.body["document_bases"] for r in coze.requests if r.path == CREATE]


def list_names() -> list[str]:
    return [document.name for document in PLANTS.documents.values()]


# --- Adding --------------------------------------------------------------------------------------


def test_what_is_added_is_listed_and_found(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    assert call(knowledge, "add_documents", [TEA, RICE, MINT]) == ["tea", "rice", "mint"]
    tea, rice, mint = call(knowledge, "documents")
    assert (tea.id, tea.name, tea.status, tea.progress) == ("tea", "Tea", "done", 100)
    assert (tea.slice_count, tea.char_count) == (1, len(TEA.page_content))
    assert tea.document_id in PLANTS.documents
    assert (rice.name, mint.name) == ("rice.md", "Mint grows in shade.")
    account = {"api_key": coze.token, "base_url": coze.base_url}
    for target in ({"bot_id": coze.bots[0].bot_id}, {"workflow_id": coze.workflows[0].workflow_id}):
        retriever = CozeRecallRetriever(**account, **target)
        found = call(retriever, "invoke", "Where does tea grow?")
        assert found[0].page_content == TEA.page_content
    found = call(CozeRecallRetriever(**account, bot_id=coze.bots[0].bot_id), "invoke", "tea hills")
    assert found[0].metadata["document_name"] == found[0].metadata["source"] == "Tea"
    assert found[0].metadata["title"] == "plants_Tea"


def test_a_request_has_at_most_ten_documents(call: Callable[..., Any], coze: LocalCoze) -> None:
    seen: list[tuple[int, int]] = []
    documents = [Document(f"text {n}") for n in range(23)]
    strategy = {"chunk_type": 1, "separator": "\n", "max_tokens": 500}
    ids = call(
        make(coze, chunk_strategy=strategy),
        "add_documents",
        documents,
        wait=False,
        progress=lambda *numbers: seen.append(numbers),
    )
    assert len(set(ids)) == 23
    assert [len(bases) for bases in list_bases(coze)] == [10, 10, 3]
    assert list_paths(coze) == ["create"] * 3  # new ids need no list
    assert {str(r.body["chunk_strategy"]) for r in coze.requests} == {str(strategy)}
    assert {r.headers["agw-js-conv"] for r in coze.requests} == {"str"}
    assert {r.body["format_type"] for r in coze.requests} == {0}
    assert seen == [(10, 23), (20, 23), (23, 23)]


def test_a_request_is_not_larger_than_coze_takes(coze: LocalCoze) -> None:
    files = [(f"{n}.txt", bytes([48 + n]) * 4_000_000) for n in range(4)]
    make(coze).add_files(files)
    assert [len(bases) for bases in list_bases(coze)] == [2, 2]


def test_processing_is_waited_for_and_reported(call: Callable[..., Any], coze: LocalCoze) -> None:
    coze.faults = "slow_processing=0.2"
    seen: list[tuple[int, int]] = []
    call(make(coze), "add_documents", [TEA, RICE], progress=lambda *pair: seen.append(pair))
    assert seen[-1] == (2, 2)
    assert all(document.is_ready for document in PLANTS.documents.values())
    assert list_paths(coze).count("process") > 2


def test_waiting_can_be_left_for_later(call: Callable[..., Any], coze: LocalCoze) -> None:
    coze.faults = "slow_processing=0.2"
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA], wait=False)
    (document,) = call(knowledge, "documents")
    assert (document.status, document.progress < 100) == ("processing", True)
    call(knowledge, "wait_processed")
    assert call(knowledge, "documents")[0].status == "done"
    call(knowledge, "wait_processed", ["tea"])


def test_files_and_pages_are_added(
    call: Callable[..., Any], coze: LocalCoze, tmp_path: Path
) -> None:
    path = tmp_path / "tea.TXT"
    path.write_text("Tea grows on hills.", "utf-8")
    knowledge = make(coze)
    files = [path, str(path), ("report.pdf", b"%PDF-1.7")]
    ids = call(knowledge, "add_files", files, ids=["a", "b", "c"])
    url = "https://example.com/tea"
    ids += call(knowledge, "add_urls", [url], ids=["page"], update_interval=24)
    assert ids == ["a", "b", "c", "page"]
    names = [document.name for document in call(knowledge, "documents")]
    assert names == ["tea.TXT", "tea.TXT", "report.pdf", url]
    first, second = list_bases(coze)
    assert [base["source_info"]["file_type"] for base in first] == ["txt", "txt", "pdf"]
    assert second[0]["source_info"] == {"web_url": url, "document_source": 1}
    assert second[0]["update_rule"] == {"update_type": 1, "update_interval": 24}


def test_a_known_id_replaces_its_document(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    call(knowledge, "upsert", [TEA, RICE])
    coze.reset()
    changed = TEA.model_copy(update={"page_content": "Tea is a drink."})
    assert call(knowledge, "upsert", [changed]) == {"succeeded": ["tea"], "failed": []}
    # The new one is in before the old one is deleted.
    assert list_paths(coze) == ["list", "create", "process", "delete"]
    assert [d.id for d in call(knowledge, "documents")] == ["rice", "tea"]
    assert PLANTS.search("drink")[0].slice == "Tea is a drink."
    assert PLANTS.search("hills") == []


def test_what_is_in_is_not_sent_again(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    call(knowledge, "upsert", [TEA, RICE])
    coze.reset()
    call(knowledge, "upsert", [TEA, MINT, RICE])
    assert [[base["name"][:4] for base in bases] for bases in list_bases(coze)] == [["Mint"]]
    assert "delete" not in list_paths(coze)


def test_a_page_is_read_again(coze: LocalCoze) -> None:
    for _ in range(2):
        make(coze).add_urls(["https://example.com/"], ids=["page"])
    assert len(list_bases(coze)) == 2
    assert len(PLANTS.documents) == 1


def test_leftovers_of_a_broken_replacement_are_deleted(coze: LocalCoze) -> None:
    knowledge = make(coze)
    knowledge.upsert([TEA])
    coze.faults = f"error=5000,on={DELETE}"
    changed = TEA.model_copy(update={"page_content": "Tea is a drink."})
    with pytest.raises(CozeServerError) as caught:
        knowledge.upsert([changed])
    assert (caught.value.failed, caught.value.succeeded) == ({}, ["tea"])
    assert len(PLANTS.documents) == 2
    coze.faults = ()
    knowledge.upsert([changed])
    assert len(PLANTS.documents) == 1


@pytest.mark.parametrize(
    ("title", "record_id"),
    [
        ("How [lc: works.md", "plain"),
        ("[lc:a:0123456789ab]", "[lc:x:y]"),
        ("t", "a]b[lc:1:2"),
        ("~", "~tea"),
        ("~", "~~tea"),
        ("~", "~dGVh"),
        ("a hash", "0a" * 32),
        ("a long hash", "ff" * 64),
        ("an odd hash", "f" * 65),
        ("nul\0", "nul"),
    ],
)
def test_any_title_and_id_is_found_again(coze: LocalCoze, title: str, record_id: str) -> None:
    knowledge = make(coze)
    for text in ("old", "new"):
        knowledge.add_documents([Document(text, id=record_id, metadata={"title": title})])
        assert [d.id for d in knowledge.documents()] == [record_id]
    assert len(knowledge.documents()[0].name) > 0
    assert knowledge.delete([record_id])["num_deleted"] == 1
    assert not PLANTS.documents


def test_a_hash_leaves_room_for_the_end_of_a_path(coze: LocalCoze) -> None:
    """As `index` makes them with `key_encoder="sha256"`."""
    knowledge = make(coze)
    paths = [f"reports/2025/west/china/hangzhou/tea/{name}.md" for name in ("sales", "costs")]
    for number, path in enumerate(paths):
        knowledge.add_documents([Document("x", id=f"{number:064x}", metadata={"source": path})])
    names = [d.name for d in knowledge.documents()]
    assert [name.rpartition("/")[2] for name in names] == ["sales.md", "costs.md"]
    assert all(name.startswith("…") and len(name) >= 35 for name in names)
    assert all(len(name) <= 100 for name in list_names())


def test_a_name_holds_the_longest_id(coze: LocalCoze) -> None:
    knowledge = make(coze)
    long = Document("text", id="f" * 128, metadata={"title": "lost"})
    odd = Document("text", id="a:b [lc:x:0123456789ab] 茶", metadata={"title": "t" * 300})
    knowledge.upsert([long, odd])
    assert [d.id for d in knowledge.documents()] == [long.id, odd.id]
    assert len(list_names()[1]) <= 100
    # Coze may append the file type, as in its sample.
    for document in PLANTS.documents.values():
        document.name += ".txt"
    assert [d.id for d in knowledge.documents()] == [long.id, odd.id]
    assert knowledge.documents()[0].name == long.id


# --- Deleting ------------------------------------------------------------------------------------


def test_documents_are_deleted_by_id(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    call(knowledge, "upsert", [TEA, RICE, MINT])
    foreign = PLANTS.add(UploadedDocument("by hand.txt", "txt", b"By hand."), {"chunk_type": 0})
    reply = call(knowledge, "delete", ["nobody", "tea", foreign.id, "tea"])
    deleted = ["tea", foreign.id]
    assert reply == {"num_deleted": 2, "succeeded": deleted, "num_failed": 0, "failed": []}
    assert [d.id for d in call(knowledge, "documents")] == ["rice", "mint"]
    assert call(knowledge, "delete", [])["num_deleted"] == 0


def test_many_documents_are_deleted_in_requests_of_a_hundred(coze: LocalCoze) -> None:
    knowledge = make(coze)
    ids = knowledge.add_documents([Document(f"text {n}") for n in range(130)], wait=False)
    coze.reset()
    assert knowledge.delete(ids)["num_deleted"] == 130
    sizes = [len(r.body["document_ids"]) for r in coze.requests if r.path == DELETE]
    assert sizes == [100, 30]


def test_a_document_that_is_gone_meanwhile_is_no_failure(coze: LocalCoze) -> None:
    knowledge = make(coze)
    knowledge.upsert([TEA, RICE])
    infos = [document.as_json() for document in PLANTS.documents.values()]
    tea, rice = (info["document_id"] for info in infos)
    listing = {"code": 0, "document_infos": infos, "msg": "", "total": 2}
    replies = [
        listing,
        {"code": 4200, "msg": "document does not exist"},
        listing | {"document_infos": infos[1:], "total": 1},
        {"code": 0, "msg": ""},
    ]
    with serve_script(replies=[json.dumps(r).encode() for r in replies]) as server:
        reply = make(coze, base_url=server.base_url).delete(["tea", "rice"])
    assert reply["succeeded"] == ["tea", "rice"]
    assert server.bodies[1] == {"document_ids": [tea, rice]}
    assert server.bodies[3] == {"document_ids": [rice]}


# --- Failures ------------------------------------------------------------------------------------


def test_one_refused_document_does_not_lose_the_others(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    documents = [Document(f"text {n}", id=str(n)) for n in range(12)]
    coze.faults = f"error=4000,on={CREATE},times=2"  # the request, then its first document
    with pytest.raises(CozeInvalidRequestError, match="Request parameter error") as caught:
        call(make(coze), "upsert", documents)
    error = caught.value
    assert error.failed == {"0": "Request parameter error"}
    assert error.succeeded == [str(n) for n in range(1, 12)]
    assert error.code == 4000
    assert "succeeded" in str(error)
    assert len(PLANTS.documents) == 11
    coze.faults = ()
    coze.reset()
    call(make(coze), "upsert", documents)
    assert [len(bases) for bases in list_bases(coze)] == [1]


def test_a_knowledge_base_that_takes_nothing_is_not_asked_for_each_document(
    coze: LocalCoze,
) -> None:
    coze.faults = f"error=4000,on={CREATE}"
    with pytest.raises(CozeInvalidRequestError) as caught:
        make(coze).upsert([Document(f"text {n}", id=str(n)) for n in range(100)])
    assert len(list_bases(coze)) == 33  # three requests of ten, and each of their documents
    assert len(caught.value.failed or {}) == 100
    assert (caught.value.failed or {})["99"] == "It was not sent."
    assert caught.value.succeeded == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("error=4028", CozeQuotaError),
        ("error=700012006", CozeAuthenticationError),
        ("error=4101", CozePermissionError),
        ("http_502", CozeServerError),
        ("close", CozeConnectionError),
    ],
)
def test_an_upload_that_breaks_off_says_what_is_in(
    call: Callable[..., Any], coze: LocalCoze, fault: str, kind: type[CozeError]
) -> None:
    knowledge = make(coze)
    documents = [Document(f"text {n}", id=str(n)) for n in range(35)]
    coze.faults = ()
    call(knowledge, "upsert", documents[:10])
    coze.faults = f"{fault},on={CREATE},times=1"
    with pytest.raises(kind) as caught:
        call(knowledge, "upsert", documents)
    assert caught.value.succeeded == [str(n) for n in range(10)]
    failed = caught.value.failed or {}
    assert list(failed) == [str(n) for n in range(10, 35)]
    assert failed["34"] == "It was not sent."
    coze.reset()
    coze.faults = ()
    call(knowledge, "upsert", documents)
    assert [len(bases) for bases in list_bases(coze)] == [10, 10, 5]
    assert len(PLANTS.documents) == 35


def test_refused_documents_in_front_do_not_block_the_others(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    coze.faults = f"error=4014,on={CREATE},times=11"  # the first ten, and each of them alone
    documents = [Document(f"text {n}", id=str(n)) for n in range(30)]
    with pytest.raises(CozeContentError) as caught:
        call(make(coze), "add_documents", documents)
    assert caught.value.succeeded == [str(n) for n in range(10, 30)]
    assert list(caught.value.failed or {}) == [str(n) for n in range(10)]
    assert "knowledge" in str(caught.value.hint)
    assert "rephrase" not in str(caught.value.hint)


@pytest.mark.parametrize("fault", ["cut_at=5", "cut_at=50"])
def test_a_damaged_reply_does_not_stop_the_upload(
    call: Callable[..., Any], coze: LocalCoze, fault: str
) -> None:
    coze.faults = f"{fault},times=1,on={CREATE}"
    ids = [str(n) for n in range(25)]
    assert call(make(coze), "add_documents", [Document("x", id=n) for n in ids]) == ids
    assert [len(bases) for bases in list_bases(coze)] == [10, 10, 5]


def test_a_lost_reply_does_not_add_a_document_twice(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    coze.faults = f"cut_at=20,on={CREATE},times=1"
    call(make(coze), "upsert", [TEA, RICE])  # the list of documents has what the reply had
    assert list_paths(coze) == ["list", "create", "list", "process"]
    assert len(PLANTS.documents) == 2


def test_documents_that_coze_cannot_process_are_named(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    knowledge = make(coze)
    coze.faults = "failed_processing=rice,times=1"
    with pytest.raises(CozeKnowledgeError, match="1 of 3 documents failed") as caught:
        call(knowledge, "upsert", [TEA, RICE, MINT])
    assert caught.value.failed == {"rice": "the document could not be cut into slices"}
    assert caught.value.succeeded == ["tea", "mint"]
    assert [d.status for d in call(knowledge, "documents")] == ["done", "failed", "done"]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.failed, again.succeeded) == (caught.value.failed, caught.value.succeeded)
    call(knowledge, "upsert", [TEA, RICE, MINT])  # sends what failed once more
    assert [(d.id, d.status) for d in call(knowledge, "documents")] == [
        ("tea", "done"),
        ("mint", "done"),
        ("rice", "done"),
    ]


def test_a_replacement_that_fails_keeps_the_old_document(coze: LocalCoze) -> None:
    knowledge = make(coze)
    knowledge.upsert([TEA])
    coze.faults = "failed_processing"
    with pytest.raises(CozeKnowledgeError):
        knowledge.upsert([TEA.model_copy(update={"page_content": "Tea is a drink."})])
    assert PLANTS.search("hills")


def list_texts(question: str) -> list[str]:
    return [chunk.slice for chunk in PLANTS.search(question)]


def test_the_old_document_stays_until_the_new_one_is_processed(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA])
    changed = TEA.model_copy(update={"page_content": "Tea is a drink."})
    coze.faults = "slow_processing=0.5"
    call(knowledge, "add_documents", [changed], wait=False)
    assert list_texts("tea") == [TEA.page_content]
    with pytest.raises(CozeTimeoutError):
        call(make(coze, poll_timeout=0.1), "add_documents", [changed])
    assert list_texts("tea") == [TEA.page_content]
    call(knowledge, "wait_processed")
    assert list_texts("tea") == ["Tea is a drink."]
    assert [d.id for d in call(knowledge, "documents")] == ["tea"]


def test_a_failure_before_the_wait_is_reported_and_loses_nothing(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA])
    coze.faults = "failed_processing=Tea"
    changed = TEA.model_copy(update={"page_content": "Tea is a drink."})
    call(knowledge, "add_documents", [changed], wait=False)
    with pytest.raises(CozeKnowledgeError) as caught:
        call(knowledge, "wait_processed")
    assert caught.value.failed == {"tea": "the document could not be cut into slices"}
    assert list_texts("tea") == [TEA.page_content]
    coze.faults = ()
    call(knowledge, "add_documents", [changed])
    assert [d.status for d in call(knowledge, "documents")] == ["done"]


def test_waiting_ends_after_poll_timeout(call: Callable[..., Any], coze: LocalCoze) -> None:
    coze.faults = "slow_processing=60"
    with pytest.raises(CozeTimeoutError, match=r"poll_timeout=0\.1 s") as caught:
        call(make(coze, poll_timeout=0.1), "upsert", [TEA])
    assert caught.value.failed == {"tea": "It is still being processed (0 %)."}
    assert len(PLANTS.documents) == 1


def test_a_document_that_is_deleted_meanwhile_is_not_waited_for(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    coze.faults = "slow_processing=60"
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA, RICE], wait=False)
    first, second = PLANTS.documents.values()
    listing = {"code": 0, "msg": "", "total": 2}
    listing["document_infos"] = [first.as_json(), second.as_json()]
    gone = {"code": 0, "data": {"data": []}, "msg": ""}
    done = {"document_id": second.id, "status": 1, "progress": 100}
    replies = [listing, {"code": 0, "data": {"data": [done]}, "msg": ""}]
    replies += [listing | {"document_infos": [second.as_json()], "total": 1}, gone]
    with serve_script(replies=[json.dumps(reply).encode() for reply in replies]) as server:
        behind = make(coze, base_url=server.base_url)
        with pytest.raises(CozeKnowledgeError) as caught:
            call(behind, "wait_processed", ["tea", "rice"])
    assert caught.value.failed == {"tea": "It was deleted meanwhile."}
    assert caught.value.succeeded == ["rice"]


def test_an_unknown_id_cannot_be_waited_for(call: Callable[..., Any], coze: LocalCoze) -> None:
    with pytest.raises(CozeKnowledgeError, match="There is no document with this id"):
        call(make(coze), "wait_processed", ["nobody"])


def test_ids_of_coze_can_be_waited_for(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA], wait=False)
    call(knowledge, "wait_processed", [knowledge.documents()[0].document_id])


@pytest.mark.parametrize("ids", ["tea", 7, [7]])
@pytest.mark.parametrize("method", ["wait_processed", "delete"])
def test_what_is_no_list_of_ids_is_refused(
    call: Callable[..., Any], coze: LocalCoze, method: str, ids: Any
) -> None:
    with pytest.raises(CozeInvalidRequestError, match="ids has"):
        call(make(coze), method, ids)
    assert coze.requests == []


def test_an_error_while_deleted_documents_are_looked_up_says_what_is_in(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    """The progress lacks a document, and the list that tells why cannot be had."""
    knowledge = make(coze)
    call(knowledge, "add_documents", [TEA, RICE], wait=False)
    infos = [document.as_json() for document in PLANTS.documents.values()]
    replies = [
        {"code": 0, "document_infos": [info | {"status": 0} for info in infos], "total": 2},
        {"code": 0, "data": {"data": []}},
        {"code": 5000, "msg": "busy"},
    ]
    with (
        serve_script(replies=[json.dumps(r).encode() for r in replies]) as server,
        pytest.raises(CozeServerError) as caught,
    ):
        call(make(coze, base_url=server.base_url), "wait_processed", ["tea", "rice"])
    reason = "It was sent, but its state is unknown."
    assert caught.value.failed == {"tea": reason, "rice": reason}
    assert caught.value.succeeded == []


async def test_files_are_read_in_a_thread(coze: LocalCoze, tmp_path: Path) -> None:
    path = tmp_path / "tea.txt"
    path.write_text("Tea grows on hills.", "utf-8")
    blockbuster = pytest.importorskip("blockbuster")
    with blockbuster.blockbuster_ctx("langchain_coze"):
        await make(coze).aadd_files([path], ids=["tea"])
    assert list_texts("tea") == ["Tea grows on hills."]


def test_a_file_that_vanishes_does_not_lose_the_others(coze: LocalCoze, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(12)]
    for path in paths:
        path.write_text("text", "utf-8")

    def delete_one(*_: int) -> None:
        paths[10].unlink(missing_ok=True)  # after the first ten are in

    with pytest.raises(CozeInvalidRequestError, match=r"'10\.txt' cannot be read") as caught:
        make(coze).add_files(paths, ids=list("abcdefghijkl"), wait=False, progress=delete_one)
    assert list(caught.value.failed or {}) == ["k"]
    assert caught.value.succeeded == list("abcdefghijl")


# --- Bad input -----------------------------------------------------------------------------------

BAD_DOCUMENTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "empty": ([TEA, Document("  \n")], {}, "Document 1 is empty"),
    "text": ([TEA, "text"], {}, "Document 1 is of type str"),
    "too large": ([Document("x" * 12_000_000)], {}, "too large"),
    "two of one id": ([TEA, RICE.model_copy(update={"id": "tea"})], {}, "'tea'"),
    "fewer ids": ([TEA, RICE], {"ids": ["tea"]}, "Number of ids: 1. Number of documents: 2"),
    "ids as a text": ([TEA, RICE], {"ids": "ab"}, "A single str was passed"),
    "ids of another type": ([TEA], {"ids": [["tea"]]}, "cannot be used"),
    "one document": (TEA, {}, "A single Document was passed"),
    "no documents": (None, {}, "A single NoneType was passed"),
    "async progress": ([TEA], {"progress": asyncio.sleep}, "progress is async"),
    "progress that is no function": ([TEA], {"progress": 5}, "progress is int"),
    "an id that is too long": ([TEA], {"ids": ["i" * 129]}, "cannot be used"),
    "an empty id": ([TEA], {"ids": [""]}, "cannot be used"),
    "an id with a line break": ([TEA], {"ids": ["a\nb"]}, "cannot be used"),
}
BAD_FILES: dict[str, tuple[Any, str]] = {
    "a type that Coze refuses": (("notes.md", b"text"), "'notes.md' has a type"),
    "no type": (("notes", b"text"), "'notes' has a type"),
    "empty": (("notes.txt", b" \n"), "'notes.txt' is empty"),
    "missing": ("nowhere/notes.txt", "'notes.txt' cannot be read"),
    "a null byte": ("no\0tes.txt", "cannot be read"),
    "no file": (7, "A file is of type int"),
    "too large": (("notes.txt", b"x" * 12_000_000), "too large"),
}


@pytest.mark.parametrize("name", BAD_DOCUMENTS)
def test_a_bad_document_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, name: str
) -> None:
    documents, options, problem = BAD_DOCUMENTS[name]
    with pytest.raises(CozeInvalidRequestError, match=problem):
        call(make(coze), "add_documents", documents, **options)
    assert coze.requests == []


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, name: str
) -> None:
    file, problem = BAD_FILES[name]
    with pytest.raises(CozeInvalidRequestError, match=problem):
        call(make(coze), "add_files", [("good.txt", b"good"), file])
    assert coze.requests == []


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "https://", 7])
def test_a_bad_address_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, url: Any
) -> None:
    with pytest.raises(CozeInvalidRequestError, match="is not a web address"):
        call(make(coze), "add_urls", ["https://example.com/", url])
    for interval in (1, "24", 24.5, True):
        with pytest.raises(CozeInvalidRequestError, match="update_interval"):
            call(make(coze), "add_urls", ["https://example.com/"], update_interval=interval)
    assert coze.requests == []


@pytest.mark.parametrize("name", ["", "n" * 101, None])
def test_a_bad_name_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze, name: Any
) -> None:
    fields = {"workspace_id": coze.workspace_id, "api_key": coze.token, "base_url": coze.base_url}
    with pytest.raises(CozeInvalidRequestError, match="The name is"):
        call(CozeKnowledge, "create", name, **fields)
    assert coze.requests == []


@pytest.mark.parametrize(
    "strategy", [{}, {"chunk_type": 2}, {"chunk_type": 1}, {"chunk_type": 1, "max_tokens": 9}]
)
def test_a_bad_strategy_is_refused(coze: LocalCoze, strategy: Any) -> None:
    with pytest.raises(ValidationError, match="chunk_strategy"):
        make(coze, chunk_strategy=strategy)


def test_studio_is_refused_before_anything_is_sent(
    call: Callable[..., Any], coze: LocalCoze
) -> None:
    knowledge = make(coze, server="studio")
    attempts: list[tuple[Any, str, Any]] = [
        (knowledge, "add_documents", [TEA]),
        (knowledge, "add_files", [("a.txt", b"a")]),
        (knowledge, "add_urls", ["https://example.com/"]),
        (knowledge, "upsert", [TEA]),
        (knowledge, "delete", ["tea"]),
        (knowledge, "wait_processed", ["tea"]),
    ]
    for target, name, argument in attempts:
        with pytest.raises(CozeInvalidRequestError, match="is a Coze Studio"):
            call(target, name, argument)
    with pytest.raises(CozeInvalidRequestError, match="is a Coze Studio"):
        call(knowledge, "documents")
    with pytest.raises(CozeInvalidRequestError, match="is a Coze Studio"):
        call(CozeKnowledge, "create", "n", workspace_id="7", base_url="http://studio:8888")
    assert coze.requests == []


def test_a_knowledge_base_of_another_owner(call: Callable[..., Any], coze: LocalCoze) -> None:
    with pytest.raises(CozePermissionError, match="Only the owner") as caught:
        call(make(coze, api_key="pat_other"), "add_documents", [TEA])
    assert (caught.value.failed, caught.value.succeeded) == ({"tea": "It was not sent."}, [])
    with pytest.raises(CozePermissionError, match="Only the owner"):
        call(make(coze, api_key="pat_other"), "documents")


def test_a_knowledge_base_of_images(call: Callable[..., Any], coze: LocalCoze) -> None:
    PLANTS.format_type = 2
    try:
        with pytest.raises(CozeInvalidRequestError, match="type of the knowledge base") as caught:
            call(make(coze), "add_documents", [TEA.model_copy(update={"id": None})])
    finally:
        PLANTS.format_type = 0
    assert "no images" in str(caught.value)


def test_an_unknown_knowledge_base(call: Callable[..., Any], coze: LocalCoze) -> None:
    with pytest.raises(CozeNotFoundError, match="Check dataset_id"):
        call(make(coze, dataset_id="7400"), "documents")


# --- A document index ----------------------------------------------------------------------------


def test_searching_needs_a_retriever(call: Callable[..., Any], coze: LocalCoze) -> None:
    knowledge = make(coze)
    with pytest.raises(CozeInvalidRequestError, match="has no retriever"):
        call(knowledge, "invoke", "tea")
    assert coze.requests == []
    call(knowledge, "upsert", [TEA])
    retriever = CozeRecallRetriever(
        bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url
    )
    searched = make(coze, retriever=retriever)
    assert call(searched, "invoke", "tea", k=1)[0].page_content == TEA.page_content


def test_texts_are_not_returned(call: Callable[..., Any], coze: LocalCoze) -> None:
    with pytest.raises(CozeInvalidRequestError, match="does not return the texts"):
        call(make(coze), "get", ["tea"])
    with pytest.raises(ValueError, match="list of ids"):
        call(make(coze), "delete")
    with pytest.raises(CozeInvalidRequestError, match="list of ids"):
        call(make(coze), "delete", "tea")
    assert coze.requests == []


def test_unknown_options_are_reported(coze: LocalCoze) -> None:
    with pytest.warns(UserWarning, match="CozeKnowledge has no argument vector_field"):
        make(coze).upsert([TEA], vector_field="x")
    with pytest.raises(CozeInvalidRequestError, match="progres"):
        make(coze).upsert([TEA], progres=print)


def test_a_new_knowledge_base_is_filled(call: Callable[..., Any], coze: LocalCoze) -> None:
    made = call(
        CozeKnowledge,
        "create",
        "herbs",
        workspace_id=coze.workspace_id,
        description="green",
        api_key=coze.token,
        base_url=coze.base_url,
    )
    base = coze.knowledge[-1]
    assert (base.dataset_id, base.name, base.description) == (made.dataset_id, "herbs", "green")
    call(made, "add_documents", [TEA])
    assert base.search("tea")


def test_copies_and_pickles_work_and_hide_the_token(coze: LocalCoze) -> None:
    knowledge = make(coze)
    for twin in (copy.deepcopy(knowledge), pickle.loads(pickle.dumps(knowledge))):
        twin.upsert([TEA])
    assert coze.token not in repr(knowledge) + str(vars(knowledge)) + str(knowledge.model_dump())
