"""Record the order of an answer's content blocks while streaming, and restore the blocks.

The `content` of messages is plain text, so that `print(message.content)` shows the answer. The
translator registered here builds LangChain's content blocks from it on demand. In most turns the
blocks have the default order (reasoning, then text). Otherwise `BlockOrder` adds small markers
under `additional_kwargs["coze_blocks"]`: the kind and length of each block of text, and other
blocks in full. When LangChain merges streamed chunks, their markers add up to those of the whole
message.
"""

from __future__ import annotations

from collections import Counter
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

# LangChain merges blocks of chunks by an index that starts with "lc_".
_FIRST_INDEX = {"reasoning": "lc_rs_0", "text": "lc_txt_0"}
_DEFAULT_ORDERS = (["text"], ["reasoning"], ["reasoning", "text"])

# LangChain adds the numbers of merged chunks, but skips a number that equals the sum so far.
# This is subtracted from the first length of a block, so that the sum stays negative and never
# equals a length.
_LENGTH_BASE = 10**12


class BlockOrder:
    """The order of the blocks of one turn, and the markers that record it."""

    __slots__ = ("_counts", "_index", "_is_default", "_order")

    def __init__(self) -> None:
        """Create an order without blocks."""
        self._order: list[BlockMarker] = []
        self._counts: Counter[TextKind] = Counter()  # of blocks
        self._index: dict[tuple[str, object], str] = {}
        self._is_default = True

    def has_block(self, kind: TextKind, owner: object) -> bool:
        """Return whether an answer already has a block of this kind."""
        return (kind, owner) in self._index

    def is_first(self, kind: TextKind, owner: object) -> bool:
        """Return whether an answer's block is the first of its kind and needs no markers."""
        return self._index.get((kind, owner)) == _FIRST_INDEX[kind]

    def list_owners(self, kind: TextKind) -> list[Any]:
        """Return the answers that have a block of this kind, in order."""
        return [owner for owner_kind, owner in self._index if owner_kind == kind]

    def add_text(self, kind: TextKind, owner: object, length: int) -> list[BlockMarker]:
        """Add a number of characters to the block of an answer, and return the markers."""
        index = self._index.get((kind, owner))
        markers: list[BlockMarker] = []
        if index is None:
            index = self._index[kind, owner] = f"{_FIRST_INDEX[kind][:-1]}{self._counts[kind]}"
            self._counts[kind] += 1
            markers = self._add({"type": kind, "index": index})
            length -= _LENGTH_BASE
        if self._is_default:
            return []
        if index == _FIRST_INDEX[kind]:
            return markers
        return [*markers[:-1], {"type": kind, "index": index, "length": length}]

    def add_block(self, block: Mapping[str, Any]) -> list[BlockMarker]:
        """Add a block that is not text, and return the markers for it."""
        return self._add({**block, "index": f"lc_block_{len(self._order)}"})

    def mark_citations(self) -> list[BlockMarker]:
        """Return the markers of the last chunk, which show where the citations belong."""
        index = next((m["index"] for m in reversed(self._order) if m["type"] == "text"), None)
        if self._is_default or index is None:
            return []
        length = {} if index == _FIRST_INDEX["text"] else {"length": 0}
        return [{"type": "text", "index": index, **length}]

    def list_markers(self, lengths: Mapping[tuple[str, object], int]) -> list[BlockMarker]:
        """Return the markers of the whole message, from the length of each block of text."""
        if self._is_default:
            return []
        by_index = {
            self._index[key]: length - _LENGTH_BASE
            for key, length in lengths.items()
            if self._index[key] not in _FIRST_INDEX.values()
        }
        return [
            {**marker, "length": by_index[marker["index"]]}
            if marker["index"] in by_index
            else marker
            for marker in self._order
        ]

    def _add(self, marker: BlockMarker) -> list[BlockMarker]:
        """Append a marker and return it, or all markers if the order is no longer the default."""
        self._order.append(marker)
        was_default = self._is_default
        self._is_default = was_default and [m["type"] for m in self._order] in _DEFAULT_ORDERS
        return self._order.copy() if was_default and not self._is_default else [marker]


def translate(message: AIMessage) -> list[ContentBlock]:
    """Return the standard content blocks of a complete message."""
    blocks = _order_blocks(message)
    for block in blocks:
        del block["index"]
    blocks += [{**call, "type": "tool_call"} for call in message.tool_calls]
    return blocks + [{**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls]


def translate_chunk(chunk: AIMessageChunk) -> list[ContentBlock]:
    """Return the standard content blocks of a chunk, or of the sum of all chunks."""
    if chunk.chunk_position == "last" and "model_name" in chunk.response_metadata:
        return translate(chunk)  # first and last chunk merged: a complete message
    return _order_blocks(chunk) + [
        {"type": "tool_call_chunk", **call, "index": f"lc_call_{call['index']}"}
        for call in chunk.tool_call_chunks
    ]


def _order_blocks(message: AIMessage) -> list[Any]:
    """Return the blocks of a message or chunk in order, each with its index."""
    markers = {m["index"]: m for m in message.additional_kwargs.get(MARKERS_KEY) or []}
    reasoning = message.additional_kwargs.get("reasoning_content") or ""
    text = str(message.text)  # a plain str: LangChain does not merge the subclass with str
    pieces = {
        **_split_text("reasoning", reasoning, markers, ""),
        **_split_text("text", text, markers, SEPARATOR),
    }
    order = [*(index for index in _FIRST_INDEX.values() if index not in markers), *markers]
    cited = to_citations(message.response_metadata.get("knowledge_recall") or [])
    last = next((i for i in reversed(order) if i.startswith("lc_txt_")), "") if cited else ""
    blocks: list[Any] = []
    for index in order:
        piece = pieces.get(index, "")
        if index.startswith("lc_block_"):
            blocks.append(dict(markers[index]))
        elif index == last and (piece or not text):
            blocks.append({"type": "text", "text": piece, "annotations": cited, "index": index})
        elif piece:
            kind = "text" if index.startswith("lc_txt_") else "reasoning"
            blocks.append({"type": kind, kind: piece, "index": index})
    return blocks


def _split_text(
    kind: TextKind, text: str, markers: dict[str, BlockMarker], separator: str
) -> dict[str, str]:
    """Split a text by the markers, from its end; the first piece gets the rest."""
    pieces: dict[str, str] = {}
    for index in reversed(markers):
        if markers[index]["type"] != kind or index == _FIRST_INDEX[kind]:
            continue
        start = len(text) - markers[index].get("length", 0) % _LENGTH_BASE
        if start < 0:  # the text was changed later
            break
        text, pieces[index] = text[:start], text[start:]
        if pieces[index]:
            text = text.removesuffix(separator)
    pieces[_FIRST_INDEX[kind]] = text
    return pieces


register_translator(PROVIDER, translate, translate_chunk)
