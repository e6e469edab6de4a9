"""`CozeKnowledge`: add documents to a Coze knowledge base, as a LangChain document index."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from langchain_core.indexing import DeleteResponse, UpsertResponse
from langchain_core.indexing.base import DocumentIndex
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, field_validator

from langchain_coze import _knowledge_hints as knowledge_hints
from langchain_coze._api.datasets import create_dataset
from langchain_coze._api.retry import RetryPolicy
from langchain_coze._base.connection import CozeConnectionFields
from langchain_coze._base.unsupported import handle_unknown_argument
from langchain_coze._knowledge.new_documents import (
    NewDocument,
    prepare_documents,
    prepare_files,
    prepare_urls,
)
from langchain_coze._knowledge.store import DocumentStore, KnowledgeDocument, ReportProgress
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
    )
    from langchain_core.documents import Document

    from langchain_coze._api.effects import Flow

__all__ = ["CozeKnowledge", "KnowledgeDocument"]

_MAX_NAME_LENGTH = 100
_TEXT = 0
_TOKENS = range(100, 2001)


class CozeKnowledge(CozeConnectionFields, DocumentIndex):
    """A knowledge base of Coze to which documents are added (coze.cn and coze.com).

    It is a LangChain document index, so `langchain_core.indexing.index` keeps it in step with a
    loader: new documents are added, known ones skipped, removed ones deleted, also in another
    process. Coze stores a document's text and name, no metadata: the name holds the title and the
    id, which finds the document again.

    Setup:
        Create a knowledge base in Coze, or with `create`, and a token of its owner with the
        permissions createDocument, listDocument, readDocumentProgress and deleteDocument:

        ```bash
        export COZE_API_TOKEN="pat_…"
        ```

    Key init args:
        dataset_id: The knowledge base.
        retriever: A retriever that searches it, for `invoke`.
        chunk_strategy: How Coze cuts documents into slices.

    Instantiate:
        ```python
        from langchain_core.documents import Document

        from langchain_coze import CozeKnowledge
        from langchain_coze.local import LocalBot, LocalCoze, LocalKnowledge

        coze = LocalCoze(LocalBot(knowledge=LocalKnowledge([], name="plants"))).start()
        knowledge = CozeKnowledge(
            dataset_id=coze.bots[0].knowledge.dataset_id,
            api_key=coze.token,
            base_url=coze.base_url,
        )
        ```

    Add:
        ```python
        tea = Document("Tea grows on hills.", metadata={"title": "Tea"}, id="tea")
        print(knowledge.add_documents([tea]))
        print(knowledge.documents())
        ```

    Search:
        ```python
        from langchain_coze import CozeRecallRetriever

        retriever = CozeRecallRetriever(
            bot_id=coze.bots[0].bot_id, api_key=coze.token, base_url=coze.base_url
        )
        print(retriever.invoke("Where does tea grow?"))
        ```

    Delete:
        ```python
        print(knowledge.delete(["tea"]))
        ```

    Raises:
        CozeKnowledgeError: Coze accepted documents, but could not process all of them.
        CozeInvalidRequestError: A document cannot be added; nothing has been sent.
        CozeError: Any other failure, with one class per condition. After a partial upload the
            error has `failed` (id to reason) and `succeeded`.

    Source: Coze API, knowledge files (wire section 5.5).
    """

    dataset_id: str = Field(coerce_numbers_to_str=True, min_length=1)
    """The knowledge base: the number after `/knowledge/` in its address."""

    retriever: BaseRetriever | None = None
    """What searches the knowledge base, for instance a `CozeRecallRetriever`."""

    chunk_strategy: Mapping[str, Any] = {"chunk_type": 0}
    """How Coze cuts documents into slices: `{"chunk_type": 0}` automatically, or `{"chunk_type": 1,
    "separator": …, "max_tokens": 100 to 2000}`."""

    poll_interval: float = Field(default=1.0, gt=0)
    """Seconds between two requests for the progress; at least 1 on coze.cn and coze.com."""

    poll_timeout: float = Field(default=600.0, gt=0)
    """Seconds to wait for the processing until `CozeTimeoutError`."""

    @field_validator("chunk_strategy")
    @classmethod
    def _check_strategy(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = value.get("chunk_type")
        separator, tokens = value.get("separator"), value.get("max_tokens")
        is_custom = separator and isinstance(separator, str) and tokens in _TOKENS
        if kind == 0 or (kind == 1 and is_custom):
            return value
        raise ValueError(knowledge_hints.STRATEGY.format(value=dict(value)))

    # --- Knowledge bases -------------------------------------------------------------------------

    @classmethod
    def create(
        cls, name: str, *, workspace_id: str, description: str | None = None, **fields: Any
    ) -> Self:
        """Create a knowledge base for texts in Coze.

        No bot uses it yet: bind it to one in Coze and publish the bot.

        Args:
            name: Its name, at most 100 characters.
            workspace_id: The workspace: the number after `/space/` in its address.
            description: What it is for.
            **fields: Fields of this class.

        Raises:
            CozeInvalidRequestError: The name is empty or too long, or the server is a Coze Studio.
            CozeError: Any other failure.
        """
        bare = cls(dataset_id="new", **fields)
        flow = bare._create(name, workspace_id, description)
        return bare.model_copy(update={"dataset_id": bare._make_driver().run(flow)})

    @classmethod
    async def acreate(
        cls, name: str, *, workspace_id: str, description: str | None = None, **fields: Any
    ) -> Self:
        """Async version of `create`."""
        bare = cls(dataset_id="new", **fields)
        flow = bare._create(name, workspace_id, description)
        return bare.model_copy(update={"dataset_id": await bare._make_driver().arun(flow)})

    def _create(self, name: str, workspace_id: str, description: str | None) -> Flow[str]:
        self._reject_studio()
        if not isinstance(name, str) or not 1 <= len(name) <= _MAX_NAME_LENGTH:
            length = f"{len(name)} characters long" if isinstance(name, str) else f"{name!r}"
            raise CozeInvalidRequestError(f"The name is {length}.", hint=knowledge_hints.NAME)
        body = {"name": name, "space_id": str(workspace_id), "format_type": _TEXT}
        if description:
            body["description"] = description
        return create_dataset(body, RetryPolicy(max_retries=self.max_retries))

    # --- Adding ----------------------------------------------------------------------------------

    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
    ) -> list[str]:
        """Add texts, at most ten in a request.

        A document with a known id replaces the old one: the new one is added, and once Coze has
        processed it, the old one is deleted. If its text and title have not changed, nothing is
        sent.

        Args:
            documents: The documents. Of their metadata only `title`, or else `source`, is kept, as
                the name in Coze.
            ids: An id for each document; by default `document.id`, or a new one.
            wait: Whether to wait until Coze has processed them.
            progress: Called with the number of finished documents and the number of all, after
                each change: processed ones, or without `wait` those that are in.

        Returns:
            The ids.

        Raises:
            CozeInvalidRequestError: A document or an id cannot be used; nothing has been sent. Or
                Coze refused documents; the others are in.
            CozeKnowledgeError: Coze could not process all documents.
            CozeTimeoutError: Coze did not process them within `poll_timeout` seconds.
            CozeError: Any other failure. All of these have `failed` and `succeeded`, if anything
                was sent.
        """
        flow = self._add(prepare_documents(documents, ids), wait=wait, progress=progress)
        return self._make_driver().run(flow)

    async def aadd_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
    ) -> list[str]:
        """Async version of `add_documents`."""
        flow = self._add(prepare_documents(documents, ids), wait=wait, progress=progress)
        return await self._make_driver().arun(flow)

    def add_files(
        self,
        files: Iterable[str | Path | tuple[str, bytes]],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
    ) -> list[str]:
        """Add files: pdf, txt, doc and docx, each up to 11 MB.

        Args:
            files: Paths, or pairs of a name and the content.
            ids: See `add_documents`.
            wait: See `add_documents`.
            progress: See `add_documents`.

        Returns:
            The ids.

        Raises:
            CozeError: See `add_documents`.
        """
        flow = self._add(prepare_files(files, ids), wait=wait, progress=progress)
        return self._make_driver().run(flow)

    async def aadd_files(
        self,
        files: Iterable[str | Path | tuple[str, bytes]],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
    ) -> list[str]:
        """Async version of `add_files`; a thread checks the files."""
        documents = await asyncio.to_thread(prepare_files, files, ids)
        flow = self._add(documents, wait=wait, progress=progress)
        return await self._make_driver().arun(flow)

    def add_urls(
        self,
        urls: Iterable[str],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
        update_interval: int | None = None,
    ) -> list[str]:
        """Add public web pages, which Coze reads.

        Args:
            urls: Their addresses.
            ids: See `add_documents`. A page with a known id is always read again.
            wait: See `add_documents`.
            progress: See `add_documents`.
            update_interval: Hours after which Coze reads the pages again, at least 24; None for
                never.

        Returns:
            The ids.

        Raises:
            CozeError: See `add_documents`.
        """
        documents = prepare_urls(urls, ids, update_interval)
        return self._make_driver().run(self._add(documents, wait=wait, progress=progress))

    async def aadd_urls(
        self,
        urls: Iterable[str],
        *,
        ids: Sequence[str] | None = None,
        wait: bool = True,
        progress: ReportProgress | None = None,
        update_interval: int | None = None,
    ) -> list[str]:
        """Async version of `add_urls`."""
        documents = prepare_urls(urls, ids, update_interval)
        return await self._make_driver().arun(self._add(documents, wait=wait, progress=progress))

    def _add(
        self, documents: Sequence[NewDocument], *, wait: bool, progress: ReportProgress | None
    ) -> Flow[list[str]]:
        return self._get_store().add(documents, wait=wait, report=_check_progress(progress))

    # --- What is there ---------------------------------------------------------------------------

    def documents(self) -> list[KnowledgeDocument]:
        """Return the documents of the knowledge base, also those that others have added.

        Raises:
            CozeError: Coze reported an error or could not be reached.
        """
        return self._make_driver().run(self._get_store().list_documents())

    async def adocuments(self) -> list[KnowledgeDocument]:
        """Async version of `documents`."""
        return await self._make_driver().arun(self._get_store().list_documents())

    def wait_processed(
        self, ids: Sequence[str] | None = None, *, progress: ReportProgress | None = None
    ) -> None:
        """Wait until Coze has processed documents, then delete what they replace.

        Args:
            ids: Their ids, or Coze's ids; None for all that are being processed or have failed.
            progress: Called with the number of finished documents and the number of all, after
                each change.

        Raises:
            CozeKnowledgeError: Documents failed, were deleted, or were never there.
            CozeTimeoutError: They were not processed within `poll_timeout` seconds.
            CozeError: Any other failure.
        """
        self._make_driver().run(self._wait_processed(ids, progress))

    async def await_processed(
        self, ids: Sequence[str] | None = None, *, progress: ReportProgress | None = None
    ) -> None:
        """Async version of `wait_processed`."""
        await self._make_driver().arun(self._wait_processed(ids, progress))

    def _wait_processed(
        self, ids: Sequence[str] | None, progress: ReportProgress | None
    ) -> Flow[None]:
        given = None if ids is None else _check_ids(ids)
        return self._get_store().wait(given, _check_progress(progress))

    # --- LangChain's document index --------------------------------------------------------------

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """Add documents, or replace those with the same id; see `add_documents`.

        Args:
            items: The documents.
            **kwargs: `wait` and `progress` of `add_documents`.

        Returns:
            The ids. It raises when anything failed, because `index` ignores the response and would
            record the documents as stored.

        Raises:
            CozeError: See `add_documents`.
        """
        succeeded = self.add_documents(items, **_check_options(kwargs))
        return UpsertResponse(succeeded=succeeded, failed=[])

    async def aupsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """Async version of `upsert`."""
        succeeded = await self.aadd_documents(items, **_check_options(kwargs))
        return UpsertResponse(succeeded=succeeded, failed=[])

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Delete documents.

        Args:
            ids: Their ids, or Coze's ids. Documents that are not there are no failure.
            **kwargs: None is known.

        Returns:
            The ids of the deleted documents.

        Raises:
            CozeInvalidRequestError: `ids` is missing.
            CozeError: Any other failure.
        """
        deleted = self._make_driver().run(self._delete(ids, kwargs))
        return DeleteResponse(num_deleted=len(deleted), succeeded=deleted, num_failed=0, failed=[])

    async def adelete(self, ids: list[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Async version of `delete`."""
        deleted = await self._make_driver().arun(self._delete(ids, kwargs))
        return DeleteResponse(num_deleted=len(deleted), succeeded=deleted, num_failed=0, failed=[])

    def _delete(self, ids: list[str] | None, kwargs: Mapping[str, Any]) -> Flow[list[str]]:
        for name in kwargs:
            handle_unknown_argument(name, {"ids"}, owner="CozeKnowledge")
        if ids is None:
            raise CozeInvalidRequestError("No ids were passed.", hint=knowledge_hints.ID_LIST)
        return self._get_store().delete(_check_ids(ids))

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Raise, because Coze does not return the texts of documents.

        Raises:
            CozeInvalidRequestError: Always.
        """
        del ids, kwargs
        raise CozeInvalidRequestError(
            "Coze does not return the texts of documents.", hint=knowledge_hints.NO_TEXTS
        )

    async def aget(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Raise; see `get`."""
        return self.get(ids, **kwargs)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        config: Any = {"callbacks": run_manager.get_child()}
        return self._get_retriever().invoke(query, config, **kwargs)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        config: Any = {"callbacks": run_manager.get_child()}
        return await self._get_retriever().ainvoke(query, config, **kwargs)

    def _get_retriever(self) -> BaseRetriever:
        if self.retriever is None:
            raise CozeInvalidRequestError(
                "This CozeKnowledge has no retriever.", hint=knowledge_hints.NO_RETRIEVER
            )
        return self.retriever

    # --- The store -------------------------------------------------------------------------------

    def _get_store(self) -> DocumentStore:
        """Return the flows of this knowledge base.

        Raises:
            CozeInvalidRequestError: The server is a Coze Studio.
        """
        self._reject_studio()
        return DocumentStore(
            dataset_id=self.dataset_id,
            chunk_strategy=self.chunk_strategy,
            policy=RetryPolicy(max_retries=self.max_retries),
            polling=self._build_polling(self.poll_interval, self.poll_timeout),
        )

    def _reject_studio(self) -> None:
        if self._is_studio:
            raise CozeInvalidRequestError(
                f"{self.base_url} is a Coze Studio, which does not process documents that are "
                "added over its API.",
                hint=knowledge_hints.STUDIO,
            )


def _check_ids(ids: Sequence[str]) -> list[str]:
    listed = [ids] if isinstance(ids, str) or not isinstance(ids, Iterable) else list(ids)
    wrong = [ids] if listed == [ids] else [id_ for id_ in listed if not isinstance(id_, str)]
    if wrong:
        raise CozeInvalidRequestError(f"ids has {wrong[0]!r}.", hint=knowledge_hints.ID_LIST)
    return listed


def _check_progress(progress: ReportProgress | None) -> ReportProgress | None:
    if progress is None or (callable(progress) and not inspect.iscoroutinefunction(progress)):
        return progress
    kind = "async" if callable(progress) else type(progress).__name__
    raise CozeInvalidRequestError(f"progress is {kind}.", hint=knowledge_hints.PROGRESS)


def _check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an upsert; unknown ones are reported."""
    accepted = {"wait", "progress"}
    for name in options.keys() - accepted:
        handle_unknown_argument(name, accepted, owner="CozeKnowledge")
    return {name: options[name] for name in options.keys() & accepted}
