from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langchain_coze import CozeWorkflowError
from langchain_coze._convert.attachments import Attachment
from langchain_coze._workflows.file_parameters import map_files, parse_file
from langchain_coze._workflows.metadata import make_tool_name
from langchain_coze._workflows.parameters import (
    COZE_TYPE,
    build_json_schema,
    to_plain_data,
    validate_inputs,
)

# wire 4.7, the sample of the API page, with the other types beside it
PARAMETERS = {
    "CONVERSATION_NAME": {
        "required": False,
        "description": "",
        "default_value": "",
        "type": "string",
    },
    "city": {"type": "string", "required": True, "description": "Which city"},
    "nights": {"type": "integer", "required": False, "default_value": "2"},
    "price": {"type": "number"},
    "late": {"type": "boolean", "default_value": "false"},
    "guest": {
        "type": "object",
        "properties": {"name": {"type": "string", "required": True}, "age": {"type": "integer"}},
    },
    "tags": {"type": "array", "items": {"type": "string"}},
    "photo": {"type": "image", "description": "The room"},
    "papers": {"type": "array", "items": {"type": "doc"}},
    "anything": {"type": "new kind"},
}
SCHEMA = build_json_schema("book", PARAMETERS, "Books a room")


def test_the_parameters_of_a_workflow_give_a_schema() -> None:
    assert SCHEMA == {
        "title": "book",
        "description": "Books a room",
        "type": "object",
        "properties": {
            "CONVERSATION_NAME": {"type": "string"},
            "city": {"type": "string", "description": "Which city"},
            "nights": {"type": "integer", "default": 2},
            "price": {"type": "number"},
            "late": {"type": "boolean", "default": False},
            "guest": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            "tags": {"type": "array", "items": {"type": "string"}},
            "photo": {
                "type": "string",
                COZE_TYPE: "image",
                "description": "The room (image: a URL, or the id of an uploaded file)",
            },
            "papers": {
                "type": "array",
                "items": {
                    "type": "string",
                    COZE_TYPE: "doc",
                    "description": "(doc: a URL, or the id of an uploaded file)",
                },
            },
            "anything": {},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), junk | st.fixed_dictionaries({"type": junk})))
def test_any_parameters_give_a_schema(parameters: dict[str, Any]) -> None:
    json.dumps(build_json_schema("x", parameters))


@given(st.dictionaries(st.sampled_from(list(PARAMETERS)), junk))
def test_any_values_are_accepted_or_refused(values: dict[str, Any]) -> None:
    try:
        validate_inputs(SCHEMA, values)
    except CozeWorkflowError as error:
        assert "parameters of the workflow" in str(error)  # noqa: PT017 - only some are refused


def test_valid_values_are_sent_unchanged() -> None:
    values = {
        "city": "杭州",
        "nights": 3,
        "guest": {"name": "Li", "age": 30},
        "tags": ["a", "b"],
        "anything": [1, {"x": None}],
    }
    assert validate_inputs(SCHEMA, {**values, "price": None}) == values


def test_values_of_an_equivalent_type_are_converted() -> None:
    values = {"city": "x", "nights": "3", "price": "1.5", "late": "true", "tags": '["a"]'}
    assert validate_inputs(SCHEMA, values) == {
        "city": "x",
        "nights": 3,
        "price": 1.5,
        "late": True,
        "tags": ["a"],
    }
    assert validate_inputs(SCHEMA, {"city": "x", "nights": 3.0, "guest": '{"name":"Li"}'})[
        "guest"
    ] == {"name": "Li"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "city is missing"),
        ({"city": None}, "city is missing"),
        ({"city": 7}, "city is 7, but should be of type string"),
        ({"city": "x", "nights": "many"}, "nights is 'many', but should be of type integer"),
        ({"city": "x", "nights": 1.5}, "nights is 1.5, but should be of type integer"),
        ({"city": "x", "nights": True}, "nights is True, but should be of type integer"),
        ({"city": "x", "price": float("nan")}, "price is nan"),
        ({"city": "x", "late": "perhaps"}, "late is 'perhaps', but should be of type boolean"),
        ({"city": "x", "guest": {}}, r"guest\.name is missing"),
        ({"city": "x", "guest": {"name": "Li", "age": "old"}}, r"guest\.age is 'old'"),
        ({"city": "x", "guest": [1]}, "guest is .* but should be of type object"),
        ({"city": "x", "tags": ["a", 7]}, r"tags\[1\] is 7, but should be of type string"),
        ({"city": "x", "colour": "red"}, "colour is unknown.*: CONVERSATION_NAME, city, nights"),
        ({"city": "x" * 99, "price": "y" * 99}, "price is a value of type str, but"),
    ],
)
def test_invalid_values_are_refused_with_a_reason(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CozeWorkflowError, match=message) as refused:
        validate_inputs(SCHEMA, values)
    assert refused.value.hint == (
        "Hint: Pass the parameters with the names and types of the workflow: see args of the tool."
        "\n"
        "提示：请按工作流的参数名称和类型传入，见工具的 args。"
    )


def test_a_required_value_with_a_default_may_be_missing() -> None:
    schema = build_json_schema(
        "x", {"n": {"type": "integer", "required": True, "default_value": "1"}}
    )
    assert validate_inputs(schema, {}) == {}


