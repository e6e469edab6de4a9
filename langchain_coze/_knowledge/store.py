"""The flows of a knowledge base: add documents, wait until they are processed, delete them.

Nothing is lost on the way. A request that Coze refuses because of one document is repeated for each
document alone. When a request has failed otherwise, the list of documents says which of them are
in. So an error always has the documents that are in (`succeeded`) and the others (`failed`), and a
second call with the same ids sends only what is missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_coze import _knowledge_hints as knowledge_hints
from langchain_coze._api.datasets import (
    DONE,
    FAILED,
    MAX_DOCUMENTS,
    PROCESSING,
    DocumentInfo,
    create_documents,
    delete_documents,
    fetch_progress,
    list_documents,
)
from langchain_coze._api.effects import CallBlocking
from langchain_coze._api.replies import HTTP_ERROR
from langchain_coze._convert.record_names import clean_name, parse_name
from langchain_coze._knowledge.new_documents import NewDocument, iter_batches, read_bases
from langchain_coze.errors import (
    CozeContentError,
    CozeError,
    CozeInvalidRequestError,
    CozeKnowledgeError,
    CozeTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_coze._api.datasets import DocumentProgress
    from langchain_coze._api.effects import Flow
    from langchain_coze._api.polling import Polling
    from langchain_coze._api.retry import RetryPolicy

ReportProgress: TypeAlias = Callable[[int, int], Any]
"""Called with the number of documents that are finished and the number of all."""

_STATUSES = {PROCESSING: "processing", DONE: "done", FAILED: "failed"}
_REFUSALS = (CozeInvalidRequestError, CozeContentError)  # of a document, not of the account
_HTTP_OK = 200
_MAX_REFUSED = 3  # requests; if Coze has refused each document of them, it will refuse the others
_NOT_SENT = "It was not sent."
_GONE = "It was deleted meanwhile."
_STATE_UNKNOWN = "It was sent, but its state is unknown."
_NOT_PROCESSED = "Coze could not process it."


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnowledgeDocument:
    """A document of a knowledge base.

    Attributes:
        id: Its record id, or Coze's id if `CozeKnowledge` did not add it.
        document_id: Coze's id.
        name: Its name, without the record id.
        status: `"processing"`, `"done"` or `"failed"`.
        progress: How much of it has been processed, from 0 to 100.
        slice_count: The number of its slices.
        char_count: The number of its characters.

    Source: wire section 5.5.
    """

    id: str
    document_id: str
    name: str
    status: str
    progress: int
    slice_count: int
    char_count: int


class _Outcome:
    """What has become of the documents of one call."""

    def __init__(self, total: int, report: ReportProgress | None) -> None:
        self.document_ids: dict[str, str] = {}  # of what is in, by record id
        self.outdated: dict[str, list[str]] = {}  # what they replace, by record id
        self.processed: set[str] = set()
        self.failed: dict[str, str] = {}
        self.error: CozeError | None = None  # the first one
        self.refused_batches = 0  # requests of which no document was accepted
        self.stopped = False  # what is left would fail as well
        self._total = total
        self._report = report
        self._reported = 0

    def report(self, finished: int) -> None:
        """Report the number of finished documents if it has changed."""
        if self._report is not None and finished != self._reported:
            self._reported = finished
            self._report(finished, self._total)

    def add(self, record_id: str, info: DocumentInfo) -> None:
        """Note that a document is in."""
        self.document_ids[record_id] = info.document_id
        if info.status == DONE:
            self.processed.add(record_id)

    def note_progress(
        self, progress: Mapping[str, DocumentProgress], unfinished: dict[str, str]
    ) -> None:
        """Note what has been processed or has failed; it is not among the unfinished any more."""
        for document_id, item in progress.items():
            if item.status not in {DONE, FAILED} or document_id not in unfinished:
                continue
            record_id = unfinished.pop(document_id)
            if item.status == DONE:
                self.processed.add(record_id)
            else:
                self.fail(record_id, item.status_descript or _NOT_PROCESSED)

    def fail(self, record_id: str, reason: str, error: CozeError | None = None) -> None:
        """Note that a document is not in, or cannot be found."""
        self.failed[record_id] = reason
        self.error = self.error or error

    def raise_failure(self) -> None:
        """Raise if anything has failed."""
        context: dict[str, Any] = {"failed": self.failed, "succeeded": self.succeeded}
        if self.error is not None:
            hint = "\n".join(filter(None, (self.error.hint, knowledge_hints.INCOMPLETE)))
            raise self.error.with_context(hint=hint, **context) from self.error.__cause__
        name, reason = next(iter(self.failed.items()), ("", ""))
        if not self.failed:
            return
        raise CozeKnowledgeError(
            f"{len(self.failed)} of {self._total} documents failed, for example {name}: {reason}",
            hint=knowledge_hints.INCOMPLETE,
            **context,
        )

    @property
    def succeeded(self) -> list[str]:
        """The ids of what is in and has not failed."""
        return [record_id for record_id in self.document_ids if record_id not in self.failed]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DocumentStore:
    """The documents of one knowledge base; each method is a flow.

    Attributes:
        dataset_id: The knowledge base.
        chunk_strategy: How Coze cuts documents into slices.
        policy: The retry policy of each request.
        polling: How often, and for how long, to ask for the progress.
    """

    dataset_id: str
    chunk_strategy: Mapping[str, Any]
    policy: RetryPolicy
    polling: Polling

    # --- Lists -----------------------------------------------------------------------------------

    def list_documents(self) -> Flow[list[KnowledgeDocument]]:
        """Return the documents, with the progress of those that are being processed."""
        infos = yield from list_documents(self.dataset_id, self.policy)
        running = [info.document_id for info in infos if info.status == PROCESSING]
        progress = yield from fetch_progress(self.dataset_id, running, self.policy)
        documents = []
        for info in infos:
            current = progress.get(info.document_id)
            status = current.status if current else info.status
            percent = current.progress if current else 0
            documents.append(
                KnowledgeDocument(
                    id=_get_id(info),
                    document_id=info.document_id,
                    name=clean_name(info.name),
                    status=_STATUSES.get(status, "processing"),
                    progress=100 if status == DONE else percent,
                    slice_count=info.slice_count,
                    char_count=info.char_count,
                )
            )
        return documents

    def _list_by_id(
        self, wanted: Iterable[str] | None = None
    ) -> Flow[dict[str, list[DocumentInfo]]]:
        """Return documents by record id, or by Coze's id if this package did not add them.

        `wanted` are ids of either kind; None for all documents.
        """
        ids = None if wanted is None else frozenset(wanted)

        def keep(info: DocumentInfo) -> bool:
            return ids is None or not ids.isdisjoint((_get_id(info), info.document_id))

        by_id: dict[str, list[DocumentInfo]] = defaultdict(list)
        for info in (yield from list_documents(self.dataset_id, self.policy, keep)):
            by_id[_get_id(info)].append(info)
        return by_id

    # --- Adding ----------------------------------------------------------------------------------

    def add(
        self, documents: Sequence[NewDocument], *, wait: bool, report: ReportProgress | None
    ) -> Flow[list[str]]:
        """Add documents and return their ids; see `CozeKnowledge.add_documents`."""
        outcome = _Outcome(len(documents), report)
        try:
            missing = yield from self._compare(documents, outcome)
        except CozeError as error:
            unsent = {document.record_id: _NOT_SENT for document in documents}
            raise error.with_context(failed=unsent, succeeded=[]) from error.__cause__
        for batch in iter_batches(missing, MAX_DOCUMENTS):
            if outcome.stopped:
                for document in batch:
                    outcome.fail(document.record_id, _NOT_SENT)
                continue
            yield from self._add_batch(batch, outcome)
            if not wait:
                outcome.report(len(outcome.succeeded))
        if wait:
            yield from self._wait(outcome)
        yield from self._delete_replaced(outcome)
        outcome.raise_failure()
        return [document.record_id for document in documents]

    def _compare(
        self, documents: Sequence[NewDocument], outcome: _Outcome
    ) -> Flow[list[NewDocument]]:
        """Return the documents that are not in yet; note what is in, and what they replace."""
        if all(document.has_new_id for document in documents):
            return list(documents)
        known = yield from self._list_by_id(document.record_id for document in documents)
        missing: list[NewDocument] = []
        for document in documents:
            infos = known.get(document.record_id, [])
            same = next((info for info in infos if _is_same(info, document)), None)
            if same is None:
                missing.append(document)
            else:
                outcome.add(document.record_id, same)
            outcome.outdated[document.record_id] = [i.document_id for i in infos if i is not same]
        return missing

    def _add_batch(self, batch: Sequence[NewDocument], outcome: _Outcome) -> Flow[None]:
        """Add the documents of one request; if Coze refuses it, each of them alone."""
        try:
            yield from self._send(batch, outcome)
        except CozeError as error:
            is_refusal = _is_refusal(error)
            if is_refusal or error.may_have_started or error.status_code == _HTTP_OK:
                with contextlib.suppress(CozeError):
                    yield from self._find_stored(batch, outcome)
            left = [d for d in batch if d.record_id not in outcome.document_ids]
            if is_refusal and len(batch) > 1:
                for document in left:
                    yield from self._add_batch([document], outcome)
                outcome.refused_batches += 1
                is_general = outcome.refused_batches >= _MAX_REFUSED and not outcome.document_ids
                outcome.stopped = outcome.stopped or is_general
                return
            for document in left:
                outcome.fail(document.record_id, error.message, error)
            outcome.stopped = outcome.stopped or (bool(left) and not is_refusal)

    def _send(self, batch: Sequence[NewDocument], outcome: _Outcome) -> Flow[None]:
        read = yield CallBlocking(functools.partial(read_bases, batch))  # it may read files
        bases, sent = [], []
        for document, base in zip(batch, read, strict=True):
            if isinstance(base, CozeError):
                outcome.fail(document.record_id, base.message, base)
            else:
                bases.append(base)
                sent.append(document)
        if not bases:
            return
        body = {
            "dataset_id": self.dataset_id,
            "document_bases": bases,
            "chunk_strategy": dict(self.chunk_strategy),
            "format_type": 0,
        }
        infos = yield from create_documents(body, self.policy)
        by_id = {parse_name(info.name).record_id: info.document_id for info in infos}
        for position, document in enumerate(sent):
            in_order = infos[position].document_id if len(infos) == len(sent) else ""
            if document_id := by_id.get(document.record_id, in_order):
                outcome.document_ids[document.record_id] = document_id
        if any(document.record_id not in outcome.document_ids for document in sent):
            yield from self._find_stored(sent, outcome)

    def _find_stored(self, batch: Sequence[NewDocument], outcome: _Outcome) -> Flow[None]:
        """Look up which documents of a request are in; the reply to it is unknown."""
        known = yield from self._list_by_id(document.record_id for document in batch)
        for document in batch:
            for info in known.get(document.record_id, []):
                if _is_same(info, document):
                    outcome.add(document.record_id, info)

    # --- Waiting ---------------------------------------------------------------------------------

    def wait(self, ids: Sequence[str] | None, report: ReportProgress | None) -> Flow[None]:
        """Wait until documents are processed; see `CozeKnowledge.wait_processed`."""
        known = yield from self._list_by_id(ids)
        newest = {key: max(infos, key=_make_version_key) for key, infos in known.items()}
        by_document_id = {info.document_id: info for infos in known.values() for info in infos}
        if ids is None:
            ids = [key for key, info in newest.items() if info.status != DONE]
        outcome = _Outcome(len(ids), report)
        for given in ids:
            info = newest.get(given) or by_document_id.get(given)
            if info is None:
                outcome.fail(given, "There is no document with this id.")
                continue
            outcome.add(given, info)
            if given in known and parse_name(info.name).record_id:
                outcome.outdated[given] = [i.document_id for i in known[given] if i is not info]
        yield from self._wait(outcome)
        yield from self._delete_replaced(outcome)
        outcome.raise_failure()

    def _wait(self, outcome: _Outcome) -> Flow[None]:
        """Ask for the progress until all documents are processed or have failed."""
        unfinished = {v: k for k, v in outcome.document_ids.items()}

        def report() -> None:
            outcome.report(len(outcome.document_ids.keys() | outcome.failed) - len(unfinished))

        report()
        attempts = self.polling.iter_attempts(self.policy)
        percent: dict[str, int] = {}
        while unfinished:
            try:
                progress = yield from fetch_progress(self.dataset_id, [*unfinished], self.policy)
                if unfinished.keys() - progress.keys():
                    yield from self._note_deleted(unfinished, progress, outcome)
            except CozeError as error:
                for record_id in unfinished.values():
                    outcome.fail(record_id, _STATE_UNKNOWN, error)
                return
            outcome.note_progress(progress, unfinished)
            percent = {unfinished[k]: v.progress for k, v in progress.items() if k in unfinished}
            report()
            pause, _ = next(attempts, (None, 0.0)) if unfinished else (None, 0.0)
            if pause is None:
                break
            yield pause
        for record_id in unfinished.values():
            late = CozeTimeoutError(
                f"Coze did not process all documents ({len(unfinished)} left) within "
                f"poll_timeout={self.polling.timeout:g} s.",
                hint=knowledge_hints.STILL_PROCESSING,
                may_have_started=True,
            )
            reason = f"It is still being processed ({percent.get(record_id, 0)} %)."
            outcome.fail(record_id, reason, late)

    def _note_deleted(
        self, unfinished: dict[str, str], progress: Mapping[str, Any], outcome: _Outcome
    ) -> Flow[None]:
        """Fail the documents that Coze reports no progress of because they are not there."""
        infos = yield from list_documents(self.dataset_id, self.policy)
        listed = {info.document_id for info in infos}
        for document_id in [key for key in unfinished if key not in listed | progress.keys()]:
            outcome.fail(unfinished.pop(document_id), _GONE)

    # --- Deleting --------------------------------------------------------------------------------

    def _delete_replaced(self, outcome: _Outcome) -> Flow[None]:
        """Delete what documents replace that have been processed; until then it can be found."""
        replaced = [i for key in outcome.processed for i in outcome.outdated.get(key, ())]
        try:
            yield from self._delete(replaced)
        except CozeError as error:  # a second call deletes them
            outcome.error = outcome.error or error.with_context(hint=knowledge_hints.LEFTOVER)

    def delete(self, ids: Sequence[str]) -> Flow[list[str]]:
        """Delete documents by id and return the ids of those that were there."""
        known = (yield from self._list_by_id(ids)) if ids else {}
        by_document_id = {i.document_id: [i] for infos in known.values() for i in infos}
        found = {i: known.get(i) or by_document_id.get(i, []) for i in dict.fromkeys(ids)}
        yield from self._delete([i.document_id for infos in found.values() for i in infos])
        return [id_ for id_, infos in found.items() if infos]

    def _delete(self, document_ids: Sequence[str]) -> Flow[None]:
        """Delete documents by Coze's ids; those that are gone meanwhile are no failure."""
        try:
            yield from delete_documents(document_ids, self.policy)
        except CozeError as error:
            if not isinstance(error, ValueError):
                raise  # not a refusal
            infos = yield from list_documents(self.dataset_id, self.policy)
            listed = {info.document_id for info in infos}
            left = [document_id for document_id in document_ids if document_id in listed]
            if len(left) == len(document_ids):
                raise
            yield from delete_documents(left, self.policy)


def _is_refusal(error: CozeError) -> bool:
    """Return whether Coze refused a document, so that others may be accepted."""
    is_answer = error.code is not None or (error.status_code or _HTTP_OK) >= HTTP_ERROR
    return isinstance(error, _REFUSALS) and is_answer


def _get_id(info: DocumentInfo) -> str:
    return parse_name(info.name).record_id or info.document_id


def _make_version_key(info: DocumentInfo) -> tuple[bool, int, int]:
    """Return the sort key of a version of a document: that of the newest one is the greatest."""
    number = int(info.document_id) if info.document_id.isdecimal() else 0  # Coze counts upwards
    return info.status == PROCESSING, info.create_time, number


def _is_same(info: DocumentInfo, document: NewDocument) -> bool:
    """Return whether a document in Coze has the content of a new one, and has not failed."""
    digest = parse_name(info.name).digest
    return bool(digest) and document.name.digest.startswith(digest) and info.status != FAILED
