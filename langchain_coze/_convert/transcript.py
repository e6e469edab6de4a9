"""Write a history as one text, for servers that cannot take it as messages. Pure.

Coze Studio loses the order of the messages of a request, and the model node of its chatflows sees
only the last one (wire section 8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_coze._convert.attachments import Attachment

if TYPE_CHECKING:
    from collections.abc import Sequence

Part = str | Attachment

_LABELS = {"system": "System: ", "user": "User: ", "assistant": "Assistant: ", "note": ""}
_TURNS_HEADER = "Earlier messages of this conversation:"
_QUESTION_HEADER = "The message to answer:"


class TranscriptEntry(NamedTuple):
    """One message of a transcript.

    Attributes:
        role: Who wrote it; a `note` names its author itself.
        parts: Its texts and files.
    """

    role: Literal["system", "user", "assistant", "note"]
    parts: Sequence[Part]


def write_transcript(
    earlier: Sequence[TranscriptEntry], question: Sequence[Part] = ()
) -> list[Part]:
    """Return one text with the system messages, the earlier turns and the question.

    Args:
        earlier: The messages before the question, in order.
        question: The texts and files of the question, if it is to be part of the text.

    Returns:
        The text, followed by all files in order; the text marks where each file of an earlier
        message belongs.
    """
    files: list[Attachment] = []
    paragraphs: dict[bool, list[str]] = {True: [], False: []}  # by whether it is a system message
    for entry in earlier:
        texts = [part for part in entry.parts if isinstance(part, str) and part]
        for part in entry.parts:
            if isinstance(part, Attachment):
                files.append(part)
                texts.append(f"[{part.kind} {len(files)}]")
        paragraphs[entry.role == "system"].append(_LABELS[entry.role] + "\n".join(texts))
    sections = paragraphs[True]
    if paragraphs[False]:
        sections += [_TURNS_HEADER, *paragraphs[False]]
    if question:
        files += [part for part in question if isinstance(part, Attachment)]
        sections += [_QUESTION_HEADER, *(part for part in question if isinstance(part, str))]
    return ["\n\n".join(sections), *files]
