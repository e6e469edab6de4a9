"""A check of ids that people paste: an address or a name in place of the number."""

from __future__ import annotations

import re

from langchain_coze import _hints as hints
from langchain_coze.errors import CozeInvalidRequestError

_NO_ID = re.compile(r"[\s/]")  # of an address or of a name; other ids are for Coze to judge
_KINDS = {"bot_id": "/bot/", "workflow_id": "workflow_id=", "app_id": "/project-ide/"}


def validate_ids(**ids: str | None) -> None:
    """Reject an address in place of an id, and text with spaces.

    Args:
        ids: The ids by the names of their arguments.

    Raises:
        CozeInvalidRequestError: One of them is no id; the hint has the id that an address contains.
    """
    for name, value in ids.items():
        if value and _NO_ID.search(value):
            before = _KINDS[name]
            found = re.search(rf"{before}(\d+)", value)
            hint = hints.ID_IN_URL if found else hints.ID_FORM
            raise CozeInvalidRequestError(
                f"{name}={value!r} is not an id.",
                hint=hint.format(name=name, before=before, id=found and found[1]),
            )
