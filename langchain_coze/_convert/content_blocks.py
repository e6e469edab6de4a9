"""The content blocks of an answer: which block follows which, told while streaming and read back.

The `content` of our messages is plain text, so that `print(message.content)` shows the answer. What
LangChain calls content blocks is made from it on demand by the translator registered here. In most
turns the order is obvious (reasoning, then text); in the others `Layout` puts small marks under
`additional_kwargs["coze_blocks"]`: the kind of each block, its length where it is a piece of the
text, or the whole block where it is something else. Marks of streamed chunks add up, as LangChain
merges them, to the marks of the whole message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages.block_translators import register_translator

from langchain_coze._convert.chunks import PROVIDER
from langchain_coze._convert.recall import citations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages import AIMessage, AIMessageChunk
    from langchain_core.messages.content import ContentBlock

SEPARATOR = "\n\n"
"""What stands between two answers of one turn."""

MARKS = "coze_blocks"
"""The key of the marks in `additional_kwargs`."""

Kind = Literal["text", "reasoning"]
Mark = dict[str, Any]

# An index that starts with "lc_" keeps blocks apart when LangChain merges chunks.
_INDEX: Mapping[str, str] = {"text": "lc_txt_{}", "reasoning": "lc_rs_{}"}
_FIRST = {kind: index.format(0) for kind, index in _INDEX.items()}
_PLAIN = (["text"], ["reasoning"], ["reasoning", "text"])


class Layout:
    """The blocks of one turn in their order, and the marks that tell it."""

    __slots__ = ("_index", "_order", "_plain")

    def __init__(self) -> None:
        """Begin with no block."""
        self._order: list[Mark] = []
        self._index: dict[tuple[str, object], str] = {}
        self._plain = True

    def knows(self, kind: Kind, owner: object) -> bool:
        """Return whether an answer has such a block already."""
        return (kind, owner) in self._index

    def is_first(self, kind: Kind, owner: object) -> bool:
        """Return whether an answer's block is the first of its kind, which needs no marks."""
        return self._index.get((kind, owner)) == _FIRST[kind]

    def owners(self, kind: Kind) -> list[Any]:
        """Return the answers that have such a block, in order."""
        return [owner for known, owner in self._index if known == kind]

    def say(self, kind: Kind, owner: object, length: int) -> list[Mark]:
        """Add some text to an answer's block of a kind, and return the marks for it.

        Args:
            kind: Which block.
            owner: Anything that stands for the answer.
            length: How many characters are added.
        """
        index = self._index.get((kind, owner))
        marks = []
        if index is None:
            count = sum(mark["type"] == kind for mark in self._order)
            index = self._index[kind, owner] = _INDEX[kind].format(count)
            marks = self._add({"type": kind, "index": index})
        if self._plain:
            return []
        if index == _FIRST[kind]:
            return marks
        return [*marks[:-1], {"type": kind, "index": index, "length": length}]

    def place(self, block: Mapping[str, Any]) -> list[Mark]:
        """Add a block that is no text, and return the marks for it.

        Args:
            block: A standard content block.
        """
        return self._add({**block, "index": f"lc_block_{len(self._order)}"})

    def cite(self) -> list[Mark]:
        """Return the marks of the last chunk, which say where citations stand."""
        texts = [mark for mark in self._order if mark["type"] == "text"]
        if self._plain or not texts:
            return []
        last = {"type": "text", "index": texts[-1]["index"]}
        return [last if last["index"] == _FIRST["text"] else {**last, "length": 0}]

    def whole(self, lengths: Mapping[tuple[str, object], int]) -> list[Mark]:
        """Return the marks of the whole message.

        Args:
            lengths: The characters of each block of text, by kind and owner.
        """
        if self._plain:
            return []
        by_index = {self._index[key]: length for key, length in lengths.items()}
        return [
            {**mark, "length": by_index.get(mark["index"], 0)}
            if mark["type"] in _FIRST and mark["index"] != _FIRST[mark["type"]]
            else mark
            for mark in self._order
        ]

    def _add(self, mark: Mark) -> list[Mark]:
        self._order.append(mark)
        was_plain, self._plain = self._plain, self._plain and self._obvious()
        return self._order.copy() if was_plain and not self._plain else [mark]

    def _obvious(self) -> bool:
        return [mark["type"] for mark in self._order] in _PLAIN


def translate(message: AIMessage) -> list[ContentBlock]:
    """Return the standard content blocks of a whole message.

    Args:
        message: A message from `ChatCoze`, with its content as a str.
    """
    blocks = _laid_out(message)
    for block in blocks:
        del block["index"]
    return blocks + _tool_calls(message)


def translate_chunk(chunk: AIMessageChunk) -> list[ContentBlock]:
    """Return the standard content blocks of a chunk, or of the sum of all chunks.

    Args:
        chunk: A chunk from `ChatCoze`, or a sum of chunks, with its content as a str.
    """
    if chunk.chunk_position == "last" and "model_name" in chunk.response_metadata:
        return translate(chunk)  # the beginning and the end: the whole message
    calls: list[Any] = [
        {"type": "tool_call_chunk", **call, "index": f"lc_call_{call['index']}"}
        for call in chunk.tool_call_chunks
    ]
    return _laid_out(chunk) + calls


def _tool_calls(message: AIMessage) -> list[ContentBlock]:
    calls: list[ContentBlock] = [
        {"type": "tool_call", "id": call["id"], "name": call["name"], "args": call["args"]}
        for call in message.tool_calls
    ]
    invalid: list[ContentBlock] = [
        {
            "type": "invalid_tool_call",
            "id": call["id"],
            "name": call["name"],
            "args": call["args"],
            "error": call["error"],
        }
        for call in message.invalid_tool_calls
    ]
    return calls + invalid


def _laid_out(message: AIMessage) -> list[Any]:
    """Return the blocks of a message or chunk in their order, each with its index."""
    marks: list[Mark] = message.additional_kwargs.get(MARKS) or []
    thoughts = message.additional_kwargs.get("reasoning_content") or ""
    text = str(message.text)  # a plain str: its subclass would not merge with one
    pieces = {
        **_pieces("reasoning", thoughts, marks, ""),
        **_pieces("text", text, marks, SEPARATOR),
    }
    order = [mark["index"] for mark in marks]
    order = [_FIRST[kind] for kind in ("reasoning", "text") if _FIRST[kind] not in order] + order
    others = {mark["index"]: mark for mark in marks if mark["type"] not in _FIRST}
    cited = citations(message.response_metadata.get("knowledge_recall") or [])
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


def _pieces(kind: Kind, text: str, marks: list[Mark], separator: str) -> dict[str, str]:
    """Cut a text into the pieces that the marks tell, from its end; the first takes the rest."""
    pieces: dict[str, str] = {}
    for mark in reversed(marks):
        if mark["type"] != kind or mark["index"] == _FIRST[kind]:
            continue
        begin = len(text) - mark.get("length", 0)
        if begin < 0:  # not our text any more: somebody has changed it
            break
        text, pieces[mark["index"]] = text[:begin], text[begin:]
        if pieces[mark["index"]]:
            text = text.removesuffix(separator)
    pieces[_FIRST[kind]] = text
    return pieces


register_translator(PROVIDER, translate, translate_chunk)
