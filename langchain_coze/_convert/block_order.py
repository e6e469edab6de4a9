"""Record the order of an answer's content blocks while streaming, and restore the blocks from it.

The `content` of our messages is plain text, so that `print(message.content)` shows the answer. The
translator registered here builds LangChain's content blocks from it on demand. In most turns the
blocks have the default order (reasoning, then text). Otherwise `BlockOrder` adds small markers
under `additional_kwargs["coze_blocks"]`: the kind of each block, with its length if it is a part of
the text, or the block itself if it is anything else. When LangChain merges streamed chunks, their
markers add up to those of the whole message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages.block_translators import register_translator

from langchain_coze._convert.chunks import PROVIDER
from langchain_coze._convert.recall import to_citations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages.content import ContentBlock

SEPARATOR = "\n\n"
"""The text between two answers of one turn."""

MARKERS_KEY = "coze_blocks"
"""The key of the markers in `additional_kwargs`."""

TextKind = Literal["text", "reasoning"]
BlockMarker = dict[str, Any]

# An index that starts with "lc_" keeps blocks apart when LangChain merges chunks.
_INDEX_FORMAT: Mapping[str, str] = {"text": "lc_txt_{}", "reasoning": "lc_rs_{}"}
_FIRST_INDEX = {kind: index.format(0) for kind, index in _INDEX_FORMAT.items()}
_DEFAULT_ORDERS = (["text"], ["reasoning"], ["reasoning", "text"])


class BlockOrder:
    """The order of the blocks of one turn, and the markers that record it."""

    __slots__ = ("_counts", "_index", "_is_default", "_lengths", "_order")

    def __init__(self) -> None:
        """Create an order without blocks."""
        self._order: list[BlockMarker] = []
        self._counts: dict[str, int] = {"text": 0, "reasoning": 0}  # of blocks
        self._index: dict[tuple[str, object], str] = {}
        self._lengths: dict[str, int] = {}  # the sums of the lengths in the markers
        self._is_default = True

    def has_block(self, kind: TextKind, owner: object) -> bool:
        """Return whether an answer already has a block of this kind."""
        return (kind, owner) in self._index

    def is_first(self, kind: TextKind, owner: object) -> bool:
        """Return whether an answer's block is the first of its kind, which needs no markers."""
        return self._index.get((kind, owner)) == _FIRST_INDEX[kind]

    def list_owners(self, kind: TextKind) -> list[Any]:
        """Return the answers that have a block of this kind, in order."""
        return [owner for owner_kind, owner in self._index if owner_kind == kind]

    def add_text(self, kind: TextKind, owner: object, length: int) -> list[BlockMarker]:
        """Add a number of characters to an answer's block of a kind, and return the markers.

        The `owner` is any object that represents the answer.
        """
        index = self._index.get((kind, owner))
        markers = []
        if index is None:
            index = self._index[kind, owner] = _INDEX_FORMAT[kind].format(self._counts[kind])
            self._counts[kind] += 1
            markers = self._add({"type": kind, "index": index})
        if self._is_default:
            return []
        if index == _FIRST_INDEX[kind]:
            return markers
        return [*markers[:-1], *self._add_length({"type": kind, "index": index}, length)]

    def _add_length(self, marker: BlockMarker, length: int) -> list[BlockMarker]:
        """Return the markers that add a length to those before.

        LangChain adds the numbers of merged chunks, but leaves a number that is equal to the sum so
        far as it is. Such a length is added in two steps.
        """
        total = self._lengths.get(marker["index"], 0)
        self._lengths[marker["index"]] = total + length
        steps = [length + 1, -1] if length and length == total else [length]
        return [{**marker, "length": step} for step in steps]

    def add_block(self, block: Mapping[str, Any]) -> list[BlockMarker]:
        """Add a block that is not text, and return the markers for it."""
        return self._add({**block, "index": f"lc_block_{len(self._order)}"})

    def mark_citations(self) -> list[BlockMarker]:
        """Return the markers of the last chunk, which locate the citations."""
        texts = [marker for marker in self._order if marker["type"] == "text"]
        if self._is_default or not texts:
            return []
        last = {"type": "text", "index": texts[-1]["index"]}
        return [last if last["index"] == _FIRST_INDEX["text"] else {**last, "length": 0}]

    def list_markers(self, lengths: Mapping[tuple[str, object], int]) -> list[BlockMarker]:
        """Return the markers of the whole message, from the length of each block of text."""
        if self._is_default:
            return []
        by_index = {self._index[key]: length for key, length in lengths.items()}
        return [
            {**marker, "length": by_index.get(marker["index"], 0)}
            if marker["type"] in _FIRST_INDEX and marker["index"] != _FIRST_INDEX[marker["type"]]
            else marker
            for marker in self._order
        ]

    def _add(self, marker: BlockMarker) -> list[BlockMarker]:
        """Append a marker and return it, or all markers when the order stops being the default."""
        self._order.append(marker)
        was_default = self._is_default
        self._is_default = was_default and [m["type"] for m in self._order] in _DEFAULT_ORDERS
        return self._order.copy() if was_default and not self._is_default else [marker]


