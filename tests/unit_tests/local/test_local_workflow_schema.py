from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_coze.local import AskInput, FileKind, LocalCoze, LocalWorkflow, RunContext, TurnFile
from langchain_coze.local.runtime.workflow_signature import Signature
from langchain_coze.local.wire.errors import ApiError
from langchain_coze.local.wire.files import StoredFile
from langchain_coze.local.wire.parameters import build_form


class Traveller(BaseModel):
    name: str = Field(description="as in the passport")
    age: int = 30
    friends: "list[Traveller]" = []


class Room(TypedDict):
    number: str
    floor: int


@dataclass
class Price:
    amount: float
    currency: Literal["CNY", "USD"] = "CNY"


def book(
    city: str,
    day: date,
    guests: list[Traveller],
    price: Price,
    nights: int = 1,
    note: str | None = None,
    *,
    breakfast: Annotated[bool, "with <breakfast>"] = False,
    context: RunContext,
) -> Room:
    """Book a room
    in a hotel.

    It is not paid for.

    Args:
        city: Where to
            sleep: a city.
        nights (int): How many nights.
        breakfast: passed over.

    Returns:
        city: this is no parameter.
    """
    raise NotImplementedError


def test_the_schema_matches_the_signature() -> None:
    assert Signature(book).inputs_as_json() == {
        "city": {"type": "string", "required": True, "description": "Where to sleep: a city."},
        "day": {"type": "string", "required": True},
        "guests": {
            "type": "array",
            "required": True,
            "items": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "required": True,
                        "description": "as in the passport",
                    },
                    "age": {"type": "integer", "required": False, "default_value": "30"},
                    "friends": {
                        "type": "array",
                        "items": {"type": "object"},
                        "required": False,
                        "default_value": "[]",
                    },
                },
            },
        },
        "price": {
            "type": "object",
            "required": True,
            "properties": {
                "amount": {"type": "number", "required": True},
                "currency": {"type": "string", "required": False, "default_value": "CNY"},
            },
        },
        "nights": {
            "type": "integer",
            "required": False,
            "description": "How many nights.",
            "default_value": "1",
        },
        "breakfast": {
            "type": "boolean",
            "required": False,
            "description": "with <breakfast>",
            "default_value": "false",
        },
        "note": {"type": "string", "required": False},
    }


def test_name_and_description_come_from_the_function() -> None:
    workflow = LocalWorkflow(book)
    assert (workflow.name, workflow.description) == ("book", "Book a room in a hotel.")
    assert LocalWorkflow(book).workflow_id == workflow.workflow_id
    assert LocalWorkflow(book, name="other").workflow_id != workflow.workflow_id
    assert (len(workflow.workflow_id), workflow.workflow_id.isdecimal()) == (19, True)


def returns(annotation: Any) -> dict[str, Any]:
    def function() -> Any: ...

    function.__annotations__["return"] = annotation
    return Signature(function).outputs_as_json()


@pytest.mark.parametrize(
    ("annotation", "variables"),
    [
        (Room, {"number": {"type": "string"}, "floor": {"type": "integer"}}),
        (str, {"output": {"type": "string"}}),
        (list[int], {"output": {"type": "array", "items": {"type": "integer"}}}),
        (dict[str, Any], {}),
        (Any, {}),
        (None, {}),
        (Iterator[str], {}),
        (
            Generator[str, str, Price],
            {"amount": {"type": "number"}, "currency": {"type": "string"}},
        ),
        (Generator[str], {}),
        (Callable, {}),
    ],
)
def test_the_output_schema_comes_from_the_annotation(annotation: Any, variables: Any) -> None:
    assert returns(annotation) == variables


GOOD: dict[str, Any] = {
    "city": "杭州",
    "day": "2026-05-01",
    "guests": [{"name": "Ada"}],
    "price": {"amount": 3},
}


