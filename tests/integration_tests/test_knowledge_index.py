"""LangChain's `index` keeps a knowledge base in step with a loader; its suite for such indexes."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_tests.integration_tests.indexer import (
    AsyncDocumentIndexTestSuite,
    DocumentIndexerTestSuite,
)

from langchain_coze import CozeInvalidRequestError, CozeKnowledge, CozeKnowledgeError
from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge
from tests.conftest import serve

NOTES = LocalKnowledge((), name="notes", k=10)
coze = serve(LocalBot(knowledge=NOTES))
CREATE = "/open_api/knowledge/document/create"
OPTIONS: dict[str, Any] = {"source_id_key": "source", "key_encoder": "sha256"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _empty() -> None:
    NOTES.documents.clear()


def make(coze: LocalCoze) -> CozeKnowledge:
    return CozeKnowledge(
        dataset_id=NOTES.dataset_id, api_key=coze.token, base_url=coze.base_url, poll_interval=0.02
    )


def load(**texts: str) -> list[Document]:
    return [Document(text, metadata={"source": name}) for name, text in texts.items()]


def list_slices() -> list[str]:
    documents = NOTES.documents.values()
    return sorted(passage.slice for document in documents for passage in document.passages)


# --- index() -------------------------------------------------------------------------------------

PROGRAM = """
import pickle, sys
from pathlib import Path
from langchain_core.indexing import index
from langchain_coze import CozeKnowledge

state, cleanup, dataset_id = sys.argv[1:]
manager, documents, options = pickle.loads(Path(state).read_bytes())
knowledge = CozeKnowledge(dataset_id=dataset_id, poll_interval=0.02)
result = index(documents, manager, knowledge, cleanup=cleanup, **options)
Path(state).write_bytes(pickle.dumps((manager, result)))
"""


def index_elsewhere(
    coze: LocalCoze, path: Path, manager: Any, documents: list[Document], cleanup: str
) -> tuple[Any, Any]:
    """Run `index` in another process; return its record manager and result."""
    path.write_bytes(pickle.dumps((manager, documents, OPTIONS)))
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), cleanup, NOTES.dataset_id],
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**coze.environment, "PYTHONPATH": str(ROOT)},
    )
    manager, result = pickle.loads(path.read_bytes())
    return manager, result


@pytest.mark.slow
@pytest.mark.parametrize("cleanup", ["incremental", "full", "scoped_full"])
def test_a_loader_is_indexed_across_processes(
    coze: LocalCoze,
    tmp_path: Path,
    cleanup: Literal["incremental", "full", "scoped_full"],
) -> None:
    manager: Any = InMemoryRecordManager("notes")
    first = load(a="Tea grows on hills.", b="Rice grows in water.", c="Mint grows in shade.")
    manager, result = index_elsewhere(coze, tmp_path / "state", manager, first, cleanup)
    assert result == {"num_added": 3, "num_updated": 0, "num_skipped": 0, "num_deleted": 0}
    coze.reset()
    second = load(a="Tea grows on hills.", b="Rice grows in fields.")
    result = index(second, manager, make(coze), cleanup=cleanup, **OPTIONS)
    deleted = 2 if cleanup == "full" else 1  # the others do not know that `c` is gone
    assert result == {
        "num_added": 1,
        "num_updated": 0,
        "num_skipped": 1,
        "num_deleted": deleted,
    }
    left = {"Tea grows on hills.", "Rice grows in fields."}
    assert set(list_slices()) == left | (set() if cleanup == "full" else {"Mint grows in shade."})
    assert [len(r.body["document_bases"]) for r in coze.requests if r.path == CREATE] == [1]


@pytest.mark.parametrize("style", ["sync", "async"])
def test_indexing_without_cleanup_deletes_nothing(coze: LocalCoze, style: str) -> None:
    manager = InMemoryRecordManager("notes")
    knowledge = make(coze)

    def run(documents: list[Document]) -> Any:
        if style == "async":
            return asyncio.run(aindex(documents, manager, knowledge, **OPTIONS))
        return index(documents, manager, knowledge, **OPTIONS)

    assert run(load(a="Tea.", b="Rice."))["num_added"] == 2
    assert run(load(a="Coffee."))["num_added"] == 1
    assert run(load(a="Coffee."))["num_skipped"] == 1
    assert list_slices() == ["Coffee.", "Rice.", "Tea."]


def test_a_failed_run_is_completed_by_the_next_one(coze: LocalCoze) -> None:
    manager = InMemoryRecordManager("notes")
    documents = load(**{f"n{number}": f"Note {number}." for number in range(25)})
    coze.faults = f"error=4000,on={CREATE},times=2"  # a request, and one of its documents
    with pytest.raises(CozeInvalidRequestError) as caught:
        index(documents, manager, make(coze), cleanup="full", **OPTIONS)
    assert len(caught.value.failed or {}) == 1
    assert len(NOTES.documents) == 24
    coze.faults = "failed_processing"
    with pytest.raises(CozeKnowledgeError):
        index(documents, manager, make(coze), cleanup="full", **OPTIONS)
    coze.reset()
    coze.faults = ()
    result = index(documents, manager, make(coze), cleanup="full", **OPTIONS)
    assert result["num_added"] == 25
    assert len(NOTES.documents) == 25
    sent = [len(r.body["document_bases"]) for r in coze.requests if r.path == CREATE]
    assert sum(sent) < 5
    assert index(documents, manager, make(coze), cleanup="full", **OPTIONS)["num_skipped"] == 25


@pytest.mark.slow
def test_a_thousand_documents_need_little_memory(coze: LocalCoze) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, NOTES.dataset_id],
        check=True,
        timeout=60,
        cwd=ROOT,
        env={**coze.environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    early, late = map(int, done.stdout.split())
    sizes = [len(r.body["document_bases"]) for r in coze.requests if r.path == CREATE]
    assert (sum(sizes), max(sizes)) == (1000, 10)
    assert len(NOTES.documents) == 1000
    assert late < 1.5 * early, (early, late)


MEMORY = """
import sys, tracemalloc
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_coze import CozeKnowledge

