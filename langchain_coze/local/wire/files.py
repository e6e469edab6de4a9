"""Uploaded files (wire 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_OFFICE = {"docx", "xlsx", "pptx", "numbers", "zip"}
# Signatures of file types, and the extensions that match them.
_KINDS: tuple[tuple[bytes, set[str]], ...] = (
    (b"\x89PNG\r\n\x1a\n", {"png"}),
    (b"\xff\xd8\xff", {"jpg", "jpeg", "jpg2"}),
    (b"GIF8", {"gif"}),
    (b"%PDF-", {"pdf"}),
    (b"PK\x03\x04", _OFFICE),
    (b"\xd0\xcf\x11\xe0", {"doc", "xls", "ppt"}),
)
_KNOWN_EXTENSIONS = {name for _, names in _KINDS for name in names}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file, and the account that uploaded it."""

    id: str
    name: str
    data: bytes = field(repr=False)
    created_at: int
    owner: str

    def as_json(self) -> dict[str, Any]:
        """Return the file object of the API."""
        return {
            "bytes": len(self.data),
            "created_at": self.created_at,
            "file_name": self.name,
            "id": self.id,
        }


def has_right_extension(name: str, data: bytes) -> bool:
    """Return whether a file's extension matches its content, if the type is known (wire 5.3).

    It is inferred, not recorded, that `.bin` matches nothing. Names without an extension are
    accepted.
    """
    extension = name.rpartition(".")[2].lower() if "." in name else ""
    fitting = next((names for start, names in _KINDS if data.startswith(start)), None)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        fitting = {"webp"}
    if fitting is not None:
        return not extension or extension in fitting
    return extension not in _KNOWN_EXTENSIONS | {"bin", "webp"}