def test_values_are_converted() -> None:
    read = Signature(book).read_inputs({**GOOD, "nights": None, "unknown": 1}, {})
    assert read == {
        "city": "杭州",
        "day": date(2026, 5, 1),
        "guests": [Traveller(name="Ada")],
        "price": Price(3.0),
        "nights": 1,
        "breakfast": False,
        "note": None,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"city": 3}, "parameters.city: Input should be a valid string"),
        ({"city": None}, "parameters.city: Input should be a valid string"),
        ({"nights": "3"}, "parameters.nights: Input should be a valid integer"),
        ({"breakfast": 1}, "parameters.breakfast: Input should be a valid boolean"),
        ({"guests": {}}, "parameters.guests: Input should be a valid array"),
        ({"guests": [{"name": "A"}, {}]}, "parameters.guests[1].name: Field required"),
        ({"price": {"amount": "3"}}, "parameters.price.amount: Input should be a valid number"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        Signature(book).read_inputs(GOOD | change, {})
    assert (caught.value.code, caught.value.message) == (4000, message)


@pytest.mark.parametrize("name", ["city", "day", "guests", "price"])
def test_a_missing_value_is_named(name: str) -> None:
    with pytest.raises(ApiError, match=f"parameters.{name} is required"):
        Signature(book).read_inputs({key: value for key, value in GOOD.items() if key != name}, {})


def test_parameters_need_no_annotation() -> None:
    signature = Signature(lambda anything, number=2, nothing=None: (anything, number, nothing))
    shown = signature.inputs_as_json()
    assert [shown[name]["type"] for name in shown] == ["string", "integer", "string"]
    assert signature.read_inputs({"anything": [1], "nothing": {}}, {}) == {
        "anything": [1],
        "number": 2,
        "nothing": {},
    }


def test_any_names_and_positional_parameters_are_passed() -> None:
    context = RunContext(LocalWorkflow(book), "1")
    signature = Signature(lambda a, /, **rest: (a, rest))
    assert signature.call(signature.read_inputs({"a": 1, "b": 2}, {}), context) == (1, {"b": 2})


def describe(photo: Annotated[TurnFile, FileKind("image")], more: list[Any] | None = None) -> None:
    raise NotImplementedError


def album(photos: list[Annotated[TurnFile, FileKind("image")]]) -> None:
    raise NotImplementedError


def test_files_are_read_from_urls_and_ids() -> None:
    uploads = {"42": StoredFile("42", "tea.png", b"png", 0, "1")}
    one, many = Signature(describe), Signature(album)
    assert one.inputs_as_json()["photo"] == {"type": "image", "required": True}
    assert many.inputs_as_json()["photos"]["items"] == {"type": "image"}
    url = one.read_inputs({"photo": "https://example.com/a.png"}, uploads)["photo"]
    assert url == TurnFile("image", url="https://example.com/a.png")
    uploaded = many.read_inputs({"photos": ['{"file_id":"42"}']}, uploads)["photos"]
    assert uploaded == [TurnFile("image", "tea.png", b"png")]


@pytest.mark.parametrize("value", ["", 3, {"file_id": "42"}, '{"file_id":"7"}', "[]", "tea.png"])
def test_invalid_files_are_refused(value: Any) -> None:
    with pytest.raises(ApiError, match=r"parameters\.photo: .*file_id"):
        Signature(describe).read_inputs({"photo": value}, {})


NO_TYPE = iter(())


def calls(x: Callable[[], None]) -> None:
    raise NotImplementedError


def lost(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821 - on purpose
    raise NotImplementedError


@pytest.mark.parametrize(
    "function", [3, lambda *several: several, lambda x=NO_TYPE: x, lost, calls]
)
def test_invalid_functions_are_refused(function: Any) -> None:
    with pytest.raises(TypeError):
        LocalWorkflow(function)


def test_forms_are_built_for_cloud_and_studio() -> None:
    form = AskInput(
        {
            "photo": Annotated[str, FileKind("image"), "of the <room>"],
            "page": Annotated[str, FileKind()],
            "prices": (list[float], []),
            "guest": Traveller,
        }
    )
    photo, page, prices, guest = build_form(
        {parameter.name: parameter.as_json() for parameter in form.parameters}
    )
    assert photo == {
        "type": "string",
        "name": "photo",
        "required": True,
        "assistType": 2,
        "description": "of the <room>",
    }
    assert page["assistType"] == 1
    assert prices == {
        "type": "list",
        "name": "prices",
        "required": False,
        "schema": {"type": "float"},
    }
    assert [field["name"] for field in guest["schema"]] == ["name", "age", "friends"]
    with pytest.raises(TypeError):
        AskInput({"x": 3})


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="terminate_plan"):
        LocalWorkflow(book, terminate_plan="text")
    with pytest.raises(ValueError, match="no_such_fault"):
        LocalWorkflow(book, faults="no_such_fault")
    with pytest.raises(ValueError, match="two workflows"):
        LocalCoze(workflows=[book, LocalWorkflow(book)])


def test_the_sample_workflows_go_with_the_sample_bot() -> None:
    names = ["count_words", "book_room", "search_knowledge"]
    assert [workflow.name for workflow in LocalCoze().workflows] == names
    assert LocalCoze(lambda _: "x").workflows == ()
    assert [workflow.name for workflow in LocalCoze(workflows=book).workflows] == ["book"]
