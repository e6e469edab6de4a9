"""Names of documents in a knowledge base that carry the id of a LangChain document. Pure.

The name is the only field of a document that Coze stores and returns (wire section 5.5). So a
document that this package adds is called `TITLE [lc:ID:DIGEST]`: the id finds it again, also in
another process, and the digest of its content says whether it has changed. Coze may append the file
type, as in its own sample (`….pdf.pdf`).

A hash as id, such as `langchain_core.indexing.index` makes with `key_encoder="sha256"`, would leave
no room for the title. It is therefore written as base64.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

MAX_ID_LENGTH = 128
"""The longest id: that of LangChain's longest key encoder."""

_MAX_NAME_LENGTH = 100  # unless the id alone is longer
_DIGEST_LENGTH = 12
_START = "[lc:"
_MARKER = re.compile(
    rf"\s*\[lc:(.+):([0-9a-f]{{{_DIGEST_LENGTH}}})\](?:\.\w{{1,5}})?\s*$", re.DOTALL
)
_HASH = re.compile(r"(?:[0-9a-f]{2}){20,64}")
_PACKED = "~"


class RecordName(NamedTuple):
    """The parts of a name; without an id, the document was not added by this package."""

    title: str
    record_id: str = ""
    digest: str = ""

    def format(self) -> str:
        """Return the name; the title is cut so that the id fits, a path at its beginning."""
        marker = f"{_START}{_pack(self.record_id)}:{self.digest[:_DIGEST_LENGTH]}]"
        title = " ".join(self.title.split()).replace(_START, "[lc ")  # only the marker has it
        room = max(0, _MAX_NAME_LENGTH - len(marker) - 1)
        if len(title) > room > 0:
            title = f"…{title[len(title) - room + 1 :]}" if "/" in title else title[:room]
        return f"{title} {marker}" if title and room else marker


def parse_name(name: str) -> RecordName:
    """Return the parts of a document's name."""
    found = _MARKER.search(name) if _START in name else None
    if found is None:
        return RecordName(name)
    return RecordName(name[: found.start()], _unpack(found[1]), found[2])


def clean_name(name: str) -> str:
    """Return a document's name for readers: its title, or its id if it has none."""
    parts = parse_name(name)
    return parts.title or parts.record_id or name


def _pack(record_id: str) -> str:
    """Return an id as it stands in a name: a hash in hexadecimal digits is shortened."""
    if _HASH.fullmatch(record_id):
        packed = base64.urlsafe_b64encode(bytes.fromhex(record_id)).decode().rstrip("=")
        return _PACKED + packed
    return _PACKED + record_id if record_id.startswith(_PACKED) else record_id


def _unpack(packed: str) -> str:
    """Return the id that `_pack` has written."""
    if not packed.startswith(_PACKED):
        return packed
    packed = packed.removeprefix(_PACKED)
    if packed.startswith(_PACKED):
        return packed
    try:
        return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).hex()
    except ValueError:
        return _PACKED + packed  # somebody has renamed the document
