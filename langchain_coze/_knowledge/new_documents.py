"""Documents to add to a knowledge base, checked before anything is sent (wire section 5.5)."""

from __future__ import annotations

import base64
import hashlib
import math
import uuid
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from langchain_core.documents import Document

from langchain_coze import _knowledge_hints as knowledge_hints
from langchain_coze._convert.record_names import MAX_ID_LENGTH, RecordName
from langchain_coze._environment import has_valid_address
from langchain_coze.errors import CozeInvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    File: TypeAlias = str | Path | tuple[str, bytes]

_FILE_TYPES = frozenset({"pdf", "txt", "doc", "docx"})
_MAX_SIZE = 11 * 1024 * 1024  # bytes; as base64 just below the 15 MB of a request (wire 1.6)
_MIN_INTERVAL = 24  # hours
_WEB_PAGE = 1


class NewDocument(NamedTuple):
    """A document to add.

    Attributes:
        name: Its title, its id, and the digest of its content.
        size: The bytes of its content.
        read_source: Reads its content as the `source_info` of a request; raises an `OSError`.
        update_rule: When Coze reads a web page again, or None.
        has_new_id: Whether its id was made for it, so that nothing in Coze can have it.
    """

    name: RecordName
    size: int
    read_source: Callable[[], Mapping[str, Any]]
    update_rule: Mapping[str, int] | None = None
    has_new_id: bool = False

    @property
    def record_id(self) -> str:
        """The id that finds the document again."""
        return self.name.record_id

    def build_base(self) -> dict[str, Any]:
        """Return the document as an entry of a request; reads its content."""
        base = {"name": self.name.format(), "source_info": self.read_source()}
        return base | ({"update_rule": self.update_rule} if self.update_rule else {})


def prepare_documents(
    documents: Iterable[Document], ids: Sequence[str] | None
) -> list[NewDocument]:
    """Return LangChain documents as documents to add.

    Raises:
        CozeInvalidRequestError: One is no document, has no text or is too large, or an id is
            missing, invalid or not unique.
    """
    items = _list_items(documents, Document)
    for number, item in enumerate(items):
        if not isinstance(item, Document) or not item.page_content.strip():
            problem = (
                "is empty" if isinstance(item, Document) else f"is of type {type(item).__name__}"
            )
            raise _refuse(f"Document {number} {problem}.", knowledge_hints.DOCUMENT)
    given = [item.id for item in items] if ids is None else ids
    record_ids = _complete_ids(given, len(items))
    return [
        _prepare(_find_title(item), partial(_encode, item.page_content), "txt", record_id)
        for item, record_id in zip(items, record_ids, strict=True)
    ]


def prepare_files(files: Iterable[File], ids: Sequence[str] | None) -> list[NewDocument]:
    """Return files as documents to add; a path is read again when it is sent.

    Raises:
        CozeInvalidRequestError: A file does not exist, is empty or too large, or is of a type that
            Coze does not accept; or an id is missing, invalid or not unique.
    """
    contents = [_open_file(file) for file in _list_items(files, Path)]
    record_ids = _complete_ids(ids, len(contents))
    return [
        _prepare(name, read, kind, record_id)
        for (name, read, kind), record_id in zip(contents, record_ids, strict=True)
    ]


def prepare_urls(
    urls: Iterable[str], ids: Sequence[str] | None, update_interval: int | None
) -> list[NewDocument]:
    """Return web pages as documents to add.

    Raises:
        CozeInvalidRequestError: An address or the interval is invalid, or an id is missing, invalid
            or not unique.
    """
    if update_interval is not None and not _is_interval(update_interval):
        text = f"update_interval is {update_interval!r}."
        raise _refuse(text, knowledge_hints.UPDATE_INTERVAL)
    addresses = _list_items(urls)
    for url in addresses:
        is_web = isinstance(url, str) and url.lower().startswith(("https://", "http://"))
        if not is_web or not has_valid_address(url):
            raise _refuse(f"{url!r} is not a web address.", knowledge_hints.PAGE_ADDRESS)
    rule = {"update_type": 1, "update_interval": update_interval} if update_interval else None
    return [
        NewDocument(
            # nobody knows whether a page has changed, so the same page never has the same digest
            name=RecordName(url, record_id, uuid.uuid4().hex),
            size=len(url),
            read_source=partial(dict[str, Any], web_url=url, document_source=_WEB_PAGE),
            update_rule=rule,
            has_new_id=is_new,
        )
        for url, (record_id, is_new) in zip(
            addresses, _complete_ids(ids, len(addresses)), strict=True
        )
    ]


