"""Files as parameters of workflows (wire 4.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import CoreSchema, core_schema

from langchain_coze.local.turn_context import TurnFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

    from langchain_coze.local.wire.files import StoredFile

_FORMS = 'a file is given as its address, or as the JSON text {"file_id":"…"}'


@dataclass(frozen=True, slots=True)
class FileKind:
    """Marks a parameter of a workflow as a file.

    The function gets a `TurnFile`. Clients send the address of the file, or the JSON text
    `{"file_id":"…"}` of an upload.

    Attributes:
        kind: The type in the workflow's schema. Coze's pages show `image`; its other names are
            not documented.

    Source: Coze API, workflow run and workflow info (wire 4.2, 4.7).

    Example:
        >>> from typing import Annotated
        >>> def describe(photo: Annotated[TurnFile, FileKind("image")]) -> str:
        ...     return photo.url
    """

    kind: str = "file"

    def __get_pydantic_core_schema__(
        self, _source: Any, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Read what a client sends."""
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The type by Coze's name."""
        return {"type": self.kind}

    def _read(self, value: Any, info: core_schema.ValidationInfo) -> TurnFile:
        if isinstance(value, dict):  # in the values of a form (wire 4.4)
            value = json.dumps(value)
        if not isinstance(value, str) or not value:
            raise ValueError(_FORMS)
        if value.startswith(("http://", "https://")):
            return TurnFile(self.kind, url=value)
        uploads: Mapping[str, StoredFile] = info.context or {}
        stored = uploads.get(_file_id(value))
        if stored is None:
            raise ValueError(f"no file with this file_id was uploaded; {_FORMS}")
        return TurnFile(self.kind, stored.name, stored.data)


def _file_id(text: str) -> str:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return str(found.get("file_id", "")) if isinstance(found, dict) else ""