knowledge = CozeKnowledge(dataset_id=sys.argv[1], poll_interval=0.02)
knowledge.documents()  # loads what is loaded on first use
manager = InMemoryRecordManager("m")
peaks = []


def load():
    for n in range(1000):
        if n == 300:  # the documents of the first batches have been sent
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
        yield Document(f"Document {n}: " + "x" * 4000, metadata={"source": str(n)})


tracemalloc.start()
index(load(), manager, knowledge, source_id_key="source", key_encoder="sha256")
print(*peaks, tracemalloc.get_traced_memory()[1])
"""


# --- LangChain's suite ---------------------------------------------------------------------------
# Coze returns no texts and stores no metadata (wire 5.5): `get` raises. The tests that read
# documents back with it are replaced by the same steps with `documents()`, which has the ids.


def list_ids(knowledge: Any) -> list[str]:
    return sorted(document.id for document in knowledge.documents())


async def alist_ids(knowledge: Any) -> list[str]:
    return sorted(document.id for document in await knowledge.adocuments())


class TestDocumentIndexer(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, coze: LocalCoze) -> CozeKnowledge:
        return make(coze)

    def test_upsert_no_ids(self, index: Any) -> None:
        response = index.upsert([Document("foo"), Document("bar")])
        assert list_ids(index) == sorted(response["succeeded"])
        assert list_slices() == ["bar", "foo"]

    def test_upsert_some_ids(self, index: Any) -> None:
        response = index.upsert([Document("foo", id="7"), Document("bar")])
        assert response["failed"] == []
        assert response["succeeded"][0] == "7"
        assert list_ids(index) == sorted(response["succeeded"])

    def test_upsert_overwrites(self, index: Any) -> None:
        index.upsert([Document("foo", id="7")])
        index.upsert([Document("foo2", id="7")])
        assert (list_ids(index), list_slices()) == (["7"], ["foo2"])

    def test_delete_missing_docs(self, index: Any) -> None:
        reply = {"num_deleted": 0, "succeeded": [], "num_failed": 0, "failed": []}
        assert index.delete(["1"]) == reply

    def test_bulk_delete(self, index: Any) -> None:
        index.upsert([Document(text, id=text) for text in ("1", "2", "3")])
        index.delete(["1", "2"])
        assert list_ids(index) == ["3"]

    def test_get_with_missing_ids(self, index: Any) -> None:
        assert index.upsert([Document("foo", id="1")]) == {"succeeded": ["1"], "failed": []}
        with pytest.raises(CozeInvalidRequestError):
            index.get(["1", "2"])

    def test_get_missing(self, index: Any) -> None:
        with pytest.raises(CozeInvalidRequestError):
            index.get(["1"])


class TestAsyncDocumentIndexer(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    async def index(self, coze: LocalCoze) -> CozeKnowledge:
        return make(coze)

    async def test_upsert_no_ids(self, index: Any) -> None:
        response = await index.aupsert([Document("foo"), Document("bar")])
        assert await alist_ids(index) == sorted(response["succeeded"])
        assert list_slices() == ["bar", "foo"]

    async def test_upsert_some_ids(self, index: Any) -> None:
        response = await index.aupsert([Document("foo", id="7"), Document("bar")])
        assert response["failed"] == []
        assert response["succeeded"][0] == "7"
        assert await alist_ids(index) == sorted(response["succeeded"])

    async def test_upsert_overwrites(self, index: Any) -> None:
        await index.aupsert([Document("foo", id="7")])
        await index.aupsert([Document("foo2", id="7")])
        assert (await alist_ids(index), list_slices()) == (["7"], ["foo2"])

    async def test_delete_missing_docs(self, index: Any) -> None:
        reply = {"num_deleted": 0, "succeeded": [], "num_failed": 0, "failed": []}
        assert await index.adelete(["1"]) == reply

    async def test_bulk_delete(self, index: Any) -> None:
        await index.aupsert([Document(text, id=text) for text in ("1", "2", "3")])
        await index.adelete(["1", "2"])
        assert await alist_ids(index) == ["3"]

    async def test_get_with_missing_ids(self, index: Any) -> None:
        added = await index.aupsert([Document("foo", id="1")])
        assert added == {"succeeded": ["1"], "failed": []}
        with pytest.raises(CozeInvalidRequestError):
            await index.aget(["1", "2"])

    async def test_get_missing(self, index: Any) -> None:
        with pytest.raises(CozeInvalidRequestError):
            await index.aget(["1"])