def iter_batches(
    documents: Sequence[NewDocument], max_documents: int
) -> Iterator[Sequence[NewDocument]]:
    """Yield the documents of each request: not too many, and not too large."""
    batch: list[NewDocument] = []
    size = 0
    for document in documents:
        if batch and (len(batch) == max_documents or size + document.size > _MAX_SIZE):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += document.size
    if batch:
        yield batch


def read_bases(batch: Sequence[NewDocument]) -> list[dict[str, Any] | CozeInvalidRequestError]:
    """Return the entries of a request; the error of a document that cannot be read any more."""
    bases: list[dict[str, Any] | CozeInvalidRequestError] = []
    for document in batch:
        try:
            bases.append(document.build_base())
        except OSError as error:  # the file was there when the call began
            bases.append(_refuse_file(document.name.title, error))
    return bases


def _list_items(items: Iterable[Any], kind: type = str) -> list[Any]:
    """Return the items of a call; one item without a list is refused."""
    if isinstance(items, (str, bytes, kind)) or not hasattr(items, "__iter__"):
        name = type(items).__name__
        raise _refuse(f"A single {name} was passed, not a list.", knowledge_hints.LIST)
    return list(items)


def _is_interval(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= _MIN_INTERVAL


def _open_file(file: File) -> tuple[str, Callable[[], bytes], str]:
    """Return the name of a file, a function that reads it, and its type."""
    if isinstance(file, (str, Path)):
        name, read = Path(file).name, Path(file).read_bytes
    elif isinstance(file, tuple) and len(file) == 2 and isinstance(file[1], bytes):  # noqa: PLR2004 - a pair
        name, read = str(file[0]), partial(bytes, file[1])
    else:
        raise _refuse(f"A file is of type {type(file).__name__}.", knowledge_hints.FILE)
    kind = name.rpartition(".")[2].lower() if "." in name else ""
    if kind not in _FILE_TYPES:
        raise _refuse(f"{name!r} has a type that Coze refuses.", knowledge_hints.FILE_TYPE)
    return name, read, kind


def _prepare(
    title: str, read: Callable[[], bytes], kind: str, record_id: tuple[str, bool]
) -> NewDocument:
    """Return a text or a file as a document to add; its content is not kept."""
    try:
        content = read()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise _refuse_file(title, error) from error
    if not content.strip():
        raise _refuse(f"{title!r} is empty.", knowledge_hints.FILE)
    if len(content) > _MAX_SIZE:
        size = f"{math.ceil(len(content) * 10 / 1024**2) / 10} MB"
        raise _refuse(f"{title!r} is too large ({size}).", knowledge_hints.TOO_LARGE)
    digest = hashlib.sha256(b"\0".join((_encode(title), content))).hexdigest()
    return NewDocument(
        name=RecordName(title, record_id[0], digest),
        size=len(content),
        read_source=lambda: {"file_base64": base64.b64encode(read()).decode(), "file_type": kind},
        has_new_id=record_id[1],
    )


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _find_title(document: Document) -> str:
    """Return what a reader sees as the name of a document."""
    metadata = document.metadata
    named = metadata.get("title") or metadata.get("source")
    return str(named or document.page_content.strip().partition("\n")[0][:40])


def _complete_ids(ids: Sequence[Any] | None, count: int) -> list[tuple[str, bool]]:
    """Return an id for each document, and whether it is new."""
    given = [None] * count if ids is None else _list_items(ids)
    known = [id_ for id_ in given if id_ is not None]
    wrong = [id_ for id_ in known if not _is_id(id_)]
    if not wrong and len(set(known)) < len(known):
        wrong = [id_ for id_, times in Counter(known).items() if times > 1]
    if wrong or len(given) != count:
        text = f"The id {wrong[0]!r} cannot be used." if wrong else f"Number of ids: {len(given)}."
        hint = knowledge_hints.IDS.format(limit=MAX_ID_LENGTH)
        raise _refuse(f"{text} Number of documents: {count}.", hint)
    return [(id_ or str(uuid.uuid4()), id_ is None) for id_ in given]


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH and value.isprintable()


def _refuse_file(name: str, error: OSError | ValueError) -> CozeInvalidRequestError:
    reason = getattr(error, "strerror", None) or error
    return _refuse(f"{name!r} cannot be read ({reason}).", knowledge_hints.FILE)


def _refuse(message: str, hint: str) -> CozeInvalidRequestError:
    return CozeInvalidRequestError(message, hint=hint)
