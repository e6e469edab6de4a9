"""A check of ids that people paste: an address or a name in place of the number."""

from __future__ import annotations

import re
from typing import Any

from langchain_coze import _account_hints as account_hints
from langchain_coze import _hints as hints
from langchain_coze.errors import CozeInvalidRequestError

# Of an address, a path or a name; other ids are for Coze to judge.
_NO_ID = re.compile(r"[\s/\\?#%\x00-\x1f\x7f]|^\.+$")
_KINDS = {
    "bot_id": "/bot/",
    "workflow_id": "workflow_id=",
    "app_id": "/project-ide/",
    "workspace_id": "/space/",
}


def validate_ids(**ids: str | None) -> None:
    """Reject an address in place of an id, and text with spaces.

    Args:
        ids: The ids by the names of their arguments.

    Raises:
        CozeInvalidRequestError: One of them is no id; the hint has the id that an address contains.
    """
    for name, value in ids.items():
        if value and _NO_ID.search(value):
            raise _refuse(name, value)


def require_id(name: str, value: Any) -> str:
    """Return an id as text; reject a missing one and what `validate_ids` rejects.

    Args:
        name: The name of the argument.
        value: The id: a str or an int.

    Raises:
        CozeInvalidRequestError: The value is no id.
    """
    if not value or isinstance(value, bool) or not isinstance(value, str | int):
        raise _refuse(name, value)
    validate_ids(**{name: str(value)})
    return str(value)


def _refuse(name: str, value: Any) -> CozeInvalidRequestError:
    before = _KINDS.get(name)
    found = re.search(rf"{before}(\d+)", str(value)) if before else None
    hint = hints.ID_IN_URL if found else hints.ID_FORM if before else account_hints.STORED_ID
    return CozeInvalidRequestError(
        f"{name}={value!r} is not an id.",
        hint=hint.format(name=name, before=before, id=found and found[1]),
    )
