"""Names of documents in a knowledge base that carry the id of a LangChain document. Pure.

The name is the only field of a document that Coze stores and returns (wire section 5.5). So a
document that this package adds is called `TITLE [lc:ID:DIGEST]`: the id finds it again, also in
another process, and the digest of its content says whether it has changed. Coze may append the file
type, as in its own sample (`….pdf.pdf`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ID_LENGTH = 128
"""The longest id: that of LangChain's longest key encoder."""

_MAX_NAME_LENGTH = 100  # unless the id alone is longer
_DIGEST_LENGTH = 12
_MARKER = re.compile(
    rf"\s*\[lc:(.+):([0-9a-f]{{{_DIGEST_LENGTH}}})\](?:\.\w{{1,5}})?\s*$", re.DOTALL
)
_START = "[lc:"


class RecordName(NamedTuple):
    """The parts of a name; without an id, the document was not added by this package."""

    title: str
    record_id: str = ""
    digest: str = ""

    def format(self) -> str:
        """Return the name; the title is cut so that the id fits."""
        marker = f"{_START}{self.record_id}:{self.digest[:_DIGEST_LENGTH]}]"
        title = " ".join(self.title.split())[: max(0, _MAX_NAME_LENGTH - len(marker) - 1)]
        return f"{title} {marker}" if title else marker


def parse_name(name: str) -> RecordName:
    """Return the parts of a document's name."""
    found = _MARKER.search(name) if _START in name else None
    return RecordName(name[: found.start()], found[1], found[2]) if found else RecordName(name)


def clean_name(name: str) -> str:
    """Return a document's name for readers: its title, or its id if it has none."""
    parts = parse_name(name)
    return parts.title or parts.record_id or name