def test_without_a_schema_all_values_are_accepted() -> None:
    assert validate_inputs({"type": "object", "properties": {}}, {"a": 1}) == {"a": 1}


def test_values_are_converted_to_plain_data() -> None:
    class Colour(Enum):
        RED = "red"

    value = {"c": Colour.RED, "s": {1}, "d": date(2026, 1, 2), "b": b"x", "p": Path("x"), 3: None}
    assert to_plain_data(value) == {
        "c": "red",
        "s": [1],
        "d": "2026-01-02",
        "b": b"x",
        "p": Path("x"),
        "3": None,
    }

    @dataclass
    class Shot:
        where: Path
        at: datetime

    assert to_plain_data({Colour.RED: Shot(Path("x"), datetime(2026, 1, 2, tzinfo=UTC))}) == {
        "red": {"where": Path("x"), "at": "2026-01-02T00:00:00Z"}
    }
    for strange in (object(), float("nan"), [float("inf")], SecretStr("x")):
        with pytest.raises(CozeWorkflowError, match="cannot be sent"):
            to_plain_data(strange)


# --- Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Book a table!", "book_a_table"),
        ("workflow_image", "workflow_image"),
        ("订位", "coze_workflow_7374724495711502387"),
        ("订位 v2", "v2_7374724495711502387"),
        ("café", "cafe_7374724495711502387"),
        ("3 wishes", "coze_workflow_7374724495711502387"),
        ("", "coze_workflow_7374724495711502387"),
        ("x" * 90, "x" * 64),
    ],
)
def test_a_workflow_name_gives_a_tool_name(name: str, made: str) -> None:
    assert make_tool_name(name, "7374724495711502387") == made


@given(st.text(max_size=99), st.text(max_size=30))
def test_any_name_gives_a_tool_name_that_models_accept(name: str, workflow_id: str) -> None:
    made = make_tool_name(name, workflow_id)
    assert made == make_tool_name(name, workflow_id)
    assert 0 < len(made) <= 64
    assert made.replace("_", "").isalnum()
    assert made.isascii()


# --- Files ---------------------------------------------------------------------------------------


def test_files_are_accepted_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "茶.txt"
    path.write_text("Tea.")
    assert parse_file("https://h/p.png") == "https://h/p.png"
    assert parse_file("7374724495711502387").file_id == "7374724495711502387"
    assert parse_file({"url": "HTTPS://h/x"}) == "HTTPS://h/x"
    assert parse_file({"file_id": "7"}).file_id == "7"
    assert parse_file('{"file_id":"7"}').file_id == "7"
    for value in (path, str(path)):
        found = parse_file(value)
        assert (found.data, found.name, found.mime_type) == (b"Tea.", "茶.txt", "text/plain")
    assert parse_file(b"Tea.").data == b"Tea."
    assert parse_file("data:text/plain;base64,VGVhLg==").data == b"Tea."
    assert parse_file({"type": "file", "url": "https://h/x"}) == "https://h/x"
    assert parse_file(["https://h/x", b"y"])[1].data == b"y"


def test_a_model_must_not_read_files_of_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "secret.txt"
    path.write_text("SECRET")
    with pytest.raises(CozeWorkflowError, match="Paths are accepted only from code"):
        parse_file(str(path), "network")
    with pytest.raises(CozeWorkflowError, match="Paths are accepted only from code"):
        parse_file(path, "coercion")  # made from a string
    assert parse_file(path, "network").data == b"SECRET"  # from a program


@pytest.mark.parametrize(
    "value",
    [
        {"type": "file", "path": "x"},
        {"type": "file", "url": "file:///x"},
        "data:text/plain;base64,%%",
        {},
        {"file_id": ""},
        {"type": "text", "text": "x"},
        "a\0b",
        "\ud800",
        "no/such",
    ],
)
def test_values_that_are_not_files_are_refused(value: Any) -> None:
    with pytest.raises(CozeWorkflowError):
        parse_file(value)


def test_file_ids_need_not_be_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_file("file_abc").file_id == "file_abc"
    assert parse_file("7369****", "network").file_id == "7369****"
    (tmp_path / "file_abc").write_text("Tea.")
    assert parse_file("file_abc").data == b"Tea."
    assert parse_file("file_abc", "network").file_id == "file_abc"


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CozeWorkflowError, match="cannot be read: No such file"):
        parse_file(tmp_path / "none")


def test_files_are_found_where_the_schema_has_them() -> None:
    values = {
        "city": "7",
        "photo": "8",
        "papers": ["9", b"x"],
        "guest": {"name": b"y"},
        "unknown": Path("z"),
    }
    found: list[Any] = []

    def place(value: Any) -> str:
        found.append(value)
        return "placed"

    placed = map_files(SCHEMA, values, place)
    assert found == ["8", "9", b"x", b"y", Path("z")]
    assert placed == {
        "city": "7",
        "photo": "placed",
        "papers": ["placed", "placed"],
        "guest": {"name": "placed"},
        "unknown": "placed",
    }
    assert isinstance(map_files(SCHEMA, {"photo": b"x"}, parse_file)["photo"], Attachment)
