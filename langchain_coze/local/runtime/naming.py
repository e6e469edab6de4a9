"""Names and ids of what a server has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def derive_name(function: Any) -> str:
    """Return the name of a reply or function; that of its class when it has none."""
    if function is None:
        return "local_bot"
    name = getattr(function, "__name__", None) or getattr(function, "name", None)
    return name if isinstance(name, str) and name else type(function).__name__


def check_unique_ids(plural: str, ids: Sequence[str]) -> None:
    """Check that no id occurs twice; `plural` is what has them, for the message."""
    for known in ids:
        if ids.count(known) > 1:
            raise ValueError(f"two {plural} have the id {known}: give them different names or ids")