def translate(message: AIMessage) -> list[ContentBlock]:
    """Return the standard content blocks of a complete message."""
    blocks = _order_blocks(message)
    for block in blocks:
        del block["index"]
    return blocks + _build_tool_call_blocks(message)


def translate_chunk(chunk: AIMessageChunk) -> list[ContentBlock]:
    """Return the standard content blocks of a chunk, or of the sum of all chunks."""
    if chunk.chunk_position == "last" and "model_name" in chunk.response_metadata:
        return translate(chunk)  # first and last chunk merged: a complete message
    calls: list[Any] = [
        {"type": "tool_call_chunk", **call, "index": f"lc_call_{call['index']}"}
        for call in chunk.tool_call_chunks
    ]
    return _order_blocks(chunk) + calls


def _build_tool_call_blocks(message: AIMessage) -> list[Any]:
    calls = [{**call, "type": "tool_call"} for call in message.tool_calls]
    return calls + [{**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls]


def _order_blocks(message: AIMessage) -> list[Any]:
    """Return the blocks of a message or chunk in order, each with its index."""
    markers = _read_markers(message)
    reasoning = message.additional_kwargs.get("reasoning_content") or ""
    text = str(message.text)  # a plain str: LangChain does not merge its subclass with str
    pieces = {
        **_split_text("reasoning", reasoning, markers, ""),
        **_split_text("text", text, markers, SEPARATOR),
    }
    marked = [marker["index"] for marker in markers]
    first = (_FIRST_INDEX["reasoning"], _FIRST_INDEX["text"])
    order = [*(index for index in first if index not in marked), *marked]
    others = {mark["index"]: mark for mark in markers if mark["type"] not in _FIRST_INDEX}
    cited = to_citations(message.response_metadata.get("knowledge_recall") or [])
    last = next((i for i in reversed(order) if i.startswith("lc_txt_")), "") if cited else ""
    blocks: list[Any] = []
    for index in order:
        if index in others:
            blocks.append(dict(others[index]))
        elif index == last and (pieces.get(index) or not text):
            piece = pieces.get(index, "")
            blocks.append({"type": "text", "text": piece, "annotations": cited, "index": index})
        elif pieces.get(index):
            kind = "text" if index.startswith("lc_txt_") else "reasoning"
            blocks.append({"type": kind, kind: pieces[index], "index": index})
    return blocks


def _read_markers(message: AIMessage) -> list[BlockMarker]:
    """Return the markers of a message or chunk, one for each block."""
    markers: dict[str, BlockMarker] = {}
    for marker in message.additional_kwargs.get(MARKERS_KEY) or []:
        earlier = markers.setdefault(marker["index"], marker)
        if earlier is not marker:  # a length that is added in two steps
            length = earlier.get("length", 0) + marker.get("length", 0)
            markers[marker["index"]] = {**earlier, "length": length}
    return list(markers.values())


def _split_text(
    kind: TextKind, text: str, markers: list[BlockMarker], separator: str
) -> dict[str, str]:
    """Cut a text into pieces by the markers, starting at its end; the first takes the rest."""
    pieces: dict[str, str] = {}
    for marker in reversed(markers):
        if marker["type"] != kind or marker["index"] == _FIRST_INDEX[kind]:
            continue
        start = len(text) - marker.get("length", 0)
        if start < 0:  # the text has been changed since
            break
        text, pieces[marker["index"]] = text[:start], text[start:]
        if pieces[marker["index"]]:
            text = text.removesuffix(separator)
    pieces[_FIRST_INDEX[kind]] = text
    return pieces


register_translator(PROVIDER, translate, translate_chunk)
