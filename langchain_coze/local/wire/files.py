"""Uploaded files (wire 5.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file.

    Attributes:
        id: Its id.
        name: Its file name.
        data: Its bytes.
        created_at: Unix time in seconds.
        owner: Id of the account that uploaded it.
    """

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
