"""The schemas of a workflow at coze.site become parameters that models and tools understand."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from langchain_coze import CozeWorkflowError
from langchain_coze._site.schema import build_tool_schema, to_site_file


class LinkedFile(BaseModel):
    """A file."""

    model_config = ConfigDict(json_schema_extra={"x-component": "file-upload"})
    url: str
    file_type: str = "default"


class Tone(Enum):
    SHORT = "short"
    LONG = "long"


class Guest(BaseModel):
    name: str = Field(description="Who")
    photo: LinkedFile | None = None


class Node(BaseModel):
    children: list["Node"] = []


class BookingInput(BaseModel):
    """Book a room."""

    city: str = Field(description="Which city")
    nights: int | None = None
    tone: Tone = Tone.SHORT
    guest: Guest
    photos: list[LinkedFile] = []
    either: int | str = 1
    tree: Node | None = None


SCHEMA: dict[str, Any] = build_tool_schema(BookingInput.model_json_schema(), "book")


def test_the_schema_has_no_references_and_names_its_tool() -> None:
    assert "$ref" not in str(SCHEMA)
    assert (SCHEMA["title"], SCHEMA["description"]) == ("book", "Book a room.")
    assert SCHEMA["required"] == ["city", "guest"]
    assert SCHEMA["additionalProperties"] is False


def test_types_defaults_and_descriptions_stay() -> None:
    fields = SCHEMA["properties"]
    assert fields["city"] == {"type": "string", "description": "Which city"}
    assert fields["nights"] == {"type": "integer"}  # optional: simply left out
    assert fields["tone"] == {"type": "string", "enum": ["short", "long"], "default": "short"}
    assert fields["either"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert fields["guest"]["properties"]["name"]["description"] == "Who"


def test_a_file_is_sent_as_a_link_at_any_position() -> None:
    fields = SCHEMA["properties"]
    for schema in (fields["guest"]["properties"]["photo"], fields["photos"]["items"]):
        assert schema["type"] == "string"
        assert schema["coze_type"] == "file"
        assert "http(s)" in schema["description"]


@pytest.mark.parametrize(
    "value", ["https://example.com/a.png", {"url": "HTTP://example.com/a", "file_type": "image"}]
)
def test_a_link_becomes_an_object(value: Any) -> None:
    assert to_site_file(value)["url"].lower().startswith("http")


@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", b"bytes", {}, 7])
def test_anything_else_is_no_file(value: Any) -> None:
    with pytest.raises(CozeWorkflowError, match=r"must be a URL, not (.*)\n.*http"):
        to_site_file(value)
